"""The JSON documents of `zoo ... --json` as one JSON Schema, `docs/cli.schema.json`.

`make reference` writes it, and `tests/cli/test_cli_json.py` holds what the commands print to it.
Programs that read a document should ignore keys that they do not know: later versions may add
some, and remove or rename none without a new major version.
"""

from __future__ import annotations

from json_shapes import (
    INTEGER,
    NUMBER,
    TEXT,
    YES_NO,
    Schema,
    by_name,
    either,
    many,
    maybe,
    more,
    one_of,
    some,
)

TEXTS = many(TEXT)
FIGURES = by_name(NUMBER)
ANY = by_name({})
TROUBLE = many(some(name=TEXT, message=TEXT))
COMMERCIAL = one_of("yes", "terms", "no", "unknown")
EFFECT = one_of("silent", "refused", "slow", "note")

LINTED = some(
    target=TEXT,
    system=maybe(TEXT),
    findings=many(some(id=TEXT, title=TEXT, effect=EFFECT, count=INTEGER)),
    accepted=by_name(TEXT),
    failed=TEXTS,
)
VERDICT = some(
    status=one_of("passed", "failed", "measured", "not run"),
    reason=TEXT,
    metrics=FIGURES,
    limits=FIGURES,
    tools=by_name(maybe(TEXT)),
    inputs=by_name(TEXT),
    why=one_of("", "skipped", "source", "unable"),
    lint=either(LINTED, {"type": "object", "maxProperties": 0}),
)
MODEL = some(
    ref=TEXT,
    name=maybe(TEXT),
    aliases=TEXTS,
    title=TEXT,
    summary=TEXT,
    task=TEXT,
    family=TEXT,
    license=TEXT,
    license_name=TEXT,
    commercial=COMMERCIAL,
    gated=YES_NO,
    pinned=YES_NO,
    parameters=maybe(INTEGER),
    context=maybe(INTEGER),
    languages=TEXTS,
    tags=TEXTS,
    download_bytes=INTEGER,
    download_exact=YES_NO,
    default_build=TEXT,
    disk_bytes=INTEGER,
    memory_bytes=INTEGER,
    fits=YES_NO,
    formats=TEXTS,
    installed=TEXTS,
    checked=TEXTS,
)
COMPARED = some(
    name=TEXT,
    format=TEXT,
    bits_per_weight=NUMBER,
    disk_bytes=INTEGER,
    disk_exact=YES_NO,
    memory_bytes=INTEGER,
    minimum_os=maybe(TEXT),
    fits=YES_NO,
    figures=maybe(FIGURES),
)
FILE = some(path=TEXT, size=maybe(INTEGER), sha256=maybe(TEXT))
SOURCE = some(
    repo=maybe(TEXT),
    folder=maybe(TEXT),
    url=maybe(TEXT),
    revision=maybe(TEXT),
    branch=maybe(TEXT),
    pinned=YES_NO,
    files=many(FILE),
)
BUILD = some(
    name=TEXT,
    format=TEXT,
    optimize=many(some(kind=TEXT, options=ANY)),
    minimum_os=maybe(TEXT),
    target=maybe(TEXT),
    bits_per_weight=NUMBER,
    bytes=INTEGER,
    stored_bytes=maybe(INTEGER),
    memory_bytes=INTEGER,
    fits=YES_NO,
    default=YES_NO,
    installed=YES_NO,
    made=maybe(TEXT),
    limits=FIGURES,
    check=maybe(VERDICT),
    lint=maybe(LINTED),
    words=TEXT,
    offered_by=maybe(TEXT),
    compression=maybe(ANY),
)
SHOWN = some(
    ref=TEXT,
    title=TEXT,
    summary=TEXT,
    task=TEXT,
    family=TEXT,
    license=TEXT,
    terms=some(name=TEXT, commercial=COMMERCIAL, answer=TEXT, words=maybe(TEXT), url=maybe(TEXT)),
    gated=YES_NO,
    chat=YES_NO,
    languages=TEXTS,
    language_names=TEXTS,
    tags=TEXTS,
    parameters=maybe(INTEGER),
    dtypes=maybe(ANY),
    context=maybe(INTEGER),
    url=maybe(TEXT),
    source={**SOURCE, "properties": {**SOURCE["properties"], "bytes": INTEGER, "exact": YES_NO}},
    tokenizer=maybe(SOURCE),
    adapters=by_name(SOURCE),
    refused=by_name(TEXT),
    builds=many(BUILD),
    check=maybe(
        some(inputs=TEXTS, limits=FIGURES, recorded=FIGURES, scorer=maybe(TEXT)),
    ),
    metrics=by_name(some(meaning=TEXT, better=maybe(TEXT))),
    run=TEXT,
    commands=some(shell=TEXT, python=maybe(TEXT), swift=maybe(TEXT)),
)
OPERATION = some(
    part=TEXT,
    layer=TEXT,
    kind=TEXT,
    name=TEXT,
    parameters=INTEGER,
    weight_bytes=INTEGER,
    activation_bytes=INTEGER,
    flops=INTEGER,
    count=INTEGER,
    device=maybe(TEXT),
    share=maybe(NUMBER),
)
ARTIFACT = some(
    key=TEXT,
    name=maybe(TEXT),
    ref=maybe(TEXT),
    step=maybe(TEXT),
    build=maybe(TEXT),
    format=maybe(TEXT),
    bytes=maybe(INTEGER),
    created=maybe(TEXT),
    path=maybe(TEXT),
    failed=maybe(YES_NO),
    check=maybe(VERDICT),
    problem=maybe(TEXT),
)
PLUGIN = more(
    some(
        kind=TEXT,
        name=TEXT,
        distribution=TEXT,
        version=TEXT,
        module=TEXT,
        status=one_of("ok", "missing packages", "conflict", "off", "broken"),
        missing=TEXTS,
        install=maybe(TEXT),
        reason=maybe(TEXT),
    ),
    seconds=NUMBER,
    heavy=TEXTS,
)
MADE = {"ref": TEXT, "build": TEXT, "format": TEXT}
REMOVED = some(dry_run=YES_NO, removed=TEXTS, bytes=INTEGER)

