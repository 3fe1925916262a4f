"""Compute for all heads at once what a program computes for each by itself.

Programs for the Neural Engine split queries, keys and values into heads and attend with one at a
time, which for this executor are many operations on few numbers. Here, operations that do the same
to each part of a tensor become one on the whole. Each number is computed from the same numbers as
before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from zoo.formats.coreml.execute.steps import Call, Step
from zoo.formats.coreml.package.proto import Name

ALIKE = frozenset({"add", "matmul", "mul", "real_div", "softmax", "sub"})
"""Operations that do to a whole tensor what they do to each of its parts."""

PARTS, RANK = 1, 4
"""The axis along which tensors are split into heads, and how many axes they have."""

Shapes = Mapping[str, tuple[int, ...]]
"""Of the values whose shape is static, by name."""


class _Part(NamedTuple):
    """One of the parts that a tensor consists of."""

    whole: str
    number: int


@dataclass
class _Group:
    """Calls that do the same to parts of the same tensors.

    Attributes:
        name: of the tensor that their results are parts of.
        places: where each call is in the program.
        parts: for each argument that is a part, which one it is in each call.
    """

    name: str
    calls: list[Call] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    parts: dict[str, list[_Part]] = field(default_factory=dict)


def batch_heads(steps: Sequence[Step], shapes: Shapes, outputs: Sequence[str]) -> list[Step]:
    """The steps of a program, with one for all heads where there was one for each.

    Args:
        steps: of the program, in order.
        shapes: of what is computed, and of its inputs.
        outputs: names that the program gives out.
    """
    groups = _usable(_groups(steps, shapes))
    return _without_idle_splits(_rewritten(steps, groups, outputs), outputs) if groups else [*steps]


def _groups(steps: Sequence[Step], shapes: Shapes) -> dict[str, _Group]:
    """All groups by name, each after those whose results it is given."""
    parts: dict[str, _Part] = {}
    groups: dict[Any, _Group] = {}
    for place, step in enumerate(steps):
        if not isinstance(step, Call):
            continue
        if step.kind == "split":
            parts |= _split_parts(step, shapes)
        elif (key := _alike(step, parts, shapes)) is not None:
            ((name, _),) = step.outputs
            group = groups.setdefault(key, _Group(f"{name} and those alike"))
            parts[name] = _Part(group.name, len(group.calls))
            group.calls.append(step)
            group.places.append(place)
            for argument, entry in _names(step):
                if entry in parts:
                    group.parts.setdefault(argument, []).append(parts[entry])
    return {group.name: group for group in groups.values()}


def _split_parts(step: Call, shapes: Shapes) -> dict[str, _Part]:
    """The results of a split that are single heads."""
    source, _ = step.late.get("x", (None, None))
    sizes = [shapes.get(name, ()) for name, _ in step.outputs]
    fits = isinstance(source, Name) and step.fixed.get("axis") in (PARTS, PARTS - RANK)
    if not fits or any(len(shape) != RANK for shape in sizes):
        return {}
    found, number = {}, 0
    for (name, _), shape in zip(step.outputs, sizes, strict=True):
        if shape[PARTS] == 1:
            found[name] = _Part(source.name, number)
        number += shape[PARTS]
    return found


def _alike(step: Call, parts: Mapping[str, _Part], shapes: Shapes) -> Any:
    """The same for two calls that do the same to parts of the same tensors; else `None`."""
    shape = shapes.get(step.outputs[0][0], ())
    if step.kind not in ALIKE or len(shape) != RANK or shape[PARTS] != 1:
        return None
    if step.kind == "softmax" and step.fixed.get("axis", -1) not in (-1, -2, 2, 3):
        return None
    given: list[Any] = [step.kind, step.outputs[0][1], shape]
    for argument, (entry, convert) in sorted(step.late.items()):
        if not isinstance(entry, Name) or convert is not None:
            return None
        whole = parts[entry.name].whole if entry.name in parts else None
        if whole is None and not _is_for_all(shapes.get(entry.name, ())):
            return None
        given.append((argument, whole, None if whole else entry.name))
    for argument, value in sorted(step.fixed.items()):
        if hasattr(value, "shape"):
            if not (value.numel() == 1 or _is_for_all(tuple(value.shape))):
                return None
            given.append((argument, float(value) if value.numel() == 1 else id(value)))
        else:
            given.append((argument, value))
    return tuple(given) if any(entry in parts for _, entry in _names(step)) else None


def _is_for_all(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape is the same for all heads."""
    return len(shape) == RANK and shape[PARTS] == 1


