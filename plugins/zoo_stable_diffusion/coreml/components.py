"""The components of a pipeline, converted to Core ML one after another."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import zoo
from zoo.formats import (
    LowRank,
    Tensors,
    changed_parts,
    read_adapters,
    read_json,
    read_options,
)
from zoo.formats.coreml import (
    Axis,
    ComputeUnits,
    Input,
    about,
    add_branches,
    causal_mask,
    split_package,
    write_traced,
)
from zoo_stable_diffusion import programs
from zoo_stable_diffusion.config import DiffusionConfig, weights_of
from zoo_stable_diffusion.loading import TOKENS
from zoo_stable_diffusion.programs import DECODER, ENCODER, UNET, Shape
from zoo_stable_diffusion.safety import CARES, CHECKER, CONCEPTS

SUFFIX = ".mlpackage"

MOST_AT_ONCE = 2
"""Rows that go through the U-Net together: the negative prompt and the prompt of a picture."""

LARGER = 2
"""Largest side, as a multiple of the one that a model was trained for."""

FUSED, OLDEST = 18, 16
"""The version of iOS since which attention is one operation, and the first that is supported."""


@dataclass(frozen=True)
class DiffusionOptions:
    """Options of a build in the format `coreml`."""

    target: Literal["gpu", "neural-engine"] = field(
        default="gpu",
        metadata={
            "doc": "`neural-engine` fixes the size of images and the batch, and has 1x1 "
            "convolutions in place of linear layers"
        },
    )
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
        static: whether images are of one size, and go through the U-Net one by one.
    """

    system: str
    split: bool
    chunks: int = 1
    static: bool = False

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
    static = options.target == "neural-engine"
    if static and options.attention == "fused":
        raise zoo.RecipeError(
            f"'{recipe.ref}' asks for fused attention, which is not for the Neural Engine",
            hint="leave the option 'attention' out",
        )
    split = old or static or options.attention == "split-einsum"
    return Target(f"iOS{min(number, FUSED)}", split, options.chunks, static)


def _units(target: Target) -> ComputeUnits:
    """The compute units that an app should ask for."""
    if target.static:
        return "cpuAndNeuralEngine"
    return "all" if target.split else "cpuAndGPU"


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


class Conversion(programs.Conversion):
    """The conversion of one pipeline.

    Args:
        recipe: the source of the metadata in the packages.
        config: of the pipeline.
        source: its folder.
        workdir: where the packages go.
        target: what they are for.
        styles: for each LoRA style, what it adds to which weight of the U-Net.
    """

    counted = "packages"
    rows = Axis(1, MOST_AT_ONCE, MOST_AT_ONCE)

    def __init__(
        self,
        recipe: zoo.Recipe,
        config: DiffusionConfig,
        source: Path,
        workdir: Path,
        target: Target,
        styles: Mapping[str, Mapping[str, LowRank]],
    ) -> None:
        super().__init__(config, source, workdir)
        self.target, self.styles = target, styles
        self.text_outputs = text_outputs(config)
        self.about = about(
            recipe,
            system=target.system,
            units=_units(target),
            details={"attention": "split-einsum" if target.split else "fused"},
        )

    def load(self, kind: Any, component: str) -> Any:
        made = super().load(kind, component)
        if self.target.static:
            from zoo_stable_diffusion.coreml.static_module import make_static

            make_static(made)
        if component == UNET and self.target.split:
            from zoo_stable_diffusion.coreml.split_einsum_module import split_attention

            split_attention(made)
        return made

    def text_mask(self) -> Any:
        import torch

        if not self.target.static:
            return None
        return torch.from_numpy(causal_mask(TOKENS, TOKENS)).float()

    def write_unet(self) -> None:
        super().write_unet()
        package = self.workdir / f"{UNET}{SUFFIX}"
        if self.styles:
            add_branches(package, self.styles, "unet")
        if self.target.chunks == 2:
            split_package(package)
            shutil.rmtree(package)

    def write(
        self, module: Any, inputs: Mapping[str, Shape], outputs: Sequence[str], name: str
    ) -> None:
        import torch

        write_traced(
            module,
            {given: Input(self.taken(shape), "float32") for given, shape in inputs.items()},
            [torch.ones(traced_size(shape)) for shape in inputs.values()],
            outputs,
            self.workdir / f"{name}{SUFFIX}",
            metadata=self.about,
            keep_float32=self.wide_in(name),
            system=self.target.system,
            consume=True,
        )

    def taken(self, shape: Shape) -> Shape:
        """The shape of an input: for the Neural Engine one row, of the usual size."""
        if not self.target.static:
            return shape
        return tuple(
            1 if length is self.rows else length.usual if isinstance(length, Axis) else length
            for length in shape
        )

    def sides(self, factor: int = 1) -> tuple[Axis, Axis]:
        least = 2 ** (len(self.unet["block_out_channels"]) - 1)

        def axis(pixels: int) -> Axis:
            usual = pixels // self.config.factor
            bounds = [factor * side for side in (least, max(LARGER * usual, 2 * least), usual)]
            return Axis(*bounds)

        return axis(self.config.height), axis(self.config.width)

    def wide_in(self, name: str) -> Callable[[Any], bool]:
        """Which operations of a component are computed in float32.

        In the U-Net those are angles of time, which float16 gets wrong, and, save on the Neural
        Engine, moments; in the autoencoder moments, and for SDXL everything, unless its makers say
        that float16 holds it; in the safety checker its scores.
        """
        if name == UNET and self.target.split:
            return is_angle
        if name == UNET:
            return lambda operation: is_angle(operation) or is_moment(operation)
        if name in (DECODER, ENCODER):
            vae = read_json(self.source / "vae" / "config.json")
            whole = self.config.sized and vae.get("force_upcast", True)
            return (lambda operation: True) if whole else is_moment
        return is_score if name == CHECKER else lambda operation: False


def text_outputs(config: DiffusionConfig) -> tuple[str, str]:
    """What a text encoder calls its hidden states and the pooled one."""
    return "hidden_embeds" if config.sized else "last_hidden_state", "pooled_outputs"


def traced_size(shape: Shape) -> list[int]:
    """A size to trace with: both rows, the least height, and a width that differs from it."""
    return [
        length if isinstance(length, int) else (length.most, 0, length.least, 2 * length.least)[n]
        for n, length in enumerate(shape)
    ]


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
