"""Operations that move numbers, or make them out of nothing but shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import embedding, interpolate
from torch.nn.functional import pad as torch_pad

from zoo.formats.coreml.execute.kernels.arguments import Flag, Flags, Int, Ints, refuses
from zoo.formats.coreml.execute.kernels.bounds import require_room

INTEGERS = {
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "bool": torch.bool,
}


def identity(x: Tensor) -> Tensor:
    return x


def cast(
    x: Tensor,
    dtype: Literal["fp16", "fp32", "int8", "int16", "int32", "uint8", "uint16", "bool"],
) -> Tensor:
    """The caller turns the result into the width of float that is wanted, as it does with all."""
    if dtype in ("fp16", "fp32"):
        return x if x.is_floating_point() else x.float()
    return x.to(INTEGERS[dtype])


def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def reshape(x: Tensor, shape: Ints) -> Tensor:
    if 0 in shape:
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return x.reshape(shape)


def transpose(x: Tensor, perm: Ints) -> Tensor:
    return x.permute(perm)


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    if len(axes) == 1:
        return x.unsqueeze(axes[0])
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


def concat(values: list[Tensor], axis: Int, interleave: Flag = False) -> Tensor:
    if values[0].dim() == 0:
        values = [value.reshape(1) for value in values]
    if interleave:
        axis %= values[0].dim()
        return torch.stack(values, axis + 1).flatten(axis, axis + 1)
    return torch.cat(values, axis)


def stack(values: list[Tensor], axis: Int) -> Tensor:
    return torch.stack(values, axis)


def split(
    x: Tensor, axis: Int, num_splits: Ints | None = None, split_sizes: Ints | None = None
) -> tuple[Tensor, ...]:
    if split_sizes is not None:
        return tuple(x.split_with_sizes(split_sizes, axis))
    return tuple(x.chunk((num_splits or [1])[0], axis))


def tile(x: Tensor, reps: Ints) -> Tensor:
    sizes = x.shape
    shape = [length * times for length, times in zip(sizes, reps, strict=True)]
    require_room(shape)
    if all(times in (1, whole) for times, whole in zip(reps, shape, strict=True)):
        return x.expand(shape)
    return x.repeat(reps)


def range_1d(start: Int, end: Int, step: Int) -> Tensor:
    require_room([max(0, -((start - end) // step))])
    return torch.arange(start, end, step, dtype=torch.int32)


def fill(shape: Ints, value: Tensor) -> Tensor:
    require_room(shape)
    return value.reshape(()).expand(shape).clone()


def _strides(fixed: Mapping[str, Any]) -> str | None:
    return "a stride of 0" if 0 in (fixed.get("stride") or []) else None


@refuses(_strides)
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Flags | None = None,
    end_mask: Flags | None = None,
    squeeze_mask: Flags | None = None,
) -> Tensor:
    """As NumPy's slices, those of negative strides too."""
    index, backwards = _index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    return x[index].flip(backwards) if backwards else x[index]


def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if count == -1 else count)
    return x


