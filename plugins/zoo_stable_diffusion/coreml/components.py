"""The components of a pipeline, converted to Core ML one after another."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import zoo
from zoo.formats import (
    LowRank,
    Tensors,
    changed_parts,
    link_or_copy,
    read_adapters,
    read_json,
    read_options,
)
from zoo.formats.coreml import Axis, Input, about, add_branches, split_package, write_traced
from zoo_stable_diffusion.config import DiffusionConfig, weights_of
from zoo_stable_diffusion.loading import load_module, load_tokenizer
from zoo_stable_diffusion.model import BESIDE
from zoo_stable_diffusion.safety import CARES, CHECKER, CONCEPTS
from zoo_stable_diffusion.schedulers import Schedule

UNET, DECODER, ENCODER = "unet", "vae_decoder", "vae_encoder"
SUFFIX = ".mlpackage"

TOKENS = 77
"""Of each prompt, as CLIP was trained."""

MOST_AT_ONCE = 2
"""Rows that go through the U-Net together: the negative prompt and the prompt of a picture."""

LARGER = 2
"""Largest side, as a multiple of the one that a model was trained for."""

FUSED, OLDEST = 18, 16
"""The version of iOS since which attention is one operation, and the first that is supported."""


@dataclass(frozen=True)
class DiffusionOptions:
    """Options of a build in the format `coreml`."""

    attention: Literal["fused", "split-einsum"] | None = field(
        default=None,
        metadata={
            "doc": "one operation, for a GPU, or one product for each head, for the Neural Engine; "
            "by default fused where the system can"
        },
    )
    chunks: Literal[1, 2] = field(
        default=1, metadata={"doc": "packages that the U-Net is in; 2 for phones"}
    )


@dataclass(frozen=True)
class Target:
    """What a build is made for.

    Attributes:
        system: the oldest, such as `iOS18`.
        split: whether attention is split into one product for each head.
        chunks: how many packages the U-Net is in.
    """

    system: str
    split: bool
    chunks: int = 1

    @property
    def old(self) -> bool:
        """Whether it is for systems before iOS 18, which know no passes and no styles."""
        return int(self.system.removeprefix("iOS")) < FUSED


def read_target(recipe: zoo.Recipe, build: zoo.Build) -> Target:
    """What the build is made for, by its `minimum_os` and its options.

    Raises:
        RecipeError: an option or a system that is not known, or passes for a system without them.
    """
    options = read_options(DiffusionOptions, recipe, build)
    number = _ios(recipe, build.minimum_os or f"iOS{FUSED}")
    old = number < FUSED
    if old and options.attention == "fused":
        raise zoo.RecipeError(f"'{recipe.ref}' asks for fused attention, which iOS {FUSED} brings")
    if old and build.optimize:
        raise zoo.RecipeError(
            f"'{recipe.ref}' asks for passes, and a system before iOS {FUSED} reads none of them",
            hint=f'leave them out, or say minimum_os = "iOS{FUSED}"',
        )
    split = old or options.attention == "split-einsum"
    return Target(f"iOS{min(number, FUSED)}", split, options.chunks)


def _ios(recipe: zoo.Recipe, systems: str) -> int:
    """The version of iOS in a list such as `iOS18, macOS15`."""
    for name in systems.split(","):
        number = name.strip().removeprefix("iOS")
        if number.isdigit() and int(number) >= OLDEST:
            return int(number)
    raise zoo.RecipeError(
        f"'{recipe.ref}' has minimum_os = '{systems}', which names no iOS from {OLDEST} on"
    )


def read_styles(
    recipe: zoo.Recipe, source: Path, adapters: Mapping[str, Path], target: Target
) -> dict[str, dict[str, LowRank]]:
    """What each LoRA style adds to which weight of the U-Net.

    Raises:
        RecipeError: there are styles, and the build is for a system that knows none.
        IntegrityError: a style is damaged, or of another model.
    """
    if adapters and target.old:
        raise zoo.RecipeError(
            f"'{recipe.ref}' has the style '{min(adapters)}', and Core ML can choose one at run "
            f"time since iOS {FUSED}",
            hint=f'build for minimum_os = "iOS{FUSED}", or leave the styles out',
        )
    for name, folder in adapters.items():
        if others := sorted(changed_parts(folder) - {UNET}):
            raise zoo.RecipeError(
                f"the style '{name}' changes {' and '.join(others)} too, and in Core ML styles are "
                "functions of the U-Net alone",
                hint="use it with format = 'torch' or 'mlx', or fuse it into the model with "
                "diffusers' fuse_lora",
            )
    unet = Tensors(source / UNET, weights_of(source, UNET))
    return read_adapters(adapters, unet.shapes, UNET)


class Conversion:
    """The conversion of one pipeline.

    Args:
        recipe: says what the packages tell of themselves.
        config: of the pipeline.
        source: its folder.
        workdir: where the packages go.
        target: what they are for.
        styles: for each LoRA style, what it adds to which weight of the U-Net.
    """

    def __init__(
        self,
        recipe: zoo.Recipe,
        config: DiffusionConfig,
        source: Path,
        workdir: Path,
        target: Target,
        styles: Mapping[str, Mapping[str, LowRank]],
    ) -> None:
        self.config, self.source, self.workdir, self.target = config, source, workdir, target
        self.styles = styles
        self.about = about(
            recipe,
            system=target.system,
            units="all" if target.split else "cpuAndGPU",
            details={"attention": "split-einsum" if target.split else "fused"},
        )
        self.unet = read_json(source / UNET / "config.json")

    def run(self, progress: zoo.Progress) -> None:
        """Write every package. One component at a time is in memory.

        Raises:
            IntegrityError: a component is missing, damaged or pickled.
        """
        parts = ["vae", UNET, *self.config.encoders, *([CHECKER] if self.config.checked else [])]
        for name in parts:
            weights_of(self.source, name)  # what is wrong is said now, not after minutes
        for name in self.config.encoders:
            load_tokenizer(self.source, name)
        Schedule(self.config.schedule, self.config.corrections)
        steps: list[Callable[[], None]] = [self.write_decoder, self.write_encoder, self.write_unet]
        steps += [partial(self.write_text, name) for name in self.config.encoders]
        if self.config.checked:
            steps.append(self.write_checker)
        for done, step in enumerate(steps):
            progress.update(done, len(steps), "packages")
            step()
            gc.collect()
        progress.update(len(steps), len(steps), "packages")
        self.copy_the_rest()

    def write_text(self, name: str) -> None:
        """A text encoder; its mask is far below any score, but no infinity."""
        import torch
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        from zoo_stable_diffusion.coreml.module import TextEncoder

        sized = self.config.sized
        kind = CLIPTextModelWithProjection if name[-1] == "2" else CLIPTextModel
        self.write(
            TextEncoder(self.load(kind, name), sized),
            {"input_ids": Input((1, TOKENS), "float32")},
            [torch.ones(1, TOKENS)],
            ["hidden_embeds" if sized else "last_hidden_state", "pooled_outputs"],
            name,
        )

    def write_unet(self) -> None:
        import torch
        from diffusers import UNet2DConditionModel

        from zoo_stable_diffusion.coreml.module import UNet
        from zoo_stable_diffusion.coreml.split_einsum_module import split_attention

        unet = self.load(UNet2DConditionModel, UNET)
        if self.target.split:
            split_attention(unet)
        count = Axis(1, MOST_AT_ONCE, MOST_AT_ONCE)
        high, wide = self.sides()
        width, channels = self.unet.get("cross_attention_dim", 1280), self.config.given
        rows, least = MOST_AT_ONCE, high.least
        inputs = {
            "sample": Input((count, channels, high, wide), "float32"),
            "timestep": Input((count,), "float32"),
            "encoder_hidden_states": Input((count, width, 1, TOKENS), "float32"),
        }
        example = [
            torch.zeros(rows, channels, least, 2 * least),
            torch.zeros(rows),
            torch.zeros(rows, width, 1, TOKENS),
        ]
        if self.config.sized:
            sizes = 5 if self.config.scored else 6
            of_sizes = sizes * self.unet["addition_time_embed_dim"]
            pooled = self.unet["projection_class_embeddings_input_dim"] - of_sizes
            inputs["time_ids"] = Input((count, sizes), "float32")
            inputs["text_embeds"] = Input((count, pooled), "float32")
            example += [torch.zeros(rows, sizes), torch.zeros(rows, pooled)]
        if width := self.config.guided_inside:
            inputs["timestep_cond"] = Input((count, width), "float32")
            example.append(torch.zeros(rows, width))
        self.write(
            UNet(unet, self.config.sized), inputs, example, ["noise_pred"], UNET, self.wide_in_unet
        )
        package = self.workdir / f"{UNET}{SUFFIX}"
        if self.styles:
            add_branches(package, self.styles, "unet")
        if self.target.chunks == 2:
            split_package(package)
            shutil.rmtree(package)

    def write_decoder(self) -> None:
        import torch
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.coreml.module import Decoder

        high, wide = self.sides()
        channels = self.config.channels
        self.write(
            Decoder(self.load(AutoencoderKL, "vae")),
            {"z": Input((1, channels, high, wide), "float32")},
            [torch.zeros(1, channels, high.least, 2 * high.least)],
            ["image"],
            DECODER,
            self.wide_in_vae(),
        )

    def write_encoder(self) -> None:
        import torch
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.coreml.module import Encoder

        high, wide = self.sides(self.config.factor)
        self.write(
            Encoder(self.load(AutoencoderKL, "vae")),
            {"x": Input((1, 3, high, wide), "float32")},
            [torch.zeros(1, 3, high.least, 2 * high.least)],
            ["latent"],
            ENCODER,
            self.wide_in_vae(),
        )

    def write_checker(self) -> None:
        import torch
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        from zoo_stable_diffusion.coreml.module import SafetyChecker

        checker = self.load(StableDiffusionSafetyChecker, CHECKER)
        side = checker.config.vision_config.image_size
        self.write(
            SafetyChecker(checker),
            {
                "clip_input": Input((1, 3, side, side), "float32"),
                "adjustment": Input((1,), "float32"),
            },
            [torch.zeros(1, 3, side, side), torch.zeros(1)],
            ["has_nsfw_concepts", "concept_scores"],
            CHECKER,
            is_score,
        )

    def write(
        self,
        module: Any,
        inputs: dict[str, Input],
        example: list[Any],
        outputs: list[str],
        name: str,
        wide: Callable[[Any], bool] = lambda operation: False,
    ) -> None:
        """One package; `wide` says which operations are computed in float32."""
        write_traced(
            module,
            inputs,
            example,
            outputs,
            self.workdir / f"{name}{SUFFIX}",
            metadata=self.about,
            keep_float32=wide,
            system=self.target.system,
            consume=True,
        )

    def load(self, kind: Any, component: str) -> Any:
        """A component in float32."""
        return load_module(kind, self.source, component)

    def sides(self, factor: int = 1) -> tuple[Axis, Axis]:
        """Height and width of a latent picture, times `factor`."""
        least = 2 ** (len(self.unet["block_out_channels"]) - 1)

        def axis(pixels: int) -> Axis:
            usual = pixels // self.config.factor
            bounds = [factor * side for side in (least, max(LARGER * usual, 2 * least), usual)]
            return Axis(*bounds)

        return axis(self.config.height), axis(self.config.width)

    @property
    def wide_in_unet(self) -> Callable[[Any], bool]:
        """Angles of time, which float16 gets wrong, and, save on the Neural Engine, moments."""
        if self.target.split:
            return is_angle
        return lambda operation: is_angle(operation) or is_moment(operation)

    def wide_in_vae(self) -> Callable[[Any], bool]:
        """Moments; for SDXL everything, unless its makers say that float16 holds it."""
        vae = read_json(self.source / "vae" / "config.json")
        if self.config.sized and vae.get("force_upcast", True):
            return lambda operation: True
        return is_moment

    def copy_the_rest(self) -> None:
        """What is read beside the packages: tokenizers, scheduler and configs."""
        parts = [*self.config.encoders, UNET, "vae"]
        wanted = [self.source / "model_index.json"]
        wanted += [self.source / part / "config.json" for part in parts]
        for folder in (*BESIDE, "feature_extractor"):
            wanted += sorted(path for path in (self.source / folder).glob("*") if path.is_file())
        for path in wanted:
            target = self.workdir / path.relative_to(self.source)
            target.parent.mkdir(exist_ok=True)
            link_or_copy(path, target)


def is_moment(operation: Any) -> bool:
    """Whether an operation of MIL is of a group norm's mean or variance, whose squares overflow."""
    if operation.op_type == "mul":
        return operation.x is operation.y
    if operation.op_type == "add":
        return any(v.op is not None and is_moment(v.op) for v in (operation.x, operation.y))
    if operation.op_type in ("reshape", "tile", "rsqrt"):
        return operation.x.op is not None and is_moment(operation.x.op)
    return bool(operation.op_type == "reduce_mean")


def is_score(operation: Any) -> bool:
    """Whether an operation of MIL is of a safety checker's scores, which thousandths decide."""
    shape: tuple[Any, ...] = tuple(operation.outputs[0].shape or ())
    return is_moment(operation) or (len(shape) == 2 and shape[1] in (CARES, CONCEPTS))


def is_angle(operation: Any) -> bool:
    """Whether an operation of MIL leads to a sine or cosine."""
    if operation.op_type in ("sin", "cos"):
        return True
    if operation.op_type not in ("mul", "expand_dims", "reshape", "tile"):
        return False
    return any(is_angle(child) for output in operation.outputs for child in output.child_ops)
