"""Operations on heads one by one, which the executor does for all heads at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_programs import ct, mb, save, types, uniform

from zoo.formats.coreml.execute import rewrites
from zoo.formats.coreml.execute.program import ReferenceProgram

QUERY, KEY, MASK = (1, 4, 8, 5), (1, 2, 8, 6), (1, 1, 5, 6)


def attention(query: Any, key: Any, mask: Any, places: tuple[int, ...] = (0, 0, 1, 1)) -> list[Any]:
    """What each head of queries finds, two heads to each of keys; values are the keys."""
    queries = mb.split(x=query, num_splits=4, axis=1)
    keys = mb.split(x=key, num_splits=2, axis=1)
    found = []
    for one, place in zip(queries, places, strict=True):
        scores = mb.add(x=mb.matmul(x=one, y=keys[place], transpose_x=True), y=mask)
        seen = mb.softmax(x=scores, axis=-1)
        found.append(mb.matmul(x=seen, y=keys[place], transpose_y=True))
    return found


def joined(query: Any, key: Any, mask: Any) -> Any:
    return mb.concat(values=attention(query, key, mask), axis=1)


def joined_backward(query: Any, key: Any, mask: Any) -> Any:
    return mb.concat(values=attention(query, key, mask)[::-1], axis=1)


def apart(query: Any, key: Any, mask: Any) -> Any:
    first, *others = attention(query, key, mask)
    return [mb.mul(x=first, y=np.float16(2)), *others]


def in_another_order(query: Any, key: Any, mask: Any) -> Any:
    return mb.concat(values=attention(query, key, mask, (0, 1, 0, 1)), axis=1)


def some_heads(query: Any, key: Any, mask: Any) -> Any:
    """Queries are split unevenly, and each has a number of its own to be scaled by."""
    first, second, both = mb.split(x=query, split_sizes=[1, 1, 2], axis=1)
    doubled = [mb.mul(x=x, y=np.float16(2)) for x in (first, second)]
    scaled = [mb.mul(x=x, y=np.float16(n)) for n, x in enumerate((first, second), 3)]
    return mb.concat(values=[*doubled, *scaled, both], axis=1)


def along_positions(query: Any, key: Any, mask: Any) -> Any:
    parts = mb.split(x=query, num_splits=4, axis=2)
    return mb.concat(values=[mb.softmax(x=part, axis=1) for part in parts], axis=2)


PROGRAMS = {
    "joined": (joined, {"matmul": 2, "add": 1, "softmax": 1}),
    "joined backward": (joined_backward, {"matmul": 2, "add": 1, "softmax": 1}),
    "apart": (apart, {"matmul": 2, "add": 1, "softmax": 1, "mul": 1}),
    "in another order": (in_another_order, {"matmul": 8, "add": 4, "softmax": 4}),
    "some heads": (some_heads, {"mul": 3}),
    "along positions": (along_positions, {"softmax": 4}),
}
"""With the operations that are left."""


def write(build: Any, package: Path) -> Path:
    specs = [mb.TensorSpec(shape, dtype=types.fp16) for shape in (QUERY, KEY, MASK)]
    return save(mb.program(input_specs=specs, opset_version=ct.target.iOS18)(build), package)


def results(package: Path, mode: Any) -> list[np.ndarray]:
    opened = ReferenceProgram(package, mode=mode)
    given = {
        name: uniform(*shape).astype(np.float16)
        for name, shape in (("query", QUERY), ("key", KEY), ("mask", MASK))
    }
    return list(opened.predict(given).values())


@pytest.mark.parametrize("mode", ["fp16", "fp32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_all_heads_at_once_give_what_each_gives(tmp_path, monkeypatch, name, mode):
    build, left = PROGRAMS[name]
    package = write(build, tmp_path / "heads.mlpackage")
    batched, kinds = rewrites.batch_heads, Counter[str]()

    def counted(*given: Any) -> Any:
        steps = batched(*given)
        kinds.update(step.kind for step in steps)
        return steps

    monkeypatch.setattr(rewrites, "batch_heads", counted)
    found = results(package, mode)
    monkeypatch.setattr(rewrites, "batch_heads", lambda steps, *_: list(steps))
    for one, same in zip(found, results(package, mode), strict=True):
        np.testing.assert_allclose(one, same, rtol=2e-3, atol=1e-3)
    assert {kind: kinds[kind] for kind in left} == left
