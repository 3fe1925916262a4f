"""How each kind of model is run from the command line.

A runner takes the loaded model, the input, the options given and a listener that is told how far it
is. It yields pieces as they come, text or bytes of a file, and returns what `--json` prints in
place of the text, if it is not the text. Add one to `RUNNERS` for each class of model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
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


Pieces = Generator[str | bytes, None, dict[str, Any] | None]
Runner = Callable[[Model, Given, dict[str, Any], Listener], Iterator[str] | Pieces]


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


def image(model: Model, given: Given, options: dict[str, Any], listener: Listener) -> Pieces:
    """Text to image: the paths of what was written, or the picture itself."""
    from zoo.cli.pictures import draw

    return (yield from draw(cast(ImageModel, model), given.text, options, listener))


RUNNERS: dict[type[Any], Runner] = {TextModel: text, SpeechModel: speech, ImageModel: image}

LINES = (SpeechModel, ImageModel)
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
