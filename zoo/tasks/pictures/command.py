"""Images on the command line: where they are written, and what is reported meanwhile."""

from __future__ import annotations

import itertools
import os
import re
import sys
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.errors import InputError, UsageError
from zoo.progress import Event, Listener, Progress
from zoo.tasks.pictures.image_file import open_image
from zoo.tasks.pictures.inline import inline
from zoo.words import suggest

if TYPE_CHECKING:
    from PIL.Image import Image

    from zoo.tasks.pictures.model import ImageModel

STDOUT = "-"
STEP = "generate"
NAME_WORDS, NAME_LETTERS = 6, 40
"""How much of a prompt names its picture."""


@dataclass(frozen=True)
class Output:
    """Where pictures go.

    Attributes:
        paths: a file for each picture; none when it goes to stdout.
        kind: how they are encoded, by PIL's name.
    """

    paths: tuple[Path, ...]
    kind: str = "PNG"

    @classmethod
    def of(cls, name: str, count: int) -> Output:
        """What `-o` means for so many pictures, of which `fox.png` becomes `fox-1.png`, ...

        Raises:
            InputError: its ending is of no kind of picture.
            UsageError: stdout is asked for more than one picture, or is a terminal.
        """
        if name == STDOUT:
            if count > 1:
                raise UsageError(f"stdout takes one picture, not {count}", "give -o fox.png")
            if sys.stdout.isatty():
                raise UsageError("a terminal cannot show a PNG", "give -o fox.png, or a pipe")
            return cls(())
        path = Path(name)
        kind = _kind(path)
        if count == 1:
            return cls((path,), kind)
        numbers = range(1, count + 1)
        return cls(tuple(path.with_stem(f"{path.stem}-{n}") for n in numbers), kind)

    def require_writable(self) -> None:
        """Refuse what cannot be written to, before anything is generated.

        Raises:
            InputError: the folder is not there, or a file cannot be opened in it.
        """
        for path in self.paths:
            if not path.parent.is_dir():
                raise InputError(
                    f"the folder '{path.parent}' for {path.name} does not exist", "make it first"
                )
            try:
                before = path.exists()
                with path.open("ab"):
                    pass
            except OSError as error:
                raise _unwritable(path, error) from error
            if not before:
                path.unlink()

    def write(self, pictures: list[Image]) -> None:
        """Write the pictures to their files, in place of what was there."""
        for path, picture in zip(self.paths, pictures, strict=True):
            try:
                path.write_bytes(self.encoded(picture))
            except OSError as error:
                raise _unwritable(path, error) from error

    def encoded(self, picture: Image) -> bytes:
        """Return an image as the bytes of a file."""
        made = BytesIO()
        picture.save(made, self.kind)
        return made.getvalue()


def prepare(options: Mapping[str, Any], as_json: bool = False) -> None:
    """Refuse options that no image can be generated with, before a model is fetched or loaded.

    Raises:
        InputError, UsageError: what of the output, or of the images given, is wrong.
    """
    if as_json and options.get("output") == STDOUT:
        raise UsageError("stdout takes a picture or JSON, not both", "give -o fox.png")
    output = Output.of(options.get("output", "image.png"), options.get("count", 1))
    if options.get("preview") and not output.paths:
        raise UsageError("a preview is written to a file, not to stdout", "give -o fox.png")
    output.require_writable()
    for what in ("image", "mask"):
        if what in options:
            open_image(options[what], what)


def generate(
    model: ImageModel, prompt: str, options: dict[str, Any], listener: Listener
) -> Generator[str | bytes, None, dict[str, Any]]:
    """Generate the images of a prompt.

    Args:
        model: which generates.
        prompt: what the picture shows.
        options: those of the command line: `output`, `count`, `preview`, and the model's.
        listener: receives the steps, and the warnings of the model.

    Yields: the paths, each with what shows its picture where a terminal can, or the bytes of the
        picture for stdout.

    Returns: what `--json` prints: the paths and the seed.
    """
    prepare(options)
    count, every = options.pop("count", 1), options.pop("preview", None)
    chosen = options.get("seed") is None
    name = options.pop("output", None)
    output = Output.of(unused_name(prompt, count) if name is None else name, count)
    progress = Progress(STEP, listener)
    with _warnings_as_notes(progress):
        steps = model.stream([prompt] * count, **options)
        listener(Event(STEP, "start"))
        for step in steps:
            progress.update(step.number, step.total, "steps")
            if every and step.number % every == 0 and step.number < step.total:
                output.write(step.pictures())
            last = step
        pictures = last.pictures()
    listener(Event(STEP, "done"))
    output.write(pictures if output.paths else [])
    if chosen:
        listener(Event(STEP, "note", message=f"--seed {last.seed} generates the same again"))
    if output.paths:
        for path, picture in zip(output.paths, pictures, strict=True):
            yield f"{path}\n"
            if shown := inline(picture):
                yield shown
    else:
        yield output.encoded(pictures[0])
    return {"output": [str(path) for path in output.paths], "seed": last.seed}


def unused_name(prompt: str, count: int) -> str:
    """Return a file name for a prompt's images that no file in the working folder has."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())[:NAME_WORDS]
    stem = "-".join(words)[:NAME_LETTERS].strip("-") or "image"
    for number in itertools.count(1):
        name = f"{stem}.png" if number == 1 else f"{stem}-{number}.png"
        if not any(os.path.lexists(path) for path in Output.of(name, count).paths):
            return name
    raise AssertionError("unreachable")


def _kind(path: Path) -> str:
    """The kind of picture that the ending of a file means.

    Raises:
        InputError: it means none, or one that this PIL cannot write in color.
    """
    from PIL import Image

    Image.init()
    endings: dict[str, str] = Image.registered_extensions()
    known = {ending: kind for ending, kind in endings.items() if kind in Image.SAVE}
    ending = path.suffix.lower()
    if not ending:
        raise InputError(
            f"'{path}' has no file extension, which selects the image format", f"try {path}.png"
        )
    if ending not in known:
        raise InputError(
            f"'{path}' ends in {path.suffix}, which is not an image format that PIL can write"
            + suggest(ending, known),
            f"try {path.with_suffix('.png')}",
        )
    try:
        Image.new("RGB", (8, 8)).save(BytesIO(), known[ending])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"'{path}' ends in {path.suffix}, and PIL cannot write an image in that "
            f"format: {error}",
            f"try {path.with_suffix('.png')}",
        ) from error
    return known[ending]


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"the picture cannot be written to {path}: {error.strerror or error}")


@contextmanager
def _warnings_as_notes(progress: Progress) -> Iterator[None]:
    """What a model warns of becomes a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: progress.note(str(message))
        yield


def flags() -> tuple[click.Option, ...]:
    """Return the options of `zoo run` that are not call options."""
    count, every = click.IntRange(1, 64), click.IntRange(1)
    return (
        click.Option(
            ["-o", "--output"],
            help="Output file, such as fox.png; - for stdout. By default named after the prompt.",
        ),
        click.Option(["--count"], type=count, help="Number of images, with consecutive seeds."),
        click.Option(["--preview"], type=every, help="Also write the image every N steps."),
        click.Option(["--image"], help="Start from this image (img2img)."),
        click.Option(["--mask"], help="Inpainting mask: white areas of --image are generated."),
    )
