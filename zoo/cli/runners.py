"""How each kind of model is run from the command line.

A runner takes the loaded model, the input, the options given and who listens to its progress, and
yields pieces of text as they come. Add one to `RUNNERS` for each class of model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from zoo.errors import InputError
from zoo.images import ImageModel
from zoo.models import Model, SpeechModel, TextModel
from zoo.progress import Listener


@dataclass(frozen=True)
class Given:
    """The input of `zoo run`: an argument, or what came through a pipe."""

    argument: str | None = None
    piped: bytes = b""

    @property
    def text(self) -> str:
        """The input as text; a pipe's last line break is not part of it."""
        if self.argument is not None:
            return self.argument
        try:
            return self.piped.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"the input is not UTF-8 text: {error}") from error


Runner = Callable[[Model, Given, dict[str, Any], Listener], Iterator[str]]


def text(model: Model, given: Given, options: dict[str, Any], listener: Listener) -> Iterator[str]:
    """Text generation: the pieces of the continuation or answer."""
    yield from cast(TextModel, model).stream(given.text, **options)


def speech(
    model: Model, given: Given, options: dict[str, Any], listener: Listener
) -> Iterator[str]:
    """Speech to text: a line for each segment, or a document of them all."""
    from io import BytesIO

    from zoo.speech import Transcript

    hearing = cast(SpeechModel, model)
    sound = given.argument if given.argument is not None else BytesIO(given.piped)
    form = options.pop("transcript", "text")
    segments = hearing.stream(sound, listener=listener, **options)
    if form == "text":
        for segment in segments:
            yield segment.text.strip() + "\n"
        return
    said = tuple(segments)
    transcript = Transcript("".join(s.text for s in said).strip(), said, hearing.language)
    if form == "json":
        yield transcript.to_json() + "\n"
    else:
        yield transcript.to_srt() if form == "srt" else transcript.to_vtt()


def image(model: Model, given: Given, options: dict[str, Any], listener: Listener) -> Iterator[str]:
    """Text to image: the path of the picture that was written."""
    output = options.pop("output", None)
    if output is None:
        raise InputError("a picture needs a file to be written to", "give one with -o fox.png")
    picture = cast(ImageModel, model).generate(given.text, **options)
    try:
        picture.save(output)
    except (OSError, ValueError) as error:
        raise InputError(f"the picture cannot be written to {output}: {error}") from error
    yield str(output)


RUNNERS: dict[type[Any], Runner] = {TextModel: text, SpeechModel: speech, ImageModel: image}

LINES = (SpeechModel,)
"""Models whose runner yields whole lines, line breaks and all."""


def runner_for(model: Model) -> Runner:
    """The runner of a model's class.

    Raises:
        InputError: the command line cannot run such a model.
    """
    for kind, runner in RUNNERS.items():
        if isinstance(model, kind):
            return runner
    raise InputError(
        f"the command line cannot run a {type(model).__name__}",
        "use it in Python: zoo.load(...)",
    )
