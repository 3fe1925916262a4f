"""Which step of a program makes a value, and which steps read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from zoo.formats.coreml.execute.steps import Call, Step
from zoo.formats.coreml.package.proto import Name


class Graph:
    """The steps of a program in which each name stands for one value.

    Args:
        steps: of the program, in order.
        outputs: names that the program gives out.
    """

    def __init__(self, steps: Sequence[Step], outputs: Sequence[str]) -> None:
        self.steps, self._outputs = steps, set(outputs)
        self._makers: dict[str, Step] = {}
        self._readers: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            self._makers.update((name, step) for name, _ in step.outputs)
            for name in step.reads:
                self._readers[name].append(step)

    def kind(self, entry: Any) -> str | None:
        """The MIL type of a result; `None` for an input of the program and for a constant."""
        maker = self._makers.get(entry.name) if isinstance(entry, Name) else None
        return dict(maker.outputs)[entry.name] if maker else None

    def maker(self, entry: Any, operation: str, reads: int = 1) -> Call | None:
        """The call of this operation that makes an argument, if nothing else needs its results.

        Args:
            entry: the argument.
            operation: type of the operation.
            reads: how often the fused steps read each result.
        """
        step = self._makers.get(entry.name) if isinstance(entry, Name) else None
        if not isinstance(step, Call) or step.kind != operation:
            return None
        return step if all(self._is_inner(name, reads) for name, _ in step.outputs) else None

    def reader(self, step: Call, operation: str) -> Call | None:
        """The call of this operation that reads the one result of a step, if nothing else does."""
        name = result(step).name
        found = self._readers[name][0] if self._is_inner(name, 1) else None
        return found if isinstance(found, Call) and found.kind == operation else None

    def replace(self, gone: Sequence[Step], fused: Mapping[int, Step]) -> list[Step]:
        """The steps without some, and with others for some.

        Args:
            gone: what is left out.
            fused: what stands for a step, by `id` of the step.
        """
        left_out = {id(step) for step in gone}
        return [fused.get(id(step), step) for step in self.steps if id(step) not in left_out]

    def _is_inner(self, name: str, reads: int) -> bool:
        return len(self._readers[name]) == reads and name not in self._outputs


class Pattern(Protocol):
    """Steps that one step can replace, the last one last."""

    @property
    def steps(self) -> list[Call]:
        """The steps, of which only the last one's result is read elsewhere."""


P = TypeVar("P", bound=Pattern)


def fused(
    steps: Sequence[Step],
    outputs: Sequence[str],
    find: Callable[[Graph, Step], P | None],
    at_once: Callable[[P], Step],
) -> list[Step]:
    """The steps of a program, with one for each pattern whose intermediate results only it reads.

    Args:
        steps: of the program, in order, in which each name stands for one value.
        outputs: names that the program gives out.
        find: the pattern that a step belongs to, if it does.
        at_once: the step that computes a pattern.
    """
    graph = Graph(steps, outputs)
    patterns = [pattern for step in steps if (pattern := find(graph, step))]
    gone = [step for pattern in patterns for step in pattern.steps[:-1]]
    return graph.replace(gone, {id(each.steps[-1]): at_once(each) for each in patterns})


def argument(step: Call, key: str) -> Any:
    """An argument of a call: a name, a constant, or `None` where it is left out."""
    return step.late[key][0] if key in step.late else step.fixed.get(key)


def other(step: Call, entry: Any) -> Any:
    """What a step of two arguments, `x` and `y`, has beside this one; `None` if it lacks this."""
    x, y = argument(step, "x"), argument(step, "y")
    if not isinstance(entry, Name):
        return None
    return y if x == entry else x if y == entry else None


def result(step: Call) -> Name:
    """The first result of a call."""
    return Name(step.outputs[0][0])
