"""`zoo catalog`: catalogs beside the shipped one: add, list, remove, sign, and check any.

JSON of list: {catalogs: [{name, path, models, origin, sha256, problem}]}; `origin` is null but for
one that was added. JSON of check: {catalog, models, gaps: [{ref, kind, message}]}.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from zoo.catalogs import added
from zoo.catalogs.catalog import Catalog, Layer, open_catalog
from zoo.catalogs.gaps import INVALID, KINDS, gaps_of
from zoo.cli import options, output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled
from zoo.display.redaction import redacted
from zoo.errors import Exit, NotFound, RecipeError, UsageError

CATALOGS = (
    Column("CATALOG"), Column("MODELS", right=True), Column("FROM", wrap=True),
    Column("PROBLEM", wrap=True),
)  # fmt: skip
GAPS = (Column("MODEL"), Column("GAP"), Column("WHAT IS MISSING", wrap=True))


@click.group(name="catalog")
def command() -> None:
    """Add, list, remove and check catalogs."""


@command.command(name="list")
@options.as_json
def list_(as_json: bool) -> None:
    """The catalogs of this machine: the shipped one, those of plugins, yours, and added ones."""
    catalog = open_catalog()
    origins = {each.name: each for each in added.every()}
    rows = []
    for layer in catalog.layers:
        origin = origins.get(layer.name)
        rows.append(
            {
                "name": layer.name,
                "path": str(layer.path),
                "models": sum(len(entry.variants) for entry in layer.models.values()),
                "origin": origin.origin if origin else None,
                "sha256": origin.sha256 if origin else None,
                "problem": None,
            }
        )
    for name, error in catalog.problems.items():
        rows.append({"name": name, "path": None, "models": 0, "origin": None, "sha256": None,
                     "problem": error.message})  # fmt: skip
    if as_json:
        output.document({"catalogs": rows})
        return
    output.table(
        CATALOGS,
        [
            (row["name"], row["models"], row["origin"] or row["path"] or "-",
             Styled(output.one_line(str(row["problem"] or "")), "red"))
            for row in rows
        ],
    )  # fmt: skip


@command.command()
@click.argument("source", metavar="PATH_OR_URL")
@click.option("--name", metavar="N", help="What its models are qualified by: N/model.")
@click.option("--sha256", metavar="DIGEST", help="The digest that an archive must have.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False),
    help="The public key (PEM) that an archive must be signed with.",
)  # fmt: skip
def add(source: str, name: str | None, sha256: str | None, key: Path | None) -> None:
    """Add a catalog: a folder with a catalog.toml, or the address of an archive of one.

    A folder is read where it is. An archive is fetched once, checked, and unpacked; its SHA-256 is
    recorded, and --sha256 refuses any other. --key refuses one that the owner of the key did not
    sign with zoo catalog sign.
    """
    if "://" in source:
        _add_archive(source, name, sha256, key)
        return
    path = Path(source).expanduser().absolute()
    path = path.parent if path.name == added.CATALOG else path
    if not (path / added.CATALOG).is_file():
        raise NotFound(f"there is no {added.CATALOG} in {path}", "give the folder that it is in")
    if sha256 is not None:
        raise UsageError("--sha256 is for an archive, and a folder has no digest")
    if key is not None:
        raise UsageError("--key is for an archive: a folder may change after it was added")
    _install(name or path.name.lower(), source, path, None, copy=False)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="An elliptic-curve private key (PEM); its password is read from ZOO_KEY_PASSWORD.",
)  # fmt: skip
def sign(folder: Path, key: Path) -> None:
    """Sign the folder of a catalog.

    The signature is in its catalog.sig. Put the folder into an archive afterwards; zoo catalog add
    --key checks it.
    """
    from zoo.store import signing

    if not (folder / added.CATALOG).is_file():
        raise NotFound(f"there is no {added.CATALOG} in {folder}", "give the folder that it is in")
    output.tell(signing.sign_catalog(folder, key))


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a catalog that was added. What was built from it stays on the disk."""
    added.remove(name)
    output.note(f"removed the catalog '{name}'; zoo ls shows what was built from it")


@command.command()
@click.argument("source", metavar="[CATALOG_OR_PATH]", default="zoo")
@click.option(
    "--allow", multiple=True, type=click.Choice([k for k in KINDS if k != INVALID]),
    help="A kind of gap that the catalog may have. May be given several times.",
)  # fmt: skip
@options.as_json
def check(source: str, allow: tuple[str, ...], as_json: bool) -> int:
    """Check that a catalog's recipes are valid and complete; exit code 1 when one is not.

    Give the name of a catalog, or the path of a catalog.toml or its folder.
    """
    name, path = _located(source)
    gaps = [gap for gap in gaps_of(name, path) if gap.kind not in allow]
    layer = _layer(name, path)
    models = len(Catalog([layer], {})) if layer else 0
    if as_json:
        listed = [gap._asdict() for gap in gaps]
        output.document({"catalog": str(path), "models": models, "gaps": listed})
    elif gaps:
        output.table(GAPS, [(g.ref, g.kind, output.one_line(g.message)) for g in gaps])
    number = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
    output.note(f"{models} models, {number}")
    return Exit.NEGATIVE if gaps else Exit.OK


def _add_archive(url: str, name: str | None, sha256: str | None, key: Path | None) -> None:
    from zoo.files.archives import unpack
    from zoo.hub.catalog_archive import download

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        archive, digest = download(url, folder, sha256)
        unpacked = folder / "unpacked"
        unpack(archive, "", lambda path: True, unpacked)
        found = sorted(unpacked.rglob(added.CATALOG), key=lambda path: len(path.parts))
        if not found:
            raise NotFound(f"there is no {added.CATALOG} in the archive at {redacted(url)}")
        if key is not None:
            from zoo.store import signing

            signing.require_catalog(found[0].parent, key, redacted(url))
        stem = Path(url.partition("?")[0]).name.partition(".")[0].lower()
        _install(name or stem, redacted(url), found[0].parent, digest, copy=True)


def _install(name: str, origin: str, folder: Path, sha256: str | None, *, copy: bool) -> None:
    """Add a catalog if its name is free and all of it is valid."""
    taken = open_catalog().names
    if name in taken:
        raise UsageError(
            f"there is a catalog '{name}' already", "give another with --name, or remove it first"
        )
    invalid = [gap for gap in gaps_of(name, folder / added.CATALOG) if gap.kind == INVALID]
    if invalid:
        faults = tuple(f"{gap.ref}: {gap.message}" for gap in invalid)
        raise RecipeError(f"the catalog at {origin} is invalid, and was not added:", faults)
    made = added.install(name, origin, folder, sha256, copy=copy)
    digest = f", SHA-256 {made.sha256}" if made.sha256 else ""
    output.note(f"added the catalog '{name}'{digest}; zoo list {name}/ shows its models")


def _located(source: str) -> tuple[str, Path]:
    catalog = open_catalog()
    for layer in catalog.layers:
        if layer.name == source:
            return layer.name, layer.path
    if source in catalog.problems:
        raise catalog.problems[source]
    path = Path(source).expanduser()
    path = path / added.CATALOG if path.is_dir() else path
    if not path.is_file():
        names = ", ".join(layer.name for layer in catalog.layers)
        raise NotFound(f"there is no catalog '{source}', and no such file", f"catalogs: {names}")
    return path.absolute().parent.name.lower(), path.absolute()


def _layer(name: str, path: Path) -> Layer | None:
    try:
        return Layer.read(name, path)
    except RecipeError:
        return None
