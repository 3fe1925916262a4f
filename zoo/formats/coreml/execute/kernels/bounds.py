"""Numbers of a program are checked before memory is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import prod
from typing import Any

from zoo.machine import free_memory
from zoo.words import human

CAREFREE = 1 << 27
"""Where the lengths of all arguments, multiplied, are less, no result of theirs is large."""

NUMBER_BYTES = 4

COPIES = 2
"""How often a result is in memory at once: as it is computed, and rounded."""

ONE_BY_ONE = {
    "add", "sub", "mul", "real_div", "floor_div", "mod", "pow", "maximum", "minimum", "equal",
    "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or",
    "rms_norm",
}  # fmt: skip
"""Operations of which the first two arguments are broadcast."""

OF_TWO = {"gather", "gather_nd", "gather_along_axis"}
"""Those of which the first two arguments alone decide how large the result is."""

OTHERS = {"select", "clip", "einsum", "stack", "concat"}
"""Other operations whose result may be larger than what they are given."""


def require_room(shape: Sequence[int]) -> None:
    """Check that a result fits in the memory that is free.

    Raises:
        ValueError: it does not, or a length is negative.
    """
    if min(shape, default=0) < 0:
        raise ValueError(f"its result would have the shape {tuple(shape)}")
    size = prod(shape) * NUMBER_BYTES
    if size > CAREFREE and size > free_memory() // COPIES:
        raise ValueError(f"its result would take {human(size)}, more than the memory that is free")


def guarded(kind: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that checks the size of its result first, where the operation can grow."""
    if kind in ONE_BY_ONE:
        return _one_by_one(kernel)
    if kind in OF_TWO:
        return _of_two(kernel)
    if kind == "rotation":
        return _of_three(kernel)
    if kind == "linear":
        return _of_linear(kernel)
    if kind == "matmul":
        return _of_matmul(kernel)
    if kind == "scaled_dot_product_attention":
        return _of_attention(kernel)
    return _of_any(kernel) if kind in OTHERS else kernel


def _of_two(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any, *rest: Any) -> Any:
        if x.numel() * y.numel() > CAREFREE:
            require_room(kernel(*_without_contents([x, y, *rest])).shape)
        return kernel(x, y, *rest)

    return run


def _one_by_one(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any, *rest: Any) -> Any:
        if x.numel() * y.numel() > CAREFREE and x.shape != y.shape:
            _require_room_for_all(x, y)
        return kernel(x, y, *rest)

    return run


def _of_three(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any, z: Any) -> Any:
        if x.numel() * y.numel() * z.numel() > CAREFREE:
            _require_room_for_all(x, y, z)
        return kernel(x, y, z)

    return run


def _require_room_for_all(*tensors: Any) -> None:
    """Check the size of what tensors are broadcast to."""
    lengths = zip_longest(*(reversed(tensor.shape) for tensor in tensors), fillvalue=1)
    require_room([max(each) for each in lengths])


def _of_linear(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, weight: Any, *rest: Any) -> Any:
        if x.numel() * weight.numel() > CAREFREE:
            require_room((*x.shape[:-1], weight.shape[0]))
        return kernel(x, weight, *rest)

    return run


def _of_matmul(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False) -> Any:
        if x.numel() * y.numel() > CAREFREE and min(x.dim(), y.dim()) > 1:
            lengths = zip_longest(reversed(x.shape[:-2]), reversed(y.shape[:-2]), fillvalue=1)
            rows, columns = x.shape[-1 if transpose_x else -2], y.shape[-2 if transpose_y else -1]
            require_room([*(max(pair) for pair in lengths), rows, columns])
        return kernel(x, y, transpose_x, transpose_y)

    return run


def _of_attention(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(query: Any, key: Any, value: Any, *rest: Any) -> Any:
        if query.numel() * (key.numel() + value.numel()) > CAREFREE:
            batch = max(query.shape[:-2].numel(), key.shape[:-2].numel())
            longest = max(key.shape[-2], value.shape[-1])
            require_room((batch, query.shape[-2], longest))
        return kernel(query, key, value, *rest)

    return run


def _of_any(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        size = 1
        for value in arguments:
            if hasattr(value, "numel"):
                size *= value.numel() or 1
            elif isinstance(value, list):
                size *= sum(entry.numel() for entry in value if hasattr(entry, "numel")) or 1
        if size > CAREFREE:
            require_room(kernel(*_without_contents(arguments)).shape)
        return kernel(*arguments)

    return run


def _without_contents(arguments: Sequence[Any]) -> list[Any]:
    """The arguments with shapes alone, on PyTorch's `meta` device."""
    return [
        _without_contents(value)
        if isinstance(value, list)
        else value.to("meta")
        if hasattr(value, "to") and value.dim()
        else value
        for value in arguments
    ]