DOCUMENTS: dict[str, Schema] = {
    "list": some(models=many(MODEL), total=INTEGER, problems=TROUBLE),
    "show": SHOWN,
    "catalog list": some(
        catalogs=many(
            some(
                name=TEXT,
                path=TEXT,
                models=maybe(INTEGER),
                origin=maybe(TEXT),
                sha256=maybe(TEXT),
                problem=maybe(TEXT),
            )
        )
    ),
    "catalog check": some(
        catalog=TEXT, models=INTEGER, gaps=many(some(ref=TEXT, kind=TEXT, message=TEXT))
    ),
    "compare": some(
        models=many(
            {
                **MODEL,
                "properties": {**MODEL["properties"], "builds": many(COMPARED)},
                "required": [*MODEL["required"], "builds"],
            }
        )
    ),
    "plan": some(
        **MADE,
        pinned=YES_NO,
        steps=many(some(name=TEXT, provider=TEXT, done=YES_NO, bytes=maybe(INTEGER))),
        bytes_needed=INTEGER,
        memory_bytes=INTEGER,
        machine_memory_bytes=INTEGER,
        fits=YES_NO,
        license=TEXT,
        license_name=TEXT,
        commercial=COMMERCIAL,
        gated=YES_NO,
        missing=TEXTS,
        install=maybe(TEXT),
    ),
    "site": some(folder=TEXT, index=TEXT, models=INTEGER, bytes=INTEGER, problems=TROUBLE),
    "pull": some(ref=TEXT, key=TEXT, path=TEXT),
    "build": some(**MADE, key=TEXT, path=TEXT, check=maybe(VERDICT)),
    "check": VERDICT,
    "run": either(
        more(
            some(text=TEXT, **MADE),
            statistics=some(
                prompt_tokens=INTEGER,
                tokens=INTEGER,
                seconds=NUMBER,
                first_seconds=maybe(NUMBER),
                finish_reason=maybe(TEXT),
                tokens_per_second=maybe(NUMBER),
            ),
        ),
        some(output=TEXTS, seed=INTEGER, **MADE),
    ),
    "app": some(folder=TEXT, **MADE, bytes=INTEGER, files=TEXTS, examples=INTEGER),
    "cost": some(
        ref=TEXT,
        build=TEXT,
        case=TEXT,
        total=OPERATION,
        layers=many(OPERATION),
        kinds=many(OPERATION),
        operations=many(OPERATION),
    ),
    "fit": some(
        ref=TEXT,
        build=TEXT,
        device=some(
            name=TEXT,
            memory=INTEGER,
            app=INTEGER,
            entitled=maybe(INTEGER),
            source=TEXT,
            estimated=YES_NO,
        ),
        exact=YES_NO,
        weights=INTEGER,
        caches=INTEGER,
        activations=INTEGER,
        runtime=INTEGER,
        needed=INTEGER,
        fits=YES_NO,
        entitlement=YES_NO,
        reasons=TEXTS,
        instead=maybe(TEXT),
    ),
    "lint": some(
        ref=TEXT,
        target=TEXT,
        system=maybe(TEXT),
        findings=many(
            some(
                id=TEXT,
                title=TEXT,
                effect=EFFECT,
                package=TEXT,
                function=TEXT,
                count=INTEGER,
                operations=TEXTS,
                kinds=TEXTS,
                detail=TEXT,
                layers=TEXTS,
                outcome=TEXT,
                remedy=TEXT,
                source=TEXT,
                trust=INTEGER,
            )
        ),
        accepted=by_name(TEXT),
        placement=many(
            some(package=TEXT, function=TEXT, operations=INTEGER, shares=FIGURES, switches=INTEGER)
        ),
    ),
    "lock": some(file=TEXT, models=many(some(ref=TEXT, build=maybe(TEXT)))),
    "sync": some(models=many(some(ref=TEXT, build=maybe(TEXT), key=TEXT, path=TEXT))),
    "ls": some(artifacts=many(ARTIFACT), bytes=INTEGER),
    "du": some(
        home=TEXT,
        items=many(some(ref=TEXT, step=TEXT, bytes=INTEGER, elsewhere_bytes=INTEGER)),
        bytes=INTEGER,
        elsewhere_bytes=INTEGER,
        free_bytes=INTEGER,
    ),
    "rm": REMOVED,
    "prune": REMOVED,
    "verify": some(
        artifacts=many(some(key=TEXT, ref=maybe(TEXT), faults=TEXTS, repaired=maybe(TEXT))),
        faults=INTEGER,
    ),
    "export": some(dest=TEXT, artifacts=TEXTS, bytes=INTEGER),
    "import": some(
        artifacts=many(
            some(
                key=TEXT,
                ref=TEXT,
                step=TEXT,
                build=TEXT,
                path=TEXT,
                signed=one_of("none", "unchecked", "good"),
            )
        )
    ),
    "sign": some(artifacts=many(some(key=TEXT, ref=TEXT))),
    "plugins": either(
        some(plugins=many(PLUGIN), problems=TEXTS),
        some(pairs=many(some(name=TEXT, hooks=by_name(maybe(TEXT)), problem=maybe(TEXT)))),
        some(requirements=TEXTS),
        some(
            pair=TEXT,
            claims=many(
                some(
                    claim=TEXT,
                    status=one_of("kept", "broken", "not tried"),
                    reason=TEXT,
                    promise=TEXT,
                )
            ),
        ),
    ),
    "new": some(path=TEXT, files=TEXTS),
    "doctor": some(
        machine=TEXT,
        memory_bytes=INTEGER,
        home=TEXT,
        free_bytes=INTEGER,
        writable=YES_NO,
        python=TEXT,
        zoo=TEXT,
        packages=by_name(maybe(TEXT)),
        formats=by_name(YES_NO),
        token=YES_NO,
        offline=YES_NO,
        leftovers=TEXTS,
        problems=TEXTS,
    ),
    "outdated": some(
        models=many(
            some(
                ref=TEXT,
                repo=TEXT,
                branch=maybe(TEXT),
                pinned=maybe(TEXT),
                latest=maybe(TEXT),
                outdated=maybe(YES_NO),
            )
        )
    ),
}
"""For each command, its document."""


def schema() -> Schema:
    """The schema: `$defs` has the document of each command by its name."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What zoo prints with --json",
        "description": "One document for each command, as $defs/COMMAND. Ignore unknown keys.",
        "$defs": DOCUMENTS,
    }
