"""The format `mlx` as data: its one pass, `quantize`, and what a build takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from zoo import schema
from zoo.catalogs.formats import STORED_BITS, Format, positive
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import RecipeError
from zoo.formats.options import read_pass

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)
DEFAULT_BITS, DEFAULT_GROUP, SCALE_BITS = 4, 64, 32
MICROSCALED = {"mxfp4": 4 + 8 / 32, "nvfp4": 4 + 8 / 16, "mxfp8": 8 + 8 / 32}
"""Bits of each weight in the modes with a scale of one byte for 32 or 16 weights
(https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf)."""

MIX_BITS = 0.5
"""About what the better layers of a mix such as mixed_4_6 add on average."""


@dataclass(frozen=True)
class Quantize:
    """Options of the pass `quantize`, as in mlx-lm."""

    bits: int | None = field(default=None, metadata={"doc": "2, 3, 4, 5, 6 or 8"})
    group_size: int | None = field(default=None, metadata={"doc": "32, 64 or 128"})
    mode: Literal["affine", "mxfp4", "nvfp4", "mxfp8"] = "affine"
    mix: Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"] | None = None

    def validate(self) -> list[tuple[str, str]]:
        """Yield the options whose combination is invalid, and what is wrong."""
        faults = []
        if self.mode == "affine":
            if self.bits not in (None, *BITS):
                faults.append(("bits", f"must be one of {BITS}, not {self.bits}"))
            if self.group_size not in (None, *GROUPS):
                faults.append(("group_size", f"must be one of {GROUPS}, not {self.group_size}"))
        elif self.mix is not None:
            faults.append(("mix", f"goes with the mode 'affine', not '{self.mode}'"))
        if self.mix is not None and self.bits is not None:
            faults.append(("bits", "cannot be given together with 'mix', which decides them"))
        return faults


LANGUAGE_NOTES = """`Resources` is a model folder in the layout of mlx-lm. Load it with
[mlx-swift-lm](https://github.com/ml-explore/mlx-swift-lm):

```swift
import MLXHuggingFace
import MLXLLM
import MLXLMCommon
import Tokenizers

let model = try await loadModel(from: resources, using: #huggingFaceTokenizerLoader())
let session = ChatSession(model)
print(try await session.respond(to: "Name three animals."))
```"""


class MLX(Format):
    """Apple's MLX: the weights as they are stored, or quantized."""

    rank, apple_rank = 20, 10
    links_source = True
    writes_adapters = False

    def serves(self, family: str) -> bool:
        """Families alone know how their models run in this format."""
        return False

    def faults(self, recipe: Recipe, build: Build) -> Iterator[tuple[str, str]]:
        problems = schema.Problems()
        for number, step in enumerate(build.optimize):
            where = f"optimize[{number}]"
            if step.kind != "quantize":
                yield f"{where}.kind", f"must be 'quantize', mlx's only pass, not '{step.kind}'"
            elif number:
                yield where, "mlx quantizes once"
            else:
                schema.read(Quantize, step.options, problems, where)
        yield from problems.pairs()

    def shares_conversion(self, recipe: Recipe, build: Build) -> bool:
        """Always: `quantize` reads a checkpoint that runs as it is."""
        return True

    def app_notes(self, recipe: Recipe) -> str:
        return LANGUAGE_NOTES if recipe.task == "text-generation" else ""

    def bits_per_weight(self, build: Build) -> float:
        """Bits of each weight: a group also stores its scale and its offset."""
        if not build.optimize:
            return float(STORED_BITS)
        options = build.optimize[0].options
        if (mode := options.get("mode")) in MICROSCALED:
            return MICROSCALED[str(mode)]
        mix = str(options.get("mix", "")).split("_")
        if len(mix) == 3 and mix[1].isdigit():
            bits = float(mix[1]) + MIX_BITS
        else:
            bits = positive(options.get("bits")) or DEFAULT_BITS
        return bits + SCALE_BITS / (positive(options.get("group_size")) or DEFAULT_GROUP)


DESCRIPTION = MLX()


def read_quantize(recipe: Recipe, build: Build) -> Quantize:
    """Read the options of the pass `quantize` of a build.

    Raises:
        RecipeError: the build has no pass, another one or several, or an option is invalid.
    """
    if faults := [f"{path}: {what}" for path, what in DESCRIPTION.faults(recipe, build)]:
        raise RecipeError(f"'{recipe.ref}' has a build that mlx cannot make:", tuple(faults))
    if not build.optimize:
        raise RecipeError(
            f"'{recipe.ref}' lists no pass for mlx to run; add one of the kind 'quantize'"
        )
    return read_pass(Quantize, recipe, build.optimize[0])
