"""What zoo replaces in coremltools to convert faster changes no program that it writes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from worlds.coreml_programs import METADATA, ct

from zoo.formats.coreml import compat
from zoo.formats.coreml.convert.traced import Axis, Input, write_traced


class Picture(nn.Module):
    """Convolution and attention over a picture of any size, and reshapes of every sort."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.qkv = nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = x.shape
        h = self.conv(x).reshape(batch, 8, -1).transpose(1, 2)
        parts = self.qkv(h).view(batch, -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*parts)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, 8)
        return mixed.permute(0, 3, 1, 2).unflatten(1, (2, 4)).flatten(2)


def converted(folder: Path, shape: tuple[Any, ...]) -> Any:
    package = folder / "picture.mlpackage"
    example = [torch.zeros(2, 4, 16, 24)]
    write_traced(Picture(), {"x": Input(shape)}, example, ["y"], package, metadata=METADATA)
    return ct.utils.load_spec(str(package))


@pytest.mark.parametrize(
    "shape",
    [(2, 4, 16, 24), (2, 4, Axis(8, 64, 16), Axis(8, 64, 24)), ((1, 2), 4, (8, 64), (8, 96))],
    ids=["fixed", "two axes", "three axes"],
)
def test_a_program_is_the_one_that_coremltools_writes_by_itself(tmp_path, monkeypatch, shape):
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    ours = converted(tmp_path / "ours", shape)
    for name in (
        "_passes_unchecked",
        "_constexpr_propagated_if_present",
        "_reshapes_by_division",
        "_imports_not_collected",
    ):
        monkeypatch.setattr(compat, name, nullcontext)
    assert ours == converted(tmp_path / "theirs", shape)


def test_a_pass_that_breaks_the_program_is_still_found(tmp_path, monkeypatch):
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    def tear(self: Any, program: Any) -> None:
        (*_, last) = program.functions["main"].operations
        last.inputs["x"].remove_child_op(last)

    kind = type(PASS_REGISTRY["common::topological_reorder"])
    monkeypatch.setattr(kind, "apply", tear)
    program = ct.converters.mil.mil.Program
    before = program.validate
    with pytest.raises(Exception, match="should be consumed by"):
        converted(tmp_path, (2, 4, 16, 24))
    assert program.validate is before
