"""`zoo verify`: hash every stored file again.

JSON: {artifacts: [{key, ref, faults}], faults}. Exit code 5 when there is any fault.
"""

from __future__ import annotations

from typing import Any

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.cli.drawing import drawing
from zoo.errors import Exit
from zoo.progress import Progress
from zoo.store import Store


@click.command(name="verify")
@click.argument("names", nargs=-1, metavar="[REF_OR_KEY]...")
@options.as_json
@options.quiet
def command(names: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Hash every stored file again.

    All artifacts, or those named by key or reference.
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
            ref = entry.manifest and entry.manifest.ref
            results.append({"key": entry.key, "ref": ref, "faults": _faults(store, entry)})
    count = sum(len(result["faults"]) for result in results)
    if as_json:
        output.document({"artifacts": results, "faults": count})
    else:
        _print(results, count)
    return Exit.INTEGRITY if count else Exit.OK


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
            output.tell(f"{result['key']}: ok")
    if count:
        output.warn("hint: zoo rm KEY removes what is corrupt; the next run makes it again")
    elif not results:
        output.note("nothing is stored")