@refuses(_strides)
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Flags | None = None,
    end_mask: Flags | None = None,
    squeeze_mask: Flags | None = None,
) -> Tensor:
    """Changes `x` itself: who calls gives a copy where `x` is wanted later."""
    index, backwards = _index(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    x[index] = update.flip(backwards) if backwards else update
    return x


def gather(
    x: Tensor, indices: Tensor, axis: Int = 0, batch_dims: Int = 0, validate_indices: Flag = False
) -> Tensor:
    """Slices along `axis`; the first `batch_dims` axes of `x` and `indices` go together."""
    if batch_dims:
        batches = x.shape[:batch_dims]
        axis %= x.dim()
        pairs = zip(
            x.reshape(-1, *x.shape[batch_dims:]),
            indices.reshape(-1, *indices.shape[batch_dims:]),
            strict=True,
        )
        found = torch.stack([gather(one, place, axis - batch_dims) for one, place in pairs])
        return found.reshape(*batches, *found.shape[1:])
    places = _from_start(indices.int(), x.shape[axis])
    if axis == 0 and x.dim() == 2:
        return embedding(places, x)
    rest = (*x.shape[:axis], *places.shape, *x.shape[axis % x.dim() + 1 :])
    return x.index_select(axis, places.reshape(-1)).reshape(rest)


def gather_nd(
    x: Tensor, indices: Tensor, batch_dims: Int = 0, validate_indices: Flag = False
) -> Tensor:
    """The last axis of `indices` says where in as many axes of `x` after the first `batch_dims`."""
    if batch_dims:
        batches = x.shape[:batch_dims]
        pairs = zip(
            x.reshape(-1, *x.shape[batch_dims:]),
            indices.reshape(-1, *indices.shape[batch_dims:]),
            strict=True,
        )
        several = torch.stack([gather_nd(one, place) for one, place in pairs])
        return several.reshape(*batches, *several.shape[1:])
    found = [
        _from_start(place, x.shape[axis]) for axis, place in enumerate(indices.long().unbind(-1))
    ]
    return x[tuple(found)]


def gather_along_axis(
    x: Tensor, indices: Tensor, axis: Int = 0, validate_indices: Flag = False
) -> Tensor:
    return x.gather(axis, _from_start(indices.long(), x.shape[axis]))


def _from_start(places: Tensor, count: int) -> Tensor:
    """Places of `count`, of which negative ones are counted from the end, from the start."""
    if not places.is_meta and places.numel() and places.amin().item() >= 0:
        return places
    return torch.where(places < 0, places + count, places)


def _pads(fixed: Mapping[str, Any]) -> str | None:
    return "a negative pad" if min(fixed.get("pad") or [0]) < 0 else None


@refuses(_pads)
def pad(
    x: Tensor,
    pad: Ints,
    mode: Literal["constant", "reflect", "replicate"] = "constant",
    constant_val: Tensor | float = 0.0,
) -> Tensor:
    """`pad` holds two numbers, before and after, for each of the last axes, first axis first."""
    pairs = [pad[start : start + 2] for start in range(0, len(pad), 2)]
    kept = x.dim() - len(pairs)
    grown = [n + sum(pair) for n, pair in zip(x.shape[kept:], pairs, strict=True)]
    require_room([*x.shape[:kept], *grown])
    while mode != "constant" and len(pairs) > 1 and not any(pairs[0]):
        pairs = pairs[1:]  # PyTorch mirrors the last axes only, and not all of them
    amounts = [amount for pair in reversed(pairs) for amount in pair]
    return torch_pad(x, amounts, mode, float(constant_val) if mode == "constant" else None)


def upsample_nearest_neighbor(
    x: Tensor, scale_factor_height: Tensor | float = 1, scale_factor_width: Tensor | float = 1
) -> Tensor:
    factors = [float(scale_factor_height), float(scale_factor_width)]
    require_room([*x.shape[:-2], *(int(n * f) for n, f in zip(x.shape[-2:], factors, strict=True))])
    return interpolate(x, scale_factor=factors, mode="nearest")


def band_part(x: Tensor, lower: Int = -1, upper: Int = -1) -> Tensor:
    """What lies within so many diagonals below and above the main one; -1 for all."""
    kept = x.triu(-lower) if lower >= 0 else x
    return kept.tril(upper) if upper >= 0 else kept


def _index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Flags | None,
    end_mask: Flags | None,
    squeeze_mask: Flags | None,
) -> tuple[tuple[int | slice, ...], list[int]]:
    """The index for `x[...]`, and the axes of the result to turn around.

    A masked end is open; a squeezed axis is taken at its beginning. PyTorch has no negative
    strides: what they take is taken forwards.
    """
    off = [False] * len(begin)
    begin_mask, end_mask, squeeze_mask = begin_mask or off, end_mask or off, squeeze_mask or off
    if not stride or set(stride) == {1}:
        entries = zip(begin, end, begin_mask, end_mask, squeeze_mask, strict=True)
        return tuple(
            [
                (0 if from_start else first)
                if squeezed
                else slice(None if from_start else first, None if to_end else last)
                for first, last, from_start, to_end, squeezed in entries
            ]
        ), []
    index: list[int | slice] = []
    backwards: list[int] = []
    kept = 0
    for axis, (first, last, step, from_start, to_end, squeezed) in enumerate(
        zip(begin, end, stride, begin_mask, end_mask, squeeze_mask, strict=True)
    ):
        if squeezed:
            index.append(0 if from_start else first)
            continue
        taken = slice(None if from_start else first, None if to_end else last, step)
        if step < 0:
            places = range(*taken.indices(x.shape[axis]))
            taken = slice(places[-1], places[0] + 1, -step) if places else slice(0, 0)
            backwards.append(kept)
        index.append(taken)
        kept += 1
    return tuple(index), backwards
