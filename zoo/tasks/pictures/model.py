"""The class of text-to-image models."""

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
    """A finished denoising step.

    Attributes:
        number: number of the step, from 1.
        total: number of steps.
        pictures: decodes the current latents to images; each call runs the image decoder.
        seed: the random seed of the first image, chosen at random if none was given.
    """

    number: int
    total: int
    pictures: Callable[[], list[Image]]
    seed: int


class ImageModel(Model):
    """A text-to-image model. Subclasses implement `denoise` and `component_outputs`."""

    @abstractmethod
    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        """Generate images step by step. Subclasses implement it.

        Args:
            prompts: the prompts of a batch, at least one.
            options: how to generate; `seed` is set.
            image: a `PIL.Image` in RGB to start from, or `None`.
            mask: a `PIL.Image` in gray of the same size, white where `image` is regenerated, or
                `None`.

        Yields:
            A `DenoisingStep` after each step.
        """

    @abstractmethod
    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        """Run each component alone on fixed inputs, for checks. Subclasses implement it.

        Args:
            prompt: the prompt for the text encoder.

        Returns: component to a float32 array, which every build computes from the same inputs.
        """

    @takes(ImageOptions)
    def __call__(self, prompt: str, **options: Unpack[ImageArguments]) -> Image:
        return self.generate(prompt, **options)

    @takes(ImageOptions)
    def generate(
        self, prompt: str, *, image: Any = None, mask: Any = None, **options: Unpack[ImageArguments]
    ) -> Image:
        """Generate an image from a prompt.

        Args:
            prompt: description of the image.
            image: a `PIL.Image` or path to start from (image-to-image); see `strength`.
            mask: a `PIL.Image` or path of the same size, white where `image` is regenerated
                (inpainting).
            options: the options of `ImageOptions`.

        Raises:
            InputError: the prompt is empty, an option is invalid, or an image cannot be read or
                used.
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
        """Generate an image for each prompt, as one batch.

        Image n of the batch uses the random seed `seed + n`.

        Args:
            prompts: the prompts.
            image: as for `generate`.
            mask: as for `generate`.
            options: the options of `ImageOptions`.

        Raises:
            InputError: as for `generate`.
        """
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
        """Generate images like `generate_many`, and yield after each denoising step.

        Errors are raised by the call, before iteration starts.

        Args:
            prompts: a prompt, or several.
            image: as for `generate`.
            mask: as for `generate`.
            options: the options of `ImageOptions`.

        Raises:
            InputError: as for `generate`.
        """
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
