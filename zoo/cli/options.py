"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo.words import read_bytes

if TYPE_CHECKING:
    from zoo.tasks.model import AdapterChoice

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


def completed(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What completes a parameter: a function of `zoo.cli.completion`, imported when it is asked."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from zoo.cli import completion

        found: list[Any] = getattr(completion, what)(ctx, param, incomplete)
        return found

    return complete


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
dry_run = click.option(
    "--dry-run", is_flag=True, help="Print what would be removed, and remove nothing."
)
no_check = click.option("--no-check", is_flag=True, help="Do not check a new build.")
model = click.argument("name", shell_complete=completed("names"))
artifacts = click.argument(
    "names", nargs=-1, required=True, metavar="REF_OR_KEY...",
    shell_complete=completed("artifacts"),
)  # fmt: skip


def _verbose(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and ctx.obj is not None:
        ctx.obj.verbose = True


def quiet(command: Command) -> Command:
    """How much is said of the steps: `quiet` is given to the command, `verbose` is in `ctx.obj`."""
    verbose = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose,
        help="Print each step with the seconds that it took; zoo run adds tokens per second.",
    )  # fmt: skip
    shown = click.option("-q", "--quiet", is_flag=True, help="Hide progress; notes remain.")
    return shown(verbose(command))


family = click.option(
    "--family", metavar="F", help="Model family of a folder or repository without a recipe.",
    shell_complete=completed("families"),
)  # fmt: skip
adapter = click.option(
    "--adapter", metavar="A", help="A LoRA adapter: a name that zoo show lists, or a folder.",
    shell_complete=completed("adapters"),
)  # fmt: skip
adapters = click.option(
    "--adapter", metavar="A[=WEIGHT]", multiple=True, shell_complete=completed("adapters"),
    help="A LoRA adapter: a name that zoo show lists, or a folder. Repeat it to combine several.",
)  # fmt: skip
_build = click.option(
    "--build", metavar="B", help="The build, such as mlx-4bit.",
    shell_complete=completed("builds"),
)  # fmt: skip
_format = click.option(
    "--format", metavar="F", help="The format, such as mlx.", shell_complete=completed("formats")
)


def build_choice(command: Command) -> Command:
    """--build, --format and --family."""
    return _build(_format(family(command)))


def adapter_choice(given: Sequence[str]) -> AdapterChoice:
    """What `--adapter`, as often as it is given, stands for in `zoo.load`."""
    weights: dict[str, float] = {}
    weighted = len(given) > 1
    for text in given:
        name, sign, weight = text.rpartition("=")
        try:
            weights[name if sign else text] = float(weight) if sign else 1.0
        except ValueError:
            weights[text] = 1.0  # a folder with an equals sign in its name
        else:
            weighted = weighted or bool(sign)
    return weights if weighted else next(iter(given), None)
