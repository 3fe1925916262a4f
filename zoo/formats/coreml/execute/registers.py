"""Run the steps of a program: each is a small function that reads and writes numbered places.

What can be decided once is decided here: which arguments are constants and where the others are,
which type a result is held in, when a value is wanted no more, which state is updated in place.

In float16 mode, values of the type float16 are held in it. A kernel of `NATIVE` takes them so:
PyTorch computes it in float32 and rounds once, which is the same number (a test compares all
65,536). So does one of `FUSED`, which consists of such calls. The other kernels are given float32,
and their result is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zoo.errors import IntegrityError, ZooError
from zoo.formats.coreml.execute.aliases import need_copies
from zoo.formats.coreml.execute.calls import (
    STATES,
    Late,
    Run,
    calling,
    copying,
    named,
    plainly,
    reading,
    setting,
    tensoring,
    widened,
    widening,
    writing,
)
from zoo.formats.coreml.execute.host import plan_host
from zoo.formats.coreml.execute.steps import MOVING, TYPES, Call, ReadState, Step, WriteState, title
from zoo.formats.coreml.package.proto import Name

NATIVE = MOVING | {
    "abs", "add", "cast", "ceil", "exp", "floor", "gather_nd", "gelu", "maximum", "minimum", "mul",
    "real_div", "round", "shape", "sigmoid", "silu", "sqrt", "square", "sub", "tanh",
}  # fmt: skip
"""Operations that give on float16 what they give on float32, rounded."""

FUSED = frozenset({"rms_norm", "rotation"})
"""Several operations in one step, which round between them where a program does."""

SMALL = 1 << 16
"""Numbers of a constant that is held in float16 too, where it meets values of float16."""

Wrap = Callable[[Callable[..., Any], Call, Sequence[str]], Callable[..., Any]]


class Registers:
    """A program that is ready to run.

    Args:
        name: of the package, for messages.
        steps: of the program, in order.
        inputs: MIL type of each input.
        outputs: names to give out.
        rounds: whether what the program has as float16 is rounded to it.
        wrap: changes each kernel, given its step and the names of its arguments.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        inputs: Mapping[str, str],
        outputs: Sequence[str],
        *,
        rounds: bool,
        wrap: Wrap | None = None,
    ) -> None:
        import torch

        self._name, self._rounds, self._wrap = name, rounds, wrap
        self._half, self._wide = torch.float16, torch.float32
        self._places: dict[str, int] = {}
        self._types: dict[str, str] = {}
        self._others: dict[int, int] = {}
        self._ranks: dict[str, int] = {}
        self._count = STATES + 1
        self._program: list[tuple[Run, list[int]]] = []
        self._titles: list[tuple[str, Any]] = []
        self._last: dict[int, int] = {}
        for key, kind in inputs.items():
            self._new(key, kind)
        self._inputs = dict(self._places)
        copies = _copies(steps, outputs)
        for number, step in enumerate(steps):
            self._add(step, number in copies)
        self._outputs = {
            key: self._tensor(steps[-1], self._places[key], key)
            if key in self._ranks
            else self._places[key]
            for key in outputs
        }
        self._free()

    def run(self, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs, tensors by name, for tensors as inputs; `state` is updated.

        Raises:
            IntegrityError: an operation cannot be computed.
        """
        places: list[Any] = [None] * self._count
        places[STATES] = state
        for key, place in self._inputs.items():
            places[place] = inputs[key]
        number = 0
        try:
            for number, (run, spent) in enumerate(self._program):  # noqa: B007
                run(places)
                for place in spent:
                    places[place] = None
        except ZooError:
            raise
        except Exception as error:
            kind, outputs = self._titles[number]
            words = " ".join(str(error).split()) or type(error).__name__
            raise IntegrityError(
                f"{title(kind, outputs)} of {self._name} cannot be computed: {words[:200]}"
            ) from error
        return {key: places[place] for key, place in self._outputs.items()}

    def _new(self, name: str, kind: str) -> int:
        place, self._count = self._count, self._count + 1
        self._places[name], self._types[name] = place, kind
        self._ranks.pop(name, None)
        return place

    def _dtype(self, kind: str) -> Any:
        import torch

        if kind == "FLOAT16" and self._rounds:
            return self._half
        return getattr(torch, TYPES[kind])

    def _emit(self, step: Step, run: Run, reads: Iterable[int], writes: Iterable[int]) -> None:
        number = len(self._program)
        self._program.append((run, []))
        self._titles.append((step.kind, step.outputs))
        self._last.update(dict.fromkeys(reads, number))
        for place in writes:
            self._last.setdefault(place, number)

    def _add(self, step: Step, copied: bool) -> None:
        if isinstance(step, ReadState):
            (name, kind), state = step.outputs[0], step.state
            place = self._new(name, kind)
            self._emit(step, reading(state, place), (), (place,))
        elif isinstance(step, WriteState):
            if isinstance(step.source, Name):
                place = self._places[step.source.name]
                if step.source.name in self._ranks:
                    place = self._tensor(step, place, step.source.name)
                self._emit(step, writing(step.state, place), (place,), ())
            else:
                self._emit(step, setting(step.state, step.source), (), ())
        else:
            self._call(step, copied)

    def _compute_host(self, step: Call) -> bool:
        """Compute a step in plain Python, if it is arithmetic of shapes."""
        found = plan_host(step, self._ranks) if self._wrap is None else None
        if found is None:
            return False
        rank, compute, given = found
        late: list[Late] = []
        template: list[Any] = []
        for at, value in enumerate(given):
            entries = [self._host_entry(v) for v in (value if isinstance(value, list) else [value])]
            constants = [None if is_place else found for is_place, found in entries]
            spots = [found if is_place else None for is_place, found in entries]
            template.append(constants if isinstance(value, list) else constants[0])
            if any(spot is not None for spot in spots):
                late.append((at, spots if isinstance(value, list) else spots[0], None))
        reads = [place for _, places, _ in late for place in _listed(places) if place is not None]
        ((name, kind),) = step.outputs
        place = self._new(name, kind)
        self._ranks[name] = rank
        self._emit(step, plainly(compute, template, late, place), reads, (place,))
        return True

    def _host_entry(self, value: Any) -> tuple[bool, Any]:
        if isinstance(value, Name):
            return True, self._places[value.name]
        return False, value

    def _call(self, step: Call, copied: bool) -> None:
        from zoo.formats.coreml.execute.kernels.arguments import forms
        from zoo.formats.coreml.execute.kernels.bounds import guarded

        if self._compute_host(step):
            return
        native = step.kind in NATIVE or step.kind in FUSED
        order = list(forms(step.kernel))
        names = [key for key in order if key in step.fixed or key in step.late]
        kernel = step.kernel if names == order[: len(names)] else named(step.kernel, names)
        kernel = guarded(step.kind, kernel)
        if self._wrap is not None:
            kernel = self._wrap(kernel, step, names)
        template: list[Any] = []
        late: list[Late] = []
        for at, key in enumerate(names):
            value, convert = step.late.get(key, (step.fixed.get(key), None))
            if isinstance(value, list) and key in step.late:
                entries = [self._entry(step, entry, native) for entry in value]
                template.append([None if is_place else found for is_place, found in entries])
                late.append(
                    (at, [found if is_place else None for is_place, found in entries], convert)
                )
                continue
            is_place, found = self._entry(step, value, native, convert is not None)
            template.append(None if is_place else found)
            if is_place:
                late.append((at, found, convert))
            elif not native and _holds(found, self._half):
                late.append((at, None, widened))
        if copied:
            kernel = copying(kernel, names.index("x"))
        out = [(self._new(name, kind), self._dtype(kind)) for name, kind in step.outputs]
        reads = [place for _, places, _ in late for place in _listed(places) if place is not None]
        run = calling(kernel, template, late, out, several=step.kind == "split")
        self._emit(step, run, reads, [place for place, _ in out])

    def _entry(self, step: Call, entry: Any, native: bool, plain: bool = False) -> tuple[bool, Any]:
        """Whether an argument is in a place, and the place, or the constant that it is."""
        if not isinstance(entry, Name):
            return False, self._narrowed(entry) if native else entry
        place = self._places[entry.name]
        if entry.name in self._ranks:
            return True, place if plain else self._tensor(step, place, entry.name)
        if native or not self._rounds or self._types[entry.name] != "FLOAT16":
            return True, place
        return True, self._other(step, place, widening)

    def _tensor(self, step: Step, place: int, name: str) -> int:
        """Where the integers of a place are as a tensor."""
        dtype = self._dtype(self._types[name])
        return self._other(step, place, lambda at, out: tensoring(at, out, dtype))

    def _other(self, step: Step, place: int, make: Callable[[int, int], Run]) -> int:
        """Where the value of a place is in another form; it is made when first asked for."""
        if place not in self._others:
            other = self._others[place] = self._count
            self._count += 1
            self._emit(step, make(place, other), (place,), (other,))
        return self._others[place]

    def _narrowed(self, value: Any) -> Any:
        """A constant in float16, if it is small and none of it is lost."""
        if not (self._rounds and _holds(value, self._wide) and value.numel() <= SMALL):
            return value
        half = value.half()
        return half if bool((half.float() == value).all()) else value

    def _free(self) -> None:
        """Let go of each value after the last step that reads it."""
        kept = set(self._outputs.values())
        for place, number in self._last.items():
            if place not in kept:
                self._program[number][1].append(place)


def _copies(steps: Sequence[Step], outputs: Sequence[str]) -> set[int]:
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        last.update(dict.fromkeys(step.reads, number))
    return set(need_copies([step.described for step in steps], last, set(outputs)))


def _holds(value: Any, dtype: Any) -> bool:
    return getattr(value, "dtype", None) is dtype


def _listed(places: Any) -> list[Any]:
    return places if isinstance(places, list) else [places]
