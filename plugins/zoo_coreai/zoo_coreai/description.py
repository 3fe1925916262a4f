"""The format `coreai` as data: its passes, and what a build takes."""

from __future__ import annotations

from collections.abc import Iterator

import zoo
from zoo.formats import Format, Weights, read_pass

from zoo_coreai.options import KEPT, PASSES, given_bits


class CoreAI(Format):
    """Apple's Core AI: in float16 or float32, or compressed by one pass.

    It comes last where nobody asks for it: it needs macOS 27 or iOS 27, and what runs it on Linux
    is there to compare with.
    """

    rank = apple_rank = 60
    writes_adapters = False

    def faults(self, recipe: zoo.Recipe, build: zoo.Build) -> Iterator[tuple[str, str]]:
        for number, step in enumerate(build.optimize):
            where = f"optimize[{number}]"
            if step.kind not in PASSES:
                known = " and ".join(f"'{name}'" for name in PASSES)
                yield f"{where}.kind", f"coreai has the passes {known}, and not '{step.kind}'"
            elif number:
                yield where, "coreai takes one pass"
            else:
                try:
                    read_pass(PASSES[step.kind], recipe, step)
                except zoo.RecipeError as error:
                    for problem in error.problems:
                        key, _, what = problem.partition(": ")
                        yield f"{where}.{key}", what

    def serves(self, family: str) -> bool:
        """No family but those that are listed: each is exported by code of its own."""
        return False

    def shares_conversion(self, recipe: zoo.Recipe, build: zoo.Build) -> bool:
        """Always: a pass reads the programs of a build without passes."""
        return True

    def bits_per_weight(self, build: zoo.Build) -> float:
        """Of large matrices: embeddings and tables are not counted."""
        for step in build.optimize:
            if (bits := given_bits(step.kind, step.options)) is not None:
                return bits
        return 32.0 if build.options.get("precision") == "float32" else float(KEPT)

    def disk_bytes(self, weights: Weights, build: zoo.Build) -> int:
        """Bytes of the programs; without a pass they have every weight in the build's precision."""
        bits = build.bits if build.bits is not None else self.bits_per_weight(build)
        return int(weights.count * bits / 8)


DESCRIPTION = CoreAI()
