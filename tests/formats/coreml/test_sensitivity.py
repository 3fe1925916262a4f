"""Bits chosen by measured loss: where they go, what they cost, and that the loss is the true one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_programs import mb, uniform, write

import zoo
from zoo.formats.coreml.compress.allocation import exchange
from zoo.formats.coreml.compress.choice import choose_for_package
from zoo.formats.coreml.compress.encoding import Scheme
from zoo.formats.coreml.compress.passes import Palettize, Passes
from zoo.formats.coreml.compress.rewrite import compress_package
from zoo.formats.coreml.compress.trials import Candidate, Trials, approximation, measure
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.package.reader import Package
from zoo.progress import Progress

GENERATOR = np.random.default_rng(5)
INPUTS = [{"x": GENERATOR.normal(0, 1, (1, 32, 8, 8)).astype(np.float16)} for _ in range(3)]
SHAPES = {"stem": (64, 32, 3, 3), "quiet": (64, 64, 3, 3), "wide": (64, 256), "last": (256, 16)}
LOUDNESS = {"stem": 1.0, "quiet": 0.01, "wide": 1.0, "last": 1.0}
WEIGHTS = {
    name: (GENERATOR.normal(0, 0.06, shape) * LOUDNESS[name]).astype(np.float16)
    for name, shape in SHAPES.items()
}


def network(x: Any) -> Any:
    """The layer `quiet` hardly changes the result; `wide` and `last` are read along other axes."""
    y = mb.conv(x=x, weight=mb.const(val=WEIGHTS["stem"], name="stem"), pad_type="same")
    quiet = mb.conv(x=y, weight=mb.const(val=WEIGHTS["quiet"], name="quiet"), pad_type="same")
    y = mb.reduce_mean(x=mb.relu(x=mb.add(x=y, y=quiet)), axes=[2, 3])
    y = mb.matmul(x=y, y=mb.const(val=WEIGHTS["wide"], name="wide"))
    y = mb.matmul(x=y, y=mb.const(val=WEIGHTS["last"], name="last"))
    return mb.add(x=y, y=uniform(1, 16).astype(np.float16))


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sensitivity") / "model.mlpackage"
    return write(path, network, (1, 32, 8, 8), half=True)


def outputs(program: ReferenceProgram) -> np.ndarray:
    return np.stack([next(iter(program.predict(x).values())) for x in INPUTS])


def strayed(package: Path, wanted: np.ndarray) -> float:
    found = outputs(ReferenceProgram(package, mode="fp32"))
    return float(((found - wanted) ** 2).mean())


@pytest.fixture
def opened(package):
    """The package's constants, what it gives while they are whole, and the loss done to them."""
    constants = Constants(Package(package))
    program = ReferenceProgram(package, constants=constants, mode="fp32")
    wanted = outputs(program)
    return constants, wanted, lambda: float(((outputs(program) - wanted) ** 2).mean())


@pytest.mark.parametrize("budget", [3.0, 4.0, 5.5])
def test_bits_go_where_they_help_and_the_loss_is_that_of_the_package(
    package, opened, tmp_path, budget
):
    constants, wanted, loss = opened
    assert loss() == 0
    store, choice = choose_for_package(
        constants, loss, Progress("optimize"), bits_per_weight=budget, smallest=1000
    )
    assert choice.bits["quiet"] == min(choice.bits.values())
    chosen = compress_package(package, tmp_path / "chosen.mlpackage", Passes(store), smallest=1000)
    assert chosen.bits_per_weight <= budget
    assert strayed(tmp_path / "chosen.mlpackage", wanted) == pytest.approx(choice.loss, rel=0.02)
    assert loss() == pytest.approx(choice.loss)
    same = Passes(Palettize(bits=int(budget) if budget < 5 else 4))
    compress_package(package, tmp_path / "same.mlpackage", same, smallest=1000)
    assert choice.loss < 0.7 * strayed(tmp_path / "same.mlpackage", wanted)


