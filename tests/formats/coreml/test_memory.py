"""What a package takes of memory, against counts made by hand."""

from __future__ import annotations

import numpy as np
from worlds.lint_builders import grown
from worlds.lint_programs import H, Twin, mb, weights

from zoo.formats.coreml.cost import fixed_inputs
from zoo.formats.coreml.memory import package_memory, together
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package


def memory(twin: Twin, path):
    package = twin.save(path / "model.mlpackage")
    return package_memory(package, fixed_inputs(Package(package)))


def test_results_live_until_their_last_use(tmp_path):
    """A chain holds two at a time; one that the end adds again is held all the way."""

    def chain(x):
        for _ in range(5):
            x = mb.relu(x=x)
        return x

    def long(x):
        kept = y = mb.relu(x=x)
        for _ in range(4):
            y = mb.relu(x=y)
        return mb.add(x=y, y=kept)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    short = memory(Twin(chain, x=(H, 1, 100)), tmp_path / "a")
    kept = memory(Twin(long, x=(H, 1, 100)), tmp_path / "b")
    assert short.activations == 2 * (100 + 200 + 100), "the input, two results and room"
    assert kept.activations == 2 * (100 + 300 + 100)


def test_views_take_nothing_and_parts_of_a_split_live_together(tmp_path):
    def program(x):
        y = mb.reshape(x=mb.relu(x=x), shape=[10, 10])
        first, second = mb.split(x=y, num_splits=2, axis=0)
        return mb.add(x=mb.relu(x=first), y=second)

    found = memory(Twin(program, x=(H, 1, 100)), tmp_path)
    assert found.activations == 2 * (100 + 100 + 100 + 100)


def test_weights_and_states_are_counted_once(tmp_path):
    found = memory(Twin(grown, x=(H, 4, 32), states={"cache": (4, 32)}), tmp_path)
    assert found.caches == 2 * 4 * 32
    other = Twin(lambda x: mb.linear(x=x, weight=weights(64, 64)), x=(H, 1, 64))
    heavy = other.save(tmp_path / "heavy.mlpackage")
    counted = package_memory(heavy, {"x": (1, 64)})
    assert counted.weights == (heavy / WEIGHT_FILE).stat().st_size >= 64 * 64 * np.float16(0).nbytes
    both = together([found, counted])
    assert both.activations == max(found.activations, counted.activations)
    assert both.largest_package == counted.weights
