"""Every operation of the reference executor against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as nn
from worlds.coreml_programs import mb, run, uniform, write

A = uniform(2, 3, 8)
B = uniform(2, 3, 8) + 0.1
POSITIVE = uniform(2, 3, 8, low=0.2)
IMAGE = uniform(1, 6, 9, 8)
T = torch.from_numpy
i32 = np.int32

UNARY = {
    "abs": torch.abs,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "square": torch.square,
    "sigmoid": torch.sigmoid,
    "silu": nn.silu,
    "relu": torch.relu,
    "identity": lambda x: x,
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "real_div": torch.div,
    "floor_div": torch.floor_divide,
    "mod": torch.remainder,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
COMPARE = {
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
}
W = uniform(4, 6, 3, 3) / 6
OTHER = {
    "log": (lambda x: mb.log(x=x, epsilon=1e-3), POSITIVE, lambda x: (x + 1e-3).log()),
    "rsqrt": (lambda x: mb.rsqrt(x=x, epsilon=1e-3), POSITIVE, lambda x: (x + 1e-3).rsqrt()),
    "inverse": (lambda x: mb.inverse(x=x, epsilon=0.0), POSITIVE, torch.reciprocal),
    "pow": (lambda x: mb.pow(x=x, y=np.float32(3)), A, lambda x: x**3),
    "clip": (lambda x: mb.clip(x=x, alpha=-0.5, beta=1.0), A, lambda x: x.clamp(-0.5, 1)),
    "reduce_mean": (lambda x: mb.reduce_mean(x=x, axes=[1, -1]), A, lambda x: x.mean((1, 2))),
    "reduce_sum": (
        lambda x: mb.reduce_sum(x=x, axes=[1], keep_dims=True),
        A,
        lambda x: x.sum(1, True),
    ),
    "reduce_max": (lambda x: mb.reduce_max(x=x, axes=[2]), A, lambda x: x.amax(2)),
    "reduce_min": (lambda x: mb.reduce_min(x=x), A, lambda x: x.amin()),
    "reduce_argmax": (
        lambda x: mb.reduce_argmax(x=x, axis=2, keep_dims=False),
        A,
        lambda x: x.argmax(2),
    ),
    "cumsum": (lambda x: mb.cumsum(x=x, axis=1), A, lambda x: x.cumsum(1)),
    "cumsum-exclusive-reverse": (
        lambda x: mb.cumsum(x=x, axis=2, exclusive=True, reverse=True),
        A,
        lambda x: x.flip(2).cumsum(2).flip(2) - x,
    ),
    "softmax": (lambda x: mb.softmax(x=x, axis=1), A, lambda x: x.softmax(1)),
    "gelu": (lambda x: mb.gelu(x=x), A, nn.gelu),
    "gelu-tanh": (
        lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"),
        A,
        lambda x: nn.gelu(x, approximate="tanh"),
    ),
    "reshape": (lambda x: mb.reshape(x=x, shape=[0, -1, 4]), A, lambda x: x.reshape(2, 6, 4)),
    "transpose": (lambda x: mb.transpose(x=x, perm=[2, 0, 1]), A, lambda x: x.permute(2, 0, 1)),
    "expand_dims": (lambda x: mb.expand_dims(x=x, axes=[0, -1]), A, lambda x: x[None, ..., None]),
    "squeeze": (lambda x: mb.squeeze(x=x, axes=[0]), IMAGE, lambda x: x[0]),
    "tile": (lambda x: mb.tile(x=x, reps=[1, 2, 3]), A, lambda x: x.repeat(1, 2, 3)),
    "split": (lambda x: mb.split(x=x, num_splits=2, axis=-1)[1], A, lambda x: x[..., 4:]),
    "split-sizes": (lambda x: mb.split(x=x, split_sizes=[1, 2], axis=1)[1], A, lambda x: x[:, 1:]),
    "concat": (
        lambda x: mb.concat(values=[x, mb.mul(x=x, y=np.float32(2))], axis=1),
        A,
        lambda x: torch.cat([x, 2 * x], 1),
    ),
    "stack": (lambda x: mb.stack(values=[x, x], axis=1), A, lambda x: torch.stack([x, x], 1)),
    "slice_by_index": (
        lambda x: mb.slice_by_index(
            x=x, begin=[0, 1, 1], end=[0, 0, -1], stride=[1, 1, 2], end_mask=[True, True, False]
        ),
        A,
        lambda x: x[:, 1:, 1:-1:2],
    ),
    "slice_by_index-squeeze": (
        lambda x: mb.slice_by_index(
            x=x, begin=[1, 0, 0], end=[2, 3, 8], squeeze_mask=[True, False, False]
        ),
        A,
        lambda x: x[1],
    ),
    "slice_by_size": (
        lambda x: mb.slice_by_size(x=x, begin=[0, 1, 2], size=[-1, 2, 3]),
        A,
        lambda x: x[:, 1:3, 2:5],
    ),
    "slice_update": (
        lambda x: mb.slice_update(
            x=x, update=np.ones((2, 1, 8), np.float32), begin=[0, 1, 0], end=[2, 2, 8]
        ),
        A,
        lambda x: torch.cat([x[:, :1], torch.ones(2, 1, 8), x[:, 2:]], 1),
    ),
    "gather": (
        lambda x: mb.gather(x=x, indices=np.array([2, 0, -1], i32), axis=1, validate_indices=False),
        A,
        lambda x: x[:, [2, 0, -1]],
    ),
    "gather-matrix": (
        lambda x: mb.gather(
            x=x, indices=np.array([[2, -1], [0, 1]], i32), axis=0, validate_indices=False
        ),
        A[0],
        lambda x: x[torch.tensor([[2, -1], [0, 1]])],
    ),
    "gather_along_axis": (
        lambda x: mb.gather_along_axis(
            x=x, indices=np.array([[[1, -1]]] * 2, i32), axis=2, validate_indices=False
        ),
        A[:, :1],
        lambda x: x[..., [1, -1]],
    ),
    "pad": (
        lambda x: mb.pad(x=x, pad=[1, 0, 2, 1], mode="constant", constant_val=3.0),
        A,
        lambda x: nn.pad(x, (2, 1, 1, 0), value=3.0),
    ),
    "pad-reflect": (
        lambda x: mb.pad(x=x, pad=[2, 1], mode="reflect"),
        A,
        lambda x: nn.pad(x, (2, 1), mode="reflect"),
    ),
    "select": (
        lambda x: mb.select(cond=mb.greater(x=x, y=np.float32(0)), a=x, b=np.float32(7)),
        A,
        lambda x: torch.where(x > 0, x, 7.0),
    ),
    "fill": (lambda x: mb.add(x=x, y=mb.fill(shape=[8], value=2.0)), A, lambda x: x + 2),
    "band_part": (lambda x: mb.band_part(x=x, lower=1, upper=0), A, lambda x: x.tril().triu(-1)),
    "upsample_nearest_neighbor": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        IMAGE,
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 3),
    ),
    "linear": (
        lambda x: mb.linear(x=x, weight=uniform(5, 8), bias=uniform(5)),
        A,
        lambda x: nn.linear(x, T(uniform(5, 8)), T(uniform(5))),
    ),
    "einsum": (
        lambda x: mb.einsum(values=(x, x), equation="nchw,nwhu->nchu"),
        uniform(1, 4, 4, 4),
        lambda x: torch.einsum("nchw,nwhu->nchu", x, x),
    ),
    "conv": (lambda x: mb.conv(x=x, weight=W), IMAGE, lambda x: nn.conv2d(x, T(W))),
    "conv-same": (
        lambda x: mb.conv(x=x, weight=W, strides=[2, 2], pad_type="same"),
        IMAGE,
        lambda x: nn.conv2d(nn.pad(x, (0, 1, 1, 1)), T(W), stride=2),
    ),
    "conv-custom": (
        lambda x: mb.conv(
            x=x,
            weight=W,
            bias=uniform(4),
            strides=[1, 2],
            pad_type="custom",
            pad=[1, 1, 2, 0],
            dilations=[2, 1],
        ),
        IMAGE,
        lambda x: nn.conv2d(
            nn.pad(x, (2, 0, 1, 1)), T(W), T(uniform(4)), stride=(1, 2), dilation=(2, 1)
        ),
    ),
    "conv-groups": (
        lambda x: mb.conv(x=x, weight=W[:, :3], groups=2),
        IMAGE,
        lambda x: nn.conv2d(x, T(W[:, :3].copy()), groups=2),
    ),
    "layer_norm": (
        lambda x: mb.layer_norm(x=x, axes=[-1], gamma=uniform(8), beta=uniform(8), epsilon=1e-5),
        A,
        lambda x: nn.layer_norm(x, (8,), T(uniform(8)), T(uniform(8))),
    ),
    "batch_norm": (
        lambda x: mb.batch_norm(
            x=x, mean=uniform(6), variance=uniform(6) + 3, gamma=uniform(6), beta=uniform(6)
        ),
        IMAGE,
        lambda x: nn.batch_norm(
            x, T(uniform(6)), T(uniform(6) + 3), T(uniform(6)), T(uniform(6)), eps=1e-5
        ),
    ),
    "max_pool": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 3], strides=[1, 2], pad_type="valid"),
        IMAGE,
        lambda x: nn.max_pool2d(x, (2, 3), (1, 2)),
    ),
    "range_1d-shape": (
        lambda x: mb.add(
            x=x,
            y=mb.cast(
                x=mb.range_1d(
                    start=0, end=mb.gather(x=mb.shape(x=x), indices=np.int32(2), axis=0), step=1
                ),
                dtype="fp32",
            ),
        ),
        A,
        lambda x: x + torch.arange(8),
    ),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(tmp_path, name):
    x = POSITIVE if name == "sqrt" else A
    (found,) = run(write(tmp_path / "m.mlpackage", lambda x: getattr(mb, name)(x=x), x.shape), x)
    np.testing.assert_allclose(found, UNARY[name](T(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*BINARY, *COMPARE])
def test_binary(tmp_path, name):
    y = B.copy()
    y[0] = A[0]

    def program(x, y):
        result = getattr(mb, name)(x=x, y=y)
        return mb.cast(x=result, dtype="fp32") if name in COMPARE else result

    (found,) = run(write(tmp_path / "m.mlpackage", program, A.shape, y.shape), A, y)
    wanted = {**BINARY, **COMPARE}[name](T(A), T(y)).float()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OTHER)
def test_others(tmp_path, name):
    program, x, oracle = OTHER[name]
    (found,) = run(write(tmp_path / "m.mlpackage", program, x.shape), x)
    wanted = oracle(T(x))
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
def test_matmul(tmp_path, transposed):
    x, y = uniform(2, 4, 4), uniform(2, 4, 4) * 2
    program = lambda x, y: mb.matmul(x=x, y=y, transpose_x=transposed[0], transpose_y=transposed[1])  # noqa: E731
    (found,) = run(write(tmp_path / "m.mlpackage", program, x.shape, y.shape), x, y)
    sides = [T(s).mT if turn else T(s) for s, turn in zip((x, y), transposed, strict=True)]
    np.testing.assert_allclose(found, sides[0] @ sides[1], rtol=1e-5, atol=1e-5)


def test_attention(tmp_path):
    x, mask = uniform(1, 2, 5, 8), np.triu(np.full((1, 1, 5, 5), -1e4, np.float32), 1)

    def program(x, y):
        return mb.scaled_dot_product_attention(query=x, key=x, value=x, attn_mask=y)

    (found,) = run(write(tmp_path / "m.mlpackage", program, x.shape, mask.shape), x, mask)
    t = T(x)
    wanted = ((t @ t.mT) / 8**0.5 + T(mask)).softmax(-1) @ t
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