def test_more_bits_lose_less(opened):
    constants, _, loss = opened
    in_use = constants.of(constants.package.function()[1])
    schemes = {bits: Scheme("palette", bits) for bits in (1, 2, 4, 8)}
    told = []
    candidates = {
        "stem": Candidate(in_use["stem"], schemes),
        "wide": Candidate(in_use["wide"], schemes, (1, 0)),
    }
    trials = Trials(candidates, loss, lambda done, total: told.append((done, total)))
    trials.expected = 8
    found = measure(trials)
    assert told == [(number, 8) for number in range(1, 9)]
    for losses in found.values():
        assert list(losses) == [1, 2, 4, 8]
        assert losses[1] > losses[2] > losses[4] > losses[8] > 0
    assert trials.loss_of({}) == 0, "every weight is put back"
    both = trials.loss_of({"stem": 2, "wide": 2})
    assert both > max(found["stem"][2], found["wide"][2])
    assert trials.loss_of({"wide": 2}) == found["wide"][2]


def test_groups_are_of_output_channels(opened):
    constants, _, _ = opened
    in_use = constants.of(constants.package.function()[1])
    candidate = Candidate(in_use["last"], {2: Scheme("palette", 2, 4)}, (1, 0))
    assert candidate.sizes == {2: 2 * 256 * 16 + 4 * 16 * 4}
    Trials({"last": candidate}, lambda: 0.0, lambda done, total: None).loss_of({"last": 2})
    columns = in_use["last"].numpy()
    assert len(np.unique(columns[:, :4])) <= 4
    assert len(np.unique(columns)) > 4
    wanted = approximation(WEIGHTS["last"].T.astype(np.float32), Scheme("palette", 2, 4)).T
    np.testing.assert_array_equal(columns, wanted.astype(np.float32))


def test_a_budget_that_is_too_small_is_refused_before_any_trial(opened):
    constants, _, _ = opened

    def loss() -> float:
        raise AssertionError("a trial")

    with pytest.raises(zoo.RecipeError, match="and the bits_per_weight asked for leaves"):
        choose_for_package(constants, loss, Progress("optimize"), bits_per_weight=1.5)


def test_small_weights_and_other_constants_stay(package, opened, tmp_path):
    constants, _, loss = opened
    store, choice = choose_for_package(
        constants, loss, Progress("optimize"), bits_per_weight=6, smallest=5000, part="unet"
    )
    assert set(choice.bits) == {"unet/stem", "unet/quiet", "unet/wide"}
    ledger = compress_package(
        package, tmp_path / "small.mlpackage", Passes(store), smallest=5000, part="unet"
    )
    assert ledger.entries["unet/last"].scheme == "float16"
    assert ledger.bits_per_weight <= 6


def test_weights_exchange_bits_when_losses_do_not_add_up():
    """Two weights that are only good together: each alone promises nothing."""
    sizes = {name: {2: 200, 4: 400, 8: 800} for name in "abc"}

    def loss_of(bits: Mapping[str, int]) -> float:
        alone = {2: 1.0, 4: 0.4, 8: 0.2}
        together = 4.0 * (bits["a"] < 4) * (bits["b"] < 4)
        return sum(alone[bits[name]] for name in "abc") + together

    first = {"a": 2, "b": 2, "c": 8}
    tried = []
    chosen, loss = exchange(
        first, sizes, 1200, lambda bits: (tried.append(dict(bits)), loss_of(bits))[1], rounds=4
    )
    assert loss == loss_of(chosen) < loss_of(first) - 4
    assert sum(sizes[name][bits] for name, bits in chosen.items()) <= 1200
    assert all(a != b for a, b in pairwise(tried)), "nothing is tried twice in a row"
    assert exchange(first, sizes, 1200, loss_of, rounds=0) == (first, loss_of(first))


def test_exchanges_stay_within_the_budget_and_never_lose_more(opened):
    constants, _, loss = opened
    _, choice = choose_for_package(
        constants, loss, Progress("optimize"), bits_per_weight=3.0, smallest=1000
    )
    assert choice.loss <= choice.loss_at_first
    assert set(choice.figures) == {"loss", "loss_before_exchanges", "loss_if_losses_added_up"}
