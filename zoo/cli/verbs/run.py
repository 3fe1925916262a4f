"""`zoo run`: load a model and run it on an input, streaming its output.

JSON: {text, statistics: {prompt_tokens, tokens, seconds, first_seconds, finish_reason,
tokens_per_second}, ref, build, format}, with statistics of language models alone; of images
{output: [paths], seed, ref, build, format}, where image n of several is that of seed + n.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, cast

import click

from zoo.cli import options, output
from zoo.cli.drawing import drawing, hidden
from zoo.cli.task_options import TaskCommand, named_task
from zoo.cli.terminal import has_colors
from zoo.display.streams import diverted
from zoo.errors import InputError
from zoo.words import harmless, human

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.task import Given, Output

LARGEST_INPUT = 1 << 30
"""Bytes that are read from a pipe: three hours of audio in float32, and any prompt."""


@click.command(name="run", cls=TaskCommand)
@options.model
@click.argument("input", required=False)
@options.build_choice
@options.adapters
@options.no_check
@click.option(
    "--force", is_flag=True, help="Load even if the model is not expected to fit in memory."
)
@options.as_json
@options.quiet
@click.pass_context
def command(
    ctx: click.Context,
    /,
    name: str,
    input: str | None,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: tuple[str, ...],
    no_check: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    **given_options: Any,
) -> None:
    """Run a model, building it first if needed.

    INPUT depends on the task: a prompt, or the path of an audio file; without one, or with -, it
    is read from stdin. The options depend on the task too: zoo run NAME --help lists the model's.
    A terminal shows the prompt dimly before its answer, and images inline where it can.
    """
    wanted = {k: v for k, v in given_options.items() if v not in (None, ())}
    recipe, task = named_task(ctx)
    calls = task.options()
    call = {k: v for k, v in wanted.items() if k in calls.names()}
    calls.of({**recipe.defaults, **call})
    task.prepare(wanted, as_json=as_json)
    given = _given(input)
    task.check_input(given)
    from zoo import api

    with drawing(quiet) as listener:
        model = api.load(
            name,
            build=build,
            format=format,
            family=family,
            adapter=options.adapter_choice(adapter),
            check=not no_check,
            force=force,
            listener=listener,
        )
    with model, drawing(quiet) as listener:
        echo = task.echo(model, given, wanted) if has_colors() and not (as_json or quiet) else ""
        pieces = _quietly(lambda: task.run(model, given, wanted, listener))
        if as_json:
            where = {"ref": model.ref, "build": model.build, "format": model.format}
            facts = _facts(pieces, task.lines)
            with hidden(listener):
                output.document({**facts, **where})
            return
        for number, piece in enumerate(pieces):
            with hidden(listener):
                if echo and number == 0:
                    output.prompt(echo)
                _write(piece)
    if not task.lines:
        output.tell()
    _say_how_it_went(model, ctx.obj.verbose)


def _say_how_it_went(model: Model, verbose: bool) -> None:
    """What a generation took, where that is asked for, and that it was cut off."""
    took = getattr(model, "last", None)
    if took is None:
        return
    if verbose:
        output.note(str(took))
    elif took.finish_reason == "length" and sys.stderr.isatty():
        output.note(f"cut off after {took.tokens} tokens; --max-tokens sets another limit")


def _quietly(run: Callable[[], Output]) -> Generator[str | bytes, None, dict[str, Any] | None]:
    """What a task's `run` yields and returns; what else is printed meanwhile goes to stderr."""
    with diverted():
        pieces = iter(run())
    while True:
        try:
            with diverted():
                piece = next(pieces)
        except StopIteration as end:
            return cast("dict[str, Any] | None", end.value)
        yield piece


def _write(piece: str | bytes) -> None:
    """A piece to stdout, at once: text, or bytes of a file.

    What a model writes cannot steer a terminal; a pipe gets it as it is.
    """
    if isinstance(piece, str):
        sys.stdout.write(harmless(piece) if sys.stdout.isatty() else piece)
    else:
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _facts(pieces: Iterable[str | bytes], lines: bool) -> dict[str, Any]:
    """What a task's `run` returns, or else the text that it yields."""
    said: list[str | bytes] = []
    rest = iter(pieces)
    while True:
        try:
            said.append(next(rest))
        except StopIteration as end:
            text = "".join(piece for piece in said if isinstance(piece, str))
            whole = {"text": text.removesuffix("\n") if lines else text}
            return whole if end.value is None else end.value


def _given(argument: str | None) -> Given:
    """The input, read before anything is fetched or loaded."""
    from zoo.tasks.task import Given

    if argument is None and sys.stdin.isatty():
        raise click.UsageError("give an INPUT, or pipe one in", click.get_current_context())
    piped = argument in (None, "-")
    given = Given(piped=_piped()) if piped else Given(argument)
    if not (given.argument or given.piped.strip()):
        raise InputError("the input is empty", "give a prompt, or pipe one in")
    return given


def _piped() -> bytes:
    """What comes through the pipe.

    Raises:
        InputError: it is more than any input; nothing more is read.
    """
    data = sys.stdin.buffer.read(LARGEST_INPUT + 1)
    if len(data) > LARGEST_INPUT:
        raise InputError(
            f"the input on stdin has over {human(LARGEST_INPUT)}", "give the path of a file instead"
        )
    return data
