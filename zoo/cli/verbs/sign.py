"""`zoo sign`: sign artifacts with a key of your own; `zoo verify --key` checks it.

JSON: {artifacts: [{key, ref}]}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.errors import Exit, IntegrityError


@click.command(name="sign")
@options.artifacts
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="An elliptic-curve private key (PEM); its password is read from ZOO_KEY_PASSWORD.",
)
@options.as_json
def command(names: tuple[str, ...], key: Path, as_json: bool) -> int:
    """Sign artifacts with a key.

    Damaged artifacts are refused. zoo export includes the signature.
    """
    from zoo.store import signing

    store = api.store()
    signed = []
    for entry in entries.choose(entries.published(store), names):
        if faults := ([entry.problem] if entry.problem else store.verify(entry.folder)):
            raise IntegrityError(
                f"{entry.key} is not signed: {'; '.join(faults)}",
                f"repair it: zoo verify --repair {entry.key}",
            )
        if entry.artifact:
            signing.sign(entry.artifact, key)
            signed.append({"key": entry.key, "ref": entry.artifact.manifest.ref})
            if not as_json:
                output.tell(f"signed {entry.key}")
    if as_json:
        output.document({"artifacts": signed})
    return Exit.OK
