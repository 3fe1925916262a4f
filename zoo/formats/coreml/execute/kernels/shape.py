"""Operations that move numbers, or make them out of nothing but shapes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding, interpolate
from torch.nn.functional import pad as torch_pad

from zoo.formats.coreml.execute.kernels.arguments import Flag, Flags, Int, Ints, Text

TYPES = {
    "fp16": torch.float32,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "bool": torch.bool,
}
PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate"}


def identity(x: Tensor) -> Tensor:
    return x


def cast(x: Tensor, dtype: Text) -> Tensor:
    return x.to(TYPES[dtype])


def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def reshape(x: Tensor, shape: Ints) -> Tensor:
    sizes = shape or []
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)])


def transpose(x: Tensor, perm: Ints) -> Tensor:
    return x.permute(perm)


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    rank = x.dim() + len(axes or [])
    for axis in sorted(axis % rank for axis in axes or []):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


def concat(values: list[Tensor], axis: Int, interleave: Flag = False) -> Tensor:
    parts = [value.reshape(1) if value.dim() == 0 else value for value in values]
    if interleave:
        return torch.stack(parts, axis + 1).flatten(axis, axis + 1)
    return torch.cat(parts, axis)


def stack(values: list[Tensor], axis: Int) -> Tensor:
    return torch.stack(values, axis)


def split(
    x: Tensor, axis: Int, num_splits: Ints = None, split_sizes: Ints = None
) -> tuple[Tensor, ...]:
    if split_sizes is not None:
        return tuple(x.split(split_sizes, axis))
    return tuple(x.chunk((num_splits or [1])[0], axis))


def tile(x: Tensor, reps: Ints) -> Tensor:
    return x.repeat(reps)


def range_1d(start: Int, end: Int, step: Int) -> Tensor:
    return torch.arange(start, end, step, dtype=torch.int32)


def fill(shape: Ints, value: Tensor) -> Tensor:
    return value.reshape(()).expand(shape).clone()


def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = None,
    begin_mask: Flags = None,
    end_mask: Flags = None,
    squeeze_mask: Flags = None,
) -> Tensor:
    return x[_index(begin, end, stride, begin_mask, end_mask, squeeze_mask)]


def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    for axis, (first, count) in enumerate(zip(begin or [], size or [], strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = None,
    begin_mask: Flags = None,
    end_mask: Flags = None,
    squeeze_mask: Flags = None,
) -> Tensor:
    """Changes `x` itself: who calls gives a copy where `x` is wanted later."""
    x[_index(begin, end, stride, begin_mask, end_mask, squeeze_mask)] = update
    return x


def gather(
    x: Tensor, indices: Tensor, axis: Int = 0, batch_dims: Int = 0, validate_indices: Flag = False
) -> Tensor:
    if batch_dims:
        raise ValueError("gather with batch_dims")
    places, count = indices.long(), x.shape[axis]
    places = torch.where(places < 0, places + count, places)
    if axis == 0 and x.dim() == 2:
        return embedding(places, x)
    rest = (*x.shape[:axis], *places.shape, *x.shape[axis % x.dim() + 1 :])
    return x.index_select(axis, places.reshape(-1)).reshape(rest)


def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: Int = 0, validate_indices: Flag = False
) -> Tensor:
    """The last axis of `indices` says where in as many of the first axes of `x`."""
    if batch_dims:
        raise ValueError("gather_nd with batch_dims")
    places = indices.long()
    found = [
        torch.where(place < 0, place + x.shape[axis], place)
        for axis, place in enumerate(places.unbind(-1))
    ]
    return x[tuple(found)]


def gather_along_axis(
    x: Tensor, indices: Tensor, axis: Int = 0, validate_indices: Flag = False
) -> Tensor:
    places = indices.long()
    return x.gather(axis, torch.where(places < 0, places + x.shape[axis], places))


def pad(
    x: Tensor, pad: Ints, mode: Text = "constant", constant_val: Tensor | None = None
) -> Tensor:
    """`pad` holds two numbers, before and after, for each of the last axes, first axis first."""
    pairs = [(pad or [])[start : start + 2] for start in range(0, len(pad or []), 2)]
    while mode != "constant" and len(pairs) > 1 and not any(pairs[0]):
        pairs = pairs[1:]  # PyTorch mirrors the last axes only, and not all of them
    amounts = [amount for pair in reversed(pairs) for amount in pair]
    value = float(constant_val) if constant_val is not None and mode == "constant" else None
    return torch_pad(x, amounts, PAD_MODES[mode], value)


def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Tensor | None = None, scale_factor_width: Tensor | None = None
) -> Tensor:
    factors = [1.0 if f is None else float(f) for f in (scale_factor_height, scale_factor_width)]
    return interpolate(x, scale_factor=factors, mode="nearest")


def band_part(x: Tensor, lower: Int = -1, upper: Int = -1) -> Tensor:
    """What lies within so many diagonals below and above the main one; -1 for all."""
    kept = x.triu(-lower) if lower >= 0 else x
    return kept.tril(upper) if upper >= 0 else kept


def _index(
    begin: Ints, end: Ints, stride: Ints, begin_mask: Flags, end_mask: Flags, squeeze_mask: Flags
) -> tuple[int | slice, ...]:
    """The index for `x[...]`. A masked end is open; a squeezed axis is taken at its beginning."""
    firsts, lasts = begin or [], end or []
    off, once = [False] * len(firsts), [1] * len(firsts)
    each = zip(
        firsts,
        lasts,
        stride or once,
        begin_mask or off,
        end_mask or off,
        squeeze_mask or off,
        strict=True,
    )
    return tuple(
        first if squeezed else slice(None if from_start else first, None if to_end else last, step)
        for first, last, step, from_start, to_end, squeezed in each
    )
