"""All rewrites of a program into fewer steps that compute the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from zoo.formats.coreml.execute.grouped import share_keys
from zoo.formats.coreml.execute.heads import Shapes, batch_heads
from zoo.formats.coreml.execute.norms import fuse_norms
from zoo.formats.coreml.execute.rotations import fuse_rotations
from zoo.formats.coreml.execute.steps import Step

FUSIONS = (fuse_norms, fuse_rotations, share_keys)


def rewritten(
    steps: Sequence[Step], shapes: Shapes, inputs: Iterable[str], outputs: Sequence[str]
) -> list[Step]:
    """The steps of a program, fewer where several can be one.

    A program in which one name stands for two values is left as it is.

    Args:
        steps: of the program, in order.
        shapes: of what is computed, and of its inputs, as far as they are static.
        inputs: names of what the program is given.
        outputs: names that the program gives out.
    """
    made = Counter([*inputs, *(name for step in steps for name, _ in step.outputs)])
    if any(count > 1 for count in made.values()):
        return [*steps]
    found = batch_heads(steps, shapes, outputs)
    for fuse in FUSIONS:
        found = fuse(found, outputs)
    return found
