"""Text to image: what a model of pictures is, and how a picture is asked for."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.tasks.model import Model
from zoo.words import suggest

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = ("RGB", "L", "1")
"""Kinds of picture that can be drawn on; others hold what would be lost, such as transparency."""


@dataclass(frozen=True)
class ImageOptions:
    """How a picture is drawn.

    Attributes:
        negative: what the picture should be away from.
        steps: of denoising, from noise to picture.
        guidance: how much more the prompt counts than its absence; 1 or less leaves that out and
            halves the work (https://arxiv.org/abs/2207.12598).
        seed: same seed, same picture, in every format up to rounding; picture n of a batch is
            that of seed + n.
        width: in pixels; by default what the model was trained for.
        height: in pixels, likewise.
        scheduler: the sampler, such as `ddim`; by default the source's own.
        strength: how much of a picture that is given is drawn anew, above 0 and at most 1.
        safety: whether a picture that the model's safety checker flags, if it has one, is black.
    """

    negative: str = ""
    steps: int = 20
    guidance: float = 7.5
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    strength: float = 0.8
    safety: bool = True

    def __post_init__(self) -> None:
        for name, good, meaning in (
            ("steps", 1 <= self.steps <= 1000, "from 1 to 1000"),
            ("guidance", 0 <= self.guidance < float("inf"), "0 or more"),
            ("seed", self.seed is None or 0 <= self.seed < 2**63, "0 or more"),
            ("strength", 0 < self.strength <= 1, "above 0 and at most 1"),
        ):
            if not good:
                raise InputError(f"{name} must be {meaning}, not {getattr(self, name)!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ImageOptions:
        """What keyword options ask for.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"pictures have no option '{name}'" + suggest(name, known))
        return cls(**options)


@dataclass(frozen=True)
class DenoisingStep:
    """A step of denoising that was taken.

    Attributes:
        number: from 1.
        total: how many there will be.
        pictures: draws the pictures as they are now, which takes a pass of the decoder.
        seed: that of the first picture, also where none was asked for.
    """

    number: int
    total: int
    pictures: Callable[[], list[Image]]
    seed: int


class ImageModel(Model):
    """Text to image. Implementers write `denoise` and `component_outputs`."""

    @abstractmethod
    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        """Draw a picture for each prompt, step by step.

        Args:
            prompts: at least one.
            options: how. It has a seed.
            image: a `PIL.Image` to go on from, or `None`.
            mask: a `PIL.Image`, white where `image` is drawn anew, or `None`.
        """

    @abstractmethod
    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        """What each component makes of inputs that are the same for every build.

        Returns: float32 arrays by name of the component, for checks.
        """

    def __call__(self, prompt: str, **options: Any) -> Image:
        return self.generate(prompt, **options)

    def generate(
        self, prompt: str, *, image: Any = None, mask: Any = None, **options: Any
    ) -> Image:
        """The picture of a prompt.

        Args:
            prompt: what it shows.
            image: a `PIL.Image` or path to go on from (image to image); see `strength`.
            mask: a `PIL.Image` or path of the same size, white where `image` is drawn anew.
            options: those of `ImageOptions`.

        Raises:
            InputError: an empty prompt, a bad option, a picture that cannot be read or drawn on.
        """
        return self.generate_many([prompt], image=image, mask=mask, **options)[0]

    def generate_many(
        self, prompts: Sequence[str], *, image: Any = None, mask: Any = None, **options: Any
    ) -> list[Image]:
        """The pictures of prompts, drawn together; as `generate` with seeds one after another."""
        for step in self.stream(prompts, image=image, mask=mask, **options):
            last = step
        return last.pictures()

    def stream(
        self,
        prompts: str | Sequence[str],
        *,
        image: Any = None,
        mask: Any = None,
        **options: Any,
    ) -> Iterator[DenoisingStep]:
        """As `generate_many`, step by step. A fault of the input is raised at once."""
        self.require_open()
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not texts:
            raise InputError("there is no prompt", "say what the picture shows")
        for text in texts:
            if not isinstance(text, str):
                raise InputError(f"the prompt must be text, not {type(text).__name__}")
            if not text.strip():
                raise InputError("the prompt is empty", "say what the picture shows")
        if mask is not None and image is None:
            raise InputError("a mask needs the image that it belongs to", "give image too")
        asked = ImageOptions.of({**self.defaults, **options})
        if asked.seed is None:
            asked = replace(asked, seed=secrets.randbits(32))
        shown = None if image is None else open_image(image, "image").convert("RGB")
        veil = None if mask is None else open_image(mask, "mask").convert("L")
        if shown is not None and veil is not None and shown.size != veil.size:
            raise InputError(f"the mask is {_size(veil)}, and the image {_size(shown)}")
        return self.denoise(texts, asked, shown, veil)


def open_image(given: Any, what: str) -> Image:
    """The picture at a path, or the one given.

    Raises:
        InputError: there is none, it is damaged, or of a mode that would lose something.
    """
    from PIL import Image, UnidentifiedImageError

    if not isinstance(given, Image.Image):
        try:
            with Image.open(given) as opened:
                opened.load()
                given = opened
        except FileNotFoundError:
            raise InputError(f"the {what} {given} does not exist") from None
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise InputError(f"the {what} {given} cannot be read: {error}") from error
        except (AttributeError, TypeError, ValueError):
            kind = type(given).__name__
            raise InputError(f"the {what} must be a PIL.Image or a path, not {kind}") from None
    if given.mode not in MODES:
        raise InputError(
            f"the {what} has the mode '{given.mode}', and only {', '.join(MODES)} are drawn on",
            'convert it first, such as with image.convert("RGB")',
        )
    return given


def _size(image: Image) -> str:
    return f"{image.width}x{image.height}"
