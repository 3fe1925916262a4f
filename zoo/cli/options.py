"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from zoo.words import read_bytes

Command = TypeVar("Command", bound=Callable[..., Any])


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes, such as `500MB` or `2.5GB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return read_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = Size()
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress, only notes.")
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
no_check = click.option("--no-check", is_flag=True, help="Do not check a build made now.")
family = click.option(
    "--family", metavar="F", help="The family of a folder or repository without a recipe."
)
adapter = click.option(
    "--adapter", metavar="A", help="A LoRA adapter: a name that zoo show lists, or a folder."
)
_build = click.option("--build", metavar="B", help="The build, such as mlx-4bit.")
_format = click.option("--format", metavar="F", help="The format, such as mlx.")


def build_choice(command: Command) -> Command:
    """--build, --format and --family."""
    return _build(_format(family(command)))
