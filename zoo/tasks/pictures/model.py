"""Text to image: what a model of pictures is, and how a picture is asked for."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from zoo.errors import InputError
from zoo.tasks.model import Model
from zoo.tasks.options import takes
from zoo.tasks.pictures.image_file import open_image
from zoo.tasks.pictures.options import ImageArguments, ImageOptions

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class DenoisingStep:
    """A step of denoising that was taken.

    Attributes:
        number: from 1.
        total: how many there will be.
        pictures: decodes the images as they are now, which takes a pass of the decoder.
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
        """Generate an image for each prompt, step by step.

        Args:
            prompts: at least one.
            options: how. It has a seed.
            image: a `PIL.Image` to start from, or `None`.
            mask: a `PIL.Image`, white where `image` is regenerated, or `None`.
        """

    @abstractmethod
    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        """What each component makes of inputs that are the same for every build.

        Returns: float32 arrays by name of the component, for checks.
        """

    @takes(ImageOptions)
    def __call__(self, prompt: str, **options: Unpack[ImageArguments]) -> Image:
        return self.generate(prompt, **options)

    @takes(ImageOptions)
    def generate(
        self, prompt: str, *, image: Any = None, mask: Any = None, **options: Unpack[ImageArguments]
    ) -> Image:
        """The picture of a prompt.

        Args:
            prompt: what it shows.
            image: a `PIL.Image` or path to start from (image to image); see `strength`.
            mask: a `PIL.Image` or path of the same size, white where `image` is regenerated.
            options: those of `ImageOptions`.

        Raises:
            InputError: an empty prompt, a bad option, an image that cannot be read or used.
        """
        return self.generate_many([prompt], image=image, mask=mask, **options)[0]

    @takes(ImageOptions)
    def generate_many(
        self,
        prompts: Sequence[str],
        *,
        image: Any = None,
        mask: Any = None,
        **options: Unpack[ImageArguments],
    ) -> list[Image]:
        """The images of prompts, generated as one batch; as `generate` with consecutive seeds."""
        for step in self.stream(prompts, image=image, mask=mask, **options):
            last = step
        return last.pictures()

    @takes(ImageOptions)
    def stream(
        self,
        prompts: str | Sequence[str],
        *,
        image: Any = None,
        mask: Any = None,
        **options: Unpack[ImageArguments],
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
            _require_text(text, "prompt")
        if mask is not None and image is None:
            raise InputError("a mask needs the image that it belongs to", "give image too")
        asked = ImageOptions.of({**self.defaults, **options})
        _require_text(asked.negative, "negative prompt")
        if asked.seed is None:
            asked = replace(asked, seed=secrets.randbits(32))
        shown = None if image is None else open_image(image, "image").convert("RGB")
        veil = None if mask is None else open_image(mask, "mask").convert("L")
        if shown is not None and veil is not None and shown.size != veil.size:
            raise InputError(f"the mask is {_size(veil)}, and the image {_size(shown)}")
        return self.denoise(texts, asked, shown, veil)


def _require_text(text: str, what: str) -> None:
    """Refuse what stands for bytes that are no UTF-8, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the {what} is not UTF-8 text: {error.reason}") from error


def _size(image: Image) -> str:
    return f"{image.width}x{image.height}"
