"""Find out which updates of a state may be done in place.

`slice_update` gives a new array with one part replaced. A copy of a whole cache for every layer
and token would take most of the time, so the part is replaced in the array itself where nothing
can tell the difference: the array is the state, the result becomes the state, and no other view
of it is read afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

VIEWS = {
    "band_part", "cast", "expand_dims", "identity", "reshape", "slice_by_index", "slice_by_size",
    "slice_update", "split", "squeeze", "tile", "transpose",
}  # fmt: skip
"""Operations whose results may share memory with their argument `x`."""


class Operation(NamedTuple):
    """What matters here of an operation.

    Attributes:
        kind: its type.
        source: the name that it reads as `x`, or that it writes to a state.
        made: the names of its results.
        state: the state that it reads or writes.
    """

    kind: str
    source: str | None
    made: Sequence[str]
    state: str | None


def need_copies(
    operations: Sequence[Operation], last: Mapping[str, int], outputs: set[str]
) -> list[int]:
    """The numbers of the `slice_update`s that need a copy of their `x`.

    Args:
        operations: of the program, in order.
        last: the number of the last operation that reads a name.
        outputs: names that are read when all is done.
    """
    made_at = {name: number for number, op in enumerate(operations) for name in op.made}
    becomes = {op.source: op.state for op in operations if op.kind == "write_state"}
    state_of = _states(operations)
    unsafe = []
    for number, operation in enumerate(operations):
        if operation.kind != "slice_update":
            continue
        state = state_of.get(operation.source or "")
        seen_later = any(
            root == state and made_at[name] < number
            and (last.get(name, -1) > number or name in outputs)
            for name, root in state_of.items()
        )  # fmt: skip
        if state is None or becomes.get(operation.made[0]) != state or seen_later:
            unsafe.append(number)
    return unsafe


def _states(operations: Sequence[Operation]) -> dict[str, str]:
    """For each name that may share memory with a state, the state."""
    found: dict[str, str] = {}
    for operation in operations:
        if operation.kind == "read_state" and operation.state:
            found.update(dict.fromkeys(operation.made, operation.state))
        elif operation.kind in VIEWS and operation.source in found:
            found.update(dict.fromkeys(operation.made, found[operation.source]))
    return found
