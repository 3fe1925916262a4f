"""The small functions that a program becomes: each reads places of a list and writes others.

There is one for each way of calling, so that a step decides nothing when it runs: a language
model has hundreds of steps for each token, most of them on a few hundred numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

STATES = 0
"""The place of the states."""

Run = Callable[[list[Any]], None]
Late = tuple[int, Any, Callable[[Any], Any] | None]
"""An argument that is not a constant: its position, the place where it is (`None`: in the template
already; a list for a list of tensors), and what converts it."""


def reading(state: str, out: int) -> Run:
    """Put a state in a place."""

    def run(places: list[Any]) -> None:
        places[out] = places[STATES][state]

    return run


def writing(state: str, place: int) -> Run:
    """Have what is in a place be the state."""

    def run(places: list[Any]) -> None:
        places[STATES][state] = places[place]

    return run


def setting(state: str, value: Any) -> Run:
    """Have a constant be the state."""

    def run(places: list[Any]) -> None:
        places[STATES][state] = value.clone()

    return run


def widening(place: int, out: int) -> Run:
    """Put the value of a place in another as float32."""

    def run(places: list[Any]) -> None:
        places[out] = places[place].float()

    return run


def tensoring(place: int, out: int, dtype: Any) -> Run:
    """Put the integers of a place in another as a tensor."""
    import torch

    def run(places: list[Any]) -> None:
        places[out] = torch.tensor(places[place], dtype=dtype)

    return run


def plainly(
    compute: Callable[..., Any], template: list[Any], late: Sequence[Late], out: int
) -> Run:
    """Compute without tensors; the arguments are as for `calling`."""
    filled = _filled(compute, template, late)

    def run(places: list[Any]) -> None:
        places[out] = filled(places)

    return run


def widened(value: Any) -> Any:
    """A tensor as float32."""
    return value.float()


def copying(kernel: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A kernel that is given a copy of one of its arguments."""

    def run(*arguments: Any) -> Any:
        return kernel(*arguments[:at], arguments[at].clone(), *arguments[at + 1 :])

    return run


def named(kernel: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """A kernel that is given its arguments by name, some being left out."""

    def run(*arguments: Any) -> Any:
        return kernel(**dict(zip(names, arguments, strict=True)))

    return run


def calling(
    kernel: Callable[..., Any],
    template: list[Any],
    late: Sequence[Late],
    outputs: Sequence[tuple[int, Any]],
    *,
    several: bool,
) -> Run:
    """Call a kernel and put its results in their places, each in the type that it is held in.

    Args:
        kernel: what computes.
        template: its arguments in order, with a gap for each that is not a constant.
        late: what goes into the gaps.
        outputs: place and type of each result.
        several: whether the kernel returns a tuple.
    """
    if several:
        return _unpacked(_filled(kernel, template, late), outputs)
    ((out, dtype),) = outputs
    direct = all(convert is None and isinstance(place, int) for _, place, convert in late)
    positions = [position for position, _, _ in late]
    if direct and positions == [0]:
        return _of_one(kernel, late[0][1], tuple(template[1:]), out, dtype)
    if direct and positions == [0, 1]:
        return _of_two(kernel, late[0][1], late[1][1], tuple(template[2:]), out, dtype)
    if direct and len(positions) > 2 and positions == [*range(len(positions))]:
        spots = [place for _, place, _ in late]
        return _of_several(kernel, spots, tuple(template[len(spots) :]), out, dtype)
    compute = _filled(kernel, template, late)

    def run(places: list[Any]) -> None:
        result = compute(places)
        places[out] = result if result.dtype is dtype else result.to(dtype)

    return run


def _of_one(
    kernel: Callable[..., Any], place: int, rest: tuple[Any, ...], out: int, dtype: Any
) -> Run:
    if not rest:

        def run(places: list[Any]) -> None:
            result = kernel(places[place])
            places[out] = result if result.dtype is dtype else result.to(dtype)

        return run

    def run_with_more(places: list[Any]) -> None:
        result = kernel(places[place], *rest)
        places[out] = result if result.dtype is dtype else result.to(dtype)

    return run_with_more


def _of_two(
    kernel: Callable[..., Any], first: int, second: int, rest: tuple[Any, ...], out: int, dtype: Any
) -> Run:
    def run(places: list[Any]) -> None:
        result = kernel(places[first], places[second], *rest)
        places[out] = result if result.dtype is dtype else result.to(dtype)

    return run


def _of_several(
    kernel: Callable[..., Any], spots: list[int], rest: tuple[Any, ...], out: int, dtype: Any
) -> Run:
    values = itemgetter(*spots)

    def run(places: list[Any]) -> None:
        result = kernel(*values(places), *rest)
        places[out] = result if result.dtype is dtype else result.to(dtype)

    return run


def _filled(
    kernel: Callable[..., Any], template: list[Any], late: Sequence[Late]
) -> Callable[[list[Any]], Any]:
    def compute(places: list[Any]) -> Any:
        arguments = template.copy()
        for at, place, convert in late:
            if place is None:
                value = arguments[at]
            elif isinstance(place, int):
                value = places[place]
            else:
                value = [
                    constant if spot is None else places[spot]
                    for constant, spot in zip(arguments[at], place, strict=True)
                ]
            arguments[at] = convert(value) if convert else value
        return kernel(*arguments)

    return compute


def _unpacked(compute: Callable[[list[Any]], Any], outputs: Sequence[tuple[int, Any]]) -> Run:
    def run(places: list[Any]) -> None:
        for (out, dtype), result in zip(outputs, compute(places), strict=True):
            places[out] = result if result.dtype is dtype else result.to(dtype)

    return run
