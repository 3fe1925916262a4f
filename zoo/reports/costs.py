"""What a build costs to run, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """The cost of one operation of a program, or the sum of several.

    Attributes:
        part: the component that contains it, such as `model` or `encoder`.
        layer: the layer that it belongs to, by the names of the weights.
        kind: what it computes, such as `linear`.
        name: its name in the program.
        parameters: number of weights that it reads, each counted at its first use.
        weight_bytes: size of these weights on disk, in bytes, with scales and tables.
        activation_bytes: bytes that it reads and writes besides weights.
        flops: floating-point operations; a multiply-add counts as two.
        count: number of operations in the sum.
        device: the compute unit by Core ML's compute plan, if it was read.
        share: estimated share of the total cost by that plan, from 0 to 1.
    """

    part: str
    layer: str
    kind: str
    name: str
    parameters: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    flops: int = 0
    count: int = 1
    device: str | None = None
    share: float | None = None


@dataclass(frozen=True)
class Memory:
    """What a build takes of memory while it runs, in bytes.

    Attributes:
        weights: as they are stored.
        caches: states that outlive a call, at their full length.
        activations: the most intermediate results at once.
        largest_package: of the weights, those in one package.
        context: tokens that the caches hold, of a language model.
    """

    weights: int
    caches: int
    activations: int
    largest_package: int = 0
    context: int | None = None


@dataclass(frozen=True)
class Cost:
    """The operations of a build and their cost, in the order of the program.

    Attributes:
        case: the workload, such as "1 token after 1,023 others".
        operations: all operations that compute something; constants are not included.
        ref: the full reference of the model; zoo sets it.
        build: the name of the build; zoo sets it.
        memory: the memory needed to run the build, if the format reports it.
    """

    case: str
    operations: tuple[Operation, ...]
    ref: str = ""
    build: str = ""
    memory: Memory | None = None

    @property
    def total(self) -> Operation:
        """The sum of all operations."""
        return _sum(self.operations, lambda _: ("", "", "", "total"))[0]

    def by_layer(self) -> list[Operation]:
        """Sum the operations of each layer of each part, in order."""
        return _sum(self.operations, lambda o: (o.part, o.layer, "", o.layer))

    def by_kind(self) -> list[Operation]:
        """Sum the operations of each kind, the most expensive first."""
        sums = _sum(self.operations, lambda o: ("", "", o.kind, o.kind))
        return sorted(sums, key=lambda o: (-o.flops, -o.weight_bytes, -o.activation_bytes, o.kind))


def _sum(
    operations: Iterable[Operation], key: Callable[[Operation], tuple[str, str, str, str]]
) -> list[Operation]:
    groups: dict[tuple[str, str, str, str], list[Operation]] = {}
    for operation in operations:
        groups.setdefault(key(operation), []).append(operation)
    return [
        Operation(
            *names,
            parameters=sum(o.parameters for o in group),
            weight_bytes=sum(o.weight_bytes for o in group),
            activation_bytes=sum(o.activation_bytes for o in group),
            flops=sum(o.flops for o in group),
            count=sum(o.count for o in group),
            device=_common(o.device for o in group),
            share=sum(o.share or 0 for o in group) if any(o.share for o in group) else None,
        )
        for names, group in (groups or {("", "", "", "total"): []}).items()
    ]


def _common(devices: Iterable[str | None]) -> str | None:
    found = sorted({device for device in devices if device})
    return ", ".join(found) or None