def _names(step: Call) -> Iterator[tuple[str, str]]:
    """The arguments that are results, each with the result's name."""
    for argument, (entry, _) in step.late.items():
        if isinstance(entry, Name):
            yield argument, entry.name


def _usable(groups: Mapping[str, _Group]) -> dict[str, _Group]:
    """The groups that can be computed at once."""
    found: dict[str, _Group] = {}
    for name, group in groups.items():
        made_here = {part.whole for each in group.parts.values() for part in each} & groups.keys()
        if len(group.calls) > 1 and made_here <= found.keys() and _in_order(group):
            found[name] = group
    return found


def _in_order(group: _Group) -> bool:
    """Whether the calls are given part after part; `y` of products may serve several in turn."""
    folds = group.calls[0].kind == "matmul" and "x" in group.parts
    return all(
        _runs(each) == 1 or (folds and argument == "y" and _runs(each) > 1)
        for argument, each in group.parts.items()
    )


def _runs(parts: Sequence[_Part]) -> int:
    """How many calls in turn are given the same part, where all are, and 0 where they differ."""
    numbers = [part.number for part in parts]
    count = len(set(numbers))
    times = len(numbers) // count
    wanted = [numbers[0] + place // times for place in range(len(numbers))]
    return times if numbers == wanted and times * count == len(numbers) else 0


def _rewritten(
    steps: Sequence[Step], groups: Mapping[str, _Group], outputs: Sequence[str]
) -> list[Step]:
    member = {place: group for group in groups.values() for place in group.places}
    made = {call.outputs[0][0]: group for group in groups.values() for call in group.calls}
    joins = {n: group for n, step in enumerate(steps) if (group := _joined(step, made))}
    others = (step.reads for n, step in enumerate(steps) if n not in member and n not in joins)
    wanted = {name for reads in others for name in reads} | set(outputs)
    found: list[Step] = []
    for place, step in enumerate(steps):
        if (group := member.get(place)) is not None:
            if place == group.places[0]:
                found += _at_once(group)
                if any(call.outputs[0][0] in wanted for call in group.calls):
                    found.append(_apart(group))
        elif (group := joins.get(place)) is not None and isinstance(step, Call):
            found.append(_same(group, step))
        else:
            found.append(step)
    return found


def _joined(step: Step, made: Mapping[str, _Group]) -> _Group | None:
    """The group whose results, all of them in order, a step puts side by side."""
    if not isinstance(step, Call) or step.kind != "concat":
        return None
    group = made.get(step.reads[0]) if step.reads else None
    if group is None or step.fixed.get("axis") not in (PARTS, PARTS - RANK):
        return None
    entries, _ = step.late.get("values", (None, None))
    results = [call.outputs[0][0] for call in group.calls]
    names = [getattr(entry, "name", None) for entry in entries or ()]
    return group if names == results and not step.fixed.get("interleave") else None


def _at_once(group: _Group) -> Iterator[Step]:
    """The step that computes a group, after those that take what it needs out of larger tensors."""
    from zoo.formats.coreml.execute.kernels.heads import folded_matmul, some

    first = group.calls[0]
    late, kernel = dict(first.late), first.kernel
    for argument, parts in group.parts.items():
        start, end = parts[0].number, parts[-1].number + 1
        name = f"{group.name}, {argument}"
        whole = {"x": (Name(parts[0].whole), None)}
        fixed = {"begin": start, "end": end}
        kind = first.outputs[0][1]
        yield Call("slice_by_size", some, fixed, whole, [(name, kind)])
        late[argument] = Name(name), None
        if _runs(parts) > 1:
            kernel = folded_matmul
    yield replace(first, kernel=kernel, late=late, outputs=[(group.name, first.outputs[0][1])])


def _apart(group: _Group) -> Step:
    """The step that gives each result of a group by itself."""
    from zoo.formats.coreml.execute.kernels import KERNELS

    fixed = {"axis": PARTS, "num_splits": [len(group.calls)]}
    outputs = [call.outputs[0] for call in group.calls]
    return Call("split", KERNELS["split"], fixed, {"x": (Name(group.name), None)}, outputs)


def _same(group: _Group, step: Call) -> Step:
    """A step that gives what a group makes the name of what would have joined its results."""
    from zoo.formats.coreml.execute.kernels import KERNELS

    late = {"x": (Name(group.name), None)}
    return Call("identity", KERNELS["identity"], {}, late, step.outputs)


def _without_idle_splits(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    read = {name for step in steps for name in step.reads} | set(outputs)
    return [
        step
        for step in steps
        if step.kind != "split" or any(name in read for name, _ in step.outputs)
    ]
