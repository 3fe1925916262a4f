"""Operations with parameters that conversions seldom write, and with those that they leave out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as nn
from worlds.coreml_programs import mb, run, uniform, write

from zoo.formats.coreml.execute.kernels import KERNELS
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.execute.registers import MOVING, NATIVE
from zoo.formats.coreml.package.proto import MODEL_FILE, is_constant
from zoo.formats.coreml.package.reader import Package

A = uniform(2, 3, 8)
IMAGE = uniform(1, 6, 9, 8)
W = uniform(4, 6, 3, 3) / 6
T = torch.from_numpy
i32 = np.int32
inf = float("inf")

ODD = {
    "slice_by_index, backwards": (
        lambda x: mb.slice_by_index(
            x=x,
            begin=[0, 2, 6],
            end=[2, 0, 0],
            stride=[1, -1, -2],
            end_mask=[False, False, True],
        ),
        A,
        lambda x: x[:, [2, 1]][..., [6, 4, 2, 0]],
    ),
    "slice_by_index, backwards after a squeezed axis": (
        lambda x: mb.slice_by_index(
            x=x,
            begin=[1, 0, -1],
            end=[2, 3, -4],
            stride=[1, 1, -1],
            squeeze_mask=[True, False, False],
        ),
        A,
        lambda x: x[1][:, [7, 6, 5]],
    ),
    "gather, in batches": (
        lambda x: mb.gather(
            x=x,
            indices=np.array([[0, -1], [3, 3]], i32),
            axis=2,
            batch_dims=1,
            validate_indices=False,
        ),
        A,
        lambda x: torch.stack([x[0][:, [0, 7]], x[1][:, [3, 3]]]),
    ),
    "gather_nd, in batches": (
        lambda x: mb.gather_nd(
            x=x,
            indices=np.array([[[0, 1]], [[2, 7]]], i32),
            batch_dims=1,
            validate_indices=False,
        ),
        A,
        lambda x: torch.stack([x[0, 0, 1], x[1, 2, 7]])[:, None],
    ),
    "concat, interleaved": (
        lambda x: mb.concat(values=[x, mb.abs(x=x)], axis=-2, interleave=True),
        A,
        lambda x: torch.stack([x, x.abs()], 2).flatten(1, 2),
    ),
    "conv, same_lower": (
        lambda x: mb.conv(x=x, weight=W, strides=[2, 2], pad_type="same_lower"),
        IMAGE,
        lambda x: nn.conv2d(nn.pad(x, (1, 0, 1, 1)), T(W), stride=2),
    ),
    "conv, same, wide": (
        lambda x: mb.conv(x=x, weight=W, pad_type="same", dilations=[2, 1]),
        IMAGE,
        lambda x: nn.conv2d(x, T(W), padding=(2, 1), dilation=(2, 1)),
    ),
    "max_pool, same": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 3], strides=[2, 2], pad_type="same"),
        IMAGE - 5,
        lambda x: nn.max_pool2d(nn.pad(x, (0, 1, 0, 1), value=-inf), (2, 3), 2),
    ),
    "max_pool, custom": (
        lambda x: mb.max_pool(
            x=x, kernel_sizes=[2, 3], strides=[1, 2], pad_type="custom", pad=[1, 0, 2, 1]
        ),
        IMAGE - 5,
        lambda x: nn.max_pool2d(nn.pad(x, (2, 1, 1, 0), value=-inf), (2, 3), (1, 2)),
    ),
    "max_pool, ceil": (
        lambda x: mb.max_pool(
            x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", ceil_mode=True
        ),
        IMAGE,
        lambda x: nn.max_pool2d(x, 2, 2, ceil_mode=True),
    ),
    "pad, replicate": (
        lambda x: mb.pad(x=x, pad=[0, 0, 2, 1], mode="replicate"),
        A,
        lambda x: nn.pad(x, (2, 1), mode="replicate"),
    ),
    "cast": (
        lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"),
        A,
        lambda x: x.int().float(),
    ),
    "split, backwards axis": (
        lambda x: mb.split(x=x, split_sizes=[1, 2, 5], axis=-1)[2],
        A,
        lambda x: x[..., 3:],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_parameters(tmp_path, name):
    program, x, oracle = ODD[name]
    (found,) = run(write(tmp_path / "m.mlpackage", program, x.shape), x)
    wanted = oracle(T(x))
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


BARE = {
    "log": lambda x: mb.log(x=mb.square(x=x)),
    "rsqrt": lambda x: mb.rsqrt(x=mb.square(x=x)),
    "inverse": lambda x: mb.inverse(x=x),
    "reduce_argmax": lambda x: mb.cast(x=mb.reduce_argmax(x=x), dtype="fp32"),
    "reduce_mean": lambda x: mb.reduce_mean(x=x),
    "cumsum": lambda x: mb.cumsum(x=x),
    "softmax": lambda x: mb.softmax(x=x),
    "gelu": lambda x: mb.gelu(x=x),
    "conv": lambda x: mb.conv(x=x, weight=W),
    "max_pool": lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2], pad_type="valid"),
    "layer_norm": lambda x: mb.layer_norm(x=x, axes=[0, 1, 2, 3]),
    "batch_norm": lambda x: mb.batch_norm(x=x, mean=uniform(6), variance=uniform(6) + 3),
    "slice_by_index": lambda x: mb.slice_by_index(x=x, begin=[0, 1, 1, 0], end=[1, 3, 5, 8]),
    "gather": lambda x: mb.gather(x=x, indices=np.array([0], i32)),
    "gather_along_axis": lambda x: mb.gather_along_axis(x=x, indices=np.zeros((1, 6, 9, 8), i32)),
    "pad": lambda x: mb.pad(x=x, pad=[1, 1, 0, 2]),
    "upsample_nearest_neighbor": lambda x: mb.upsample_nearest_neighbor(x=x),
    "band_part": lambda x: mb.band_part(x=x),
    "squeeze": lambda x: mb.squeeze(x=x),
    "matmul": lambda x: mb.matmul(x=x, y=uniform(8, 3)),
}
"""Programs that give an operation no more than it must have."""


def without_defaults(package: Path, kind: str) -> list[str]:
    """Take the arguments that the kernel has a default for out of the file; which they were."""
    opened = Package(package)
    _, block = opened.function()
    step = next(o for o in block.operations if o.type == kind and not is_constant(o))
    defaults = inspect.signature(KERNELS[kind]).parameters
    given = [key for key in step.inputs if defaults[key].default is not inspect.Parameter.empty]
    for key in given:
        del step.inputs[key]
    (package / MODEL_FILE).write_bytes(opened.spec.SerializeToString())
    return given


@pytest.mark.parametrize("kind", BARE)
def test_defaults_are_those_of_mil(tmp_path, kind):
    """coremltools writes its defaults into the file; without them the result is the same."""
    x = IMAGE / 50
    package = write(tmp_path / "m.mlpackage", BARE[kind], x.shape)
    (wanted,) = run(package, x)
    written = without_defaults(package, kind)
    assert written or kind in ("slice_by_index", "squeeze")
    (found,) = run(package, x)
    np.testing.assert_array_equal(found, wanted)


HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
HALVES = HALVES[~np.isnan(HALVES)]
ALONE = sorted(NATIVE - MOVING - {"cast", "shape", "gather_nd"})


@pytest.mark.parametrize("kind", ALONE)
def test_on_float16_is_on_float32_and_rounded(kind):
    """For every number that float16 has."""
    x = T(HALVES)
    y = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    kernel = KERNELS[kind]
    several = "y" in inspect.signature(kernel).parameters
    given = (x, y) if several else (x,)
    found, wanted = kernel(*given), kernel(*(one.float() for one in given)).half()
    assert found.dtype == torch.float16
    assert torch.equal(found.nan_to_num(1.5), wanted.nan_to_num(1.5))


def test_arithmetic_of_shapes_in_integers_of_16_bits(tmp_path):
    """Slices that begin and end where a flexible input says, through casts, as coremltools does."""

    def build(x: Any) -> Any:
        rows = mb.gather(x=mb.cast(x=mb.shape(x=x), dtype="int16"), indices=np.int16(1), axis=0)
        rows = mb.cast(x=rows, dtype="int32")
        begin = mb.expand_dims(x=mb.sub(x=rows, y=i32(2)), axes=[0])
        end = mb.expand_dims(x=rows, axes=[0])
        zero, more = np.array([0], i32), np.array([8], i32)
        cut = mb.slice_by_index(
            x=x,
            begin=mb.concat(values=[zero, begin, zero], axis=0),
            end=mb.concat(values=[np.array([2], i32), end, more], axis=0),
        )
        return mb.mul(x=cut, y=mb.cast(x=rows, dtype="fp32"))

    package = write(tmp_path / "m.mlpackage", build, A.shape)
    for mode in ("fp16", "fp32"):
        (found,) = ReferenceProgram(package, mode=mode).predict({"x": A}).values()
        np.testing.assert_array_equal(found, A[:, 1:] * 3)
