"""`zoo doctor`: this machine, what can run on it, and what is wrong.

JSON: {machine, memory_bytes, home, free_bytes, writable, python, zoo, packages: {name: version},
formats: {name: runs}, token, offline, leftovers: [key], problems: [text]}.
Exit code 1 when there are problems.
"""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options, output
from zoo.cli.health import examine
from zoo.errors import Exit
from zoo.words import human


@click.command(name="doctor")
@options.as_json
def command(as_json: bool) -> int:
    """Check this machine's setup."""
    data = examine()
    if as_json:
        output.document(data)
    else:
        _print(data)
    return Exit.NEGATIVE if data["problems"] else Exit.OK


def _print(data: dict[str, Any]) -> None:
    packages = (f"{name} {version or '-'}" for name, version in data["packages"].items())
    formats = (f"{name} {'yes' if runs else 'no'}" for name, runs in data["formats"].items())
    output.facts(
        [
            ("machine", data["machine"]),
            ("memory", human(data["memory_bytes"])),
            ("store", data["home"] + ("" if data["writable"] else " (cannot be written)")),
            ("free", human(data["free_bytes"])),
            ("python", data["python"]),
            ("zoo", data["zoo"]),
            ("packages", ", ".join(packages)),
            ("runs here", ", ".join(formats)),
            ("hub token", data["token"]),
            ("offline", data["offline"]),
            ("leftovers", f"{len(data['leftovers'])} (zoo prune)" if data["leftovers"] else "none"),
        ]
    )
    output.tell()
    for problem in data["problems"]:
        output.tell(f"problem: {output.one_line(problem)}")
    if not data["problems"]:
        output.tell("nothing is wrong")
