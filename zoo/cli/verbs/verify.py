"""`zoo verify`: hash every stored file again, without the network.

JSON: {artifacts: [{key, ref, faults, repaired}], faults}. Exit code 5 when a fault is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.cli.drawing import drawing
from zoo.errors import Exit, ZooError
from zoo.progress import Progress
from zoo.store.store import Store


@click.command(name="verify")
@click.argument(
    "names", nargs=-1, metavar="[REF_OR_KEY]...", shell_complete=options.completed("artifacts")
)
@click.option(
    "--repair", is_flag=True, help="Download damaged sources again; remove damaged builds."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also require a valid signature by this public key (PEM).",
)
@options.as_json
@options.quiet
def command(
    names: tuple[str, ...], repair: bool, key: Path | None, as_json: bool, quiet: bool
) -> int:
    """Verify stored files against their hashes.

    Verifies all artifacts, or those named by key or reference. Without --repair it changes nothing
    and uses no network.
    """
    store = api.store()
    chosen = entries.published(store)
    if names:
        chosen = entries.choose(chosen, names)
    results: list[dict[str, Any]] = []
    with drawing(quiet) as listener:
        progress = Progress("verify", listener)
        for number, entry in enumerate(chosen):
            progress.update(number, len(chosen), "artifacts")
            results.append(_examine(store, entry, repair, key, progress))
    count = sum(len(result["faults"]) for result in results)
    if as_json:
        output.document({"artifacts": results, "faults": count})
    else:
        _print(results, count)
    return Exit.INTEGRITY if count else Exit.OK


def _examine(
    store: Store, entry: entries.Entry, repair: bool, key: Path | None, progress: Progress
) -> dict[str, Any]:
    faults, repaired = _faults(store, entry), None
    if faults and repair:
        from zoo.store.repair import repair as repair_entry

        try:
            repaired = repair_entry(store, entry.folder, progress)
            faults = []
        except ZooError as error:
            faults = [*faults, error.message]
    if key is not None and not faults and repaired is None and entry.artifact:
        from zoo.store import signing

        wrong = signing.fault(entry.artifact, key)
        faults = [wrong] if wrong else []
    ref = entry.manifest and entry.manifest.ref
    return {"key": entry.key, "ref": ref, "faults": faults, "repaired": repaired}


def _faults(store: Store, entry: entries.Entry) -> list[str]:
    if entry.problem:
        return [entry.problem]
    try:
        return store.verify(entry.folder)
    except OSError as error:
        return [f"it cannot be read: {error}"]


def _print(results: list[dict[str, Any]], count: int) -> None:
    for result in results:
        for fault in result["faults"]:
            output.tell(f"{result['key']}: {output.one_line(fault)}")
        if not result["faults"]:
            output.tell(f"{result['key']}: {result['repaired'] or 'ok'}")
    if count:
        output.warn("hint: zoo verify --repair fetches again what is bad, and nothing more")
    elif not results:
        output.note("nothing is stored")
