"""Text to image as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from zoo.tasks.task import HIGHER, LOWER, Given, Metric, Output, Scorer, Task

if TYPE_CHECKING:
    import click

    from zoo.progress import Listener
    from zoo.tasks.model import Model
    from zoo.tasks.pictures.model import ImageModel
    from zoo.tasks.pictures.options import ImageOptions


class TextToImage(Task):
    """The task of generating an image from a prompt, and optionally from another image."""

    title = "Text to image"
    label = "image"
    synonyms = ("picture", "pictures", "images", "diffusion", "txt2img", "image-generation", "art")
    input = "the prompt"
    example = '"a red fox in the snow" -o fox.png'
    python_example = 'model.generate("a red fox in the snow", seed=7).save("fox.png")'
    metrics: ClassVar[Mapping[str, Metric]] = {
        "picture_psnr": Metric("PSNR of all images together, in decibels", HIGHER),
        "worst_picture_psnr": Metric("PSNR of the image that differs most, in decibels", HIGHER),
        "*_psnr": Metric("PSNR of a component on the same inputs, in decibels", HIGHER),
        "scorer": Metric("share of images that the scorer accepts", HIGHER),
        "source_scorer": Metric("the same share for the source"),
        "scorer_loss": Metric("how much lower the share of the build is", LOWER),
        "pictures": Metric("number of images"),
    }
    faithful: ClassVar[Mapping[str, float]] = {"picture_psnr": 20.0}
    scored = True
    lines = True

    def model(self) -> type[ImageModel]:
        from zoo.tasks.pictures.model import ImageModel

        return ImageModel

    def options(self) -> type[ImageOptions]:
        from zoo.tasks.pictures.options import ImageOptions

        return ImageOptions

    def measure(
        self,
        inputs: Sequence[Path],
        source: Callable[[], Model],
        build: Callable[[], Model],
        scorer: Scorer | None = None,
    ) -> dict[str, float]:
        from zoo.tasks.pictures.check import measure_pictures

        return measure_pictures(list(inputs), source, build, scorer)

    def flags(self) -> Sequence[click.Option]:
        from zoo.tasks.pictures.command import flags

        return flags()

    def prepare(self, options: Mapping[str, Any], *, as_json: bool) -> None:
        from zoo.tasks.pictures.command import prepare

        prepare(options, as_json)

    def run(
        self, model: Model, given: Given, options: dict[str, Any], listener: Listener
    ) -> Output:
        """Yield the paths of the files written, or the image itself."""
        from zoo.tasks.pictures.command import generate

        return generate(cast("ImageModel", model), given.text, options, listener)


TASK = TextToImage()
