"""`zoo run`: load a model and run it on an input, streaming what it says.

JSON: {text, ref, build, format}; of pictures {output: [paths], seed, ref, build, format}, where
picture n of several is that of seed + n.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options, output
from zoo.cli.drawing import drawing, hidden
from zoo.errors import InputError, UsageError
from zoo.tasks.pictures.command import IMAGE_OPTIONS
from zoo.tasks.speech.command import SPEECH_OPTIONS
from zoo.tasks.text.command import TEXT_OPTIONS

if TYPE_CHECKING:
    from zoo.tasks.task import Given


def text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of text generation, of speech and of pictures."""
    for option in reversed(TEXT_OPTIONS + SPEECH_OPTIONS + IMAGE_OPTIONS):
        command = option(command)
    return command


@click.command(name="run")
@click.argument("name")
@click.argument("input", required=False)
@options.build_choice
@options.adapter
@options.no_check
@click.option("--force", is_flag=True, help="Load even what is not thought to fit the memory.")
@text_options
@options.as_json
@options.quiet
def command(
    name: str,
    input: str | None,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: str | None,
    no_check: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    **given_options: Any,
) -> None:
    """Run a model, making what is missing.

    INPUT is the prompt, or the path of a sound; without one, or with -, it is read from stdin.
    """
    given = _given(input)
    wanted = {k: v for k, v in given_options.items() if v not in (None, ())}
    from zoo import api
    from zoo.cli.runners import LINES, runner_for

    if api.show(name, family=family).task == "text-to-image":
        _check_pictures(wanted, as_json)
    with drawing(quiet) as listener:
        model = api.load(
            name,
            build=build,
            format=format,
            family=family,
            adapter=adapter,
            check=not no_check,
            force=force,
            listener=listener,
        )
    lines = isinstance(model, LINES)
    with model, drawing(quiet) as listener:
        pieces = runner_for(model)(model, given, wanted, listener)
        if as_json:
            where = {"ref": model.ref, "build": model.build, "format": model.format}
            facts = _facts(pieces, lines)
            with hidden(listener):
                output.document({**facts, **where})
            return
        for piece in pieces:
            with hidden(listener):
                _write(piece)
    if not lines:
        output.tell()


def _write(piece: str | bytes) -> None:
    """A piece to stdout, at once: text, or bytes of a file."""
    if isinstance(piece, str):
        sys.stdout.write(piece)
    else:
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _facts(pieces: Iterable[str | bytes], lines: bool) -> dict[str, Any]:
    """What a runner returns, or else the text that it says."""
    said: list[str | bytes] = []
    rest = iter(pieces)
    while True:
        try:
            said.append(next(rest))
        except StopIteration as end:
            text = "".join(piece for piece in said if isinstance(piece, str))
            whole = {"text": text.removesuffix("\n") if lines else text}
            return whole if end.value is None else end.value


def _check_pictures(wanted: dict[str, Any], as_json: bool) -> None:
    """Refuse what cannot be drawn or written, before anything is fetched or loaded."""
    from zoo.tasks.pictures import command

    if as_json and wanted.get("output") == command.STDOUT:
        raise UsageError("stdout takes a picture or JSON, not both", "give -o fox.png")
    command.check(wanted)


def _given(argument: str | None) -> Given:
    """The input, read before anything is fetched or loaded."""
    from zoo.tasks.task import Given

    if argument is None and sys.stdin.isatty():
        raise click.UsageError("give an INPUT, or pipe one in", click.get_current_context())
    piped = argument in (None, "-")
    given = Given(piped=sys.stdin.buffer.read()) if piped else Given(argument)
    if not (given.argument or given.piped.strip()):
        raise InputError("the input is empty", "give a prompt, or a pipe that says something")
    return given
