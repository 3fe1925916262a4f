"""When a build is checked, with what it is compared, and what the verdict says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from families.mistral.test_mistral import add_mini

import zoo
from zoo.registry.discovery import Provider

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mine(sandbox, monkeypatch):
    """A model of the user's own, with little to check."""
    monkeypatch.setenv("ZOO_HOME", str(sandbox.home))
    monkeypatch.setenv("ZOO_CONFIG", str(sandbox.config))
    add_mini(sandbox)
    return "mine:v"


@pytest.fixture
def without_torch(monkeypatch):
    """A machine on which the extra `torch` was not installed."""
    missing = Provider.missing

    def pretend(self):
        return ["torch"] if self.name.endswith(".torch") else missing(self)

    monkeypatch.setattr(Provider, "missing", pretend)


def quiet(event):
    pass


def test_without_torch_a_build_is_compared_with_one_without_passes(mine, without_torch):
    verdict = zoo.check(mine, build="mlx-8bit", listener=quiet)
    assert verdict.status == "passed", str(verdict)
    assert verdict.metrics["top1"] > 0.97
    assert "mlx" in verdict.tools
    assert "torch" not in verdict.tools


def test_the_check_of_a_new_build_is_a_step_of_its_own_with_progress(mine):
    events = []
    zoo.build(mine, build="mlx-8bit", listener=events.append)
    states = [(event.step, event.state) for event in events if event.state in ("start", "done")]
    assert states[-4:] == [
        ("optimize", "start"), ("optimize", "done"), ("check", "start"), ("check", "done"),
    ]  # fmt: skip
    counts = [(e.done, e.total, e.unit) for e in events if (e.step, e.state) == ("check", "update")]
    assert counts == [(done, len(counts), "models") for done in range(len(counts))]
    assert len(counts) >= 2


def test_a_build_that_nothing_can_be_compared_with_says_what_to_install(
    mine, without_torch, monkeypatch
):
    monkeypatch.setattr("zoo.pipeline.checking.usable", lambda family, format: format == "mlx")
    verdict = zoo.check(mine, build="mlx", listener=quiet)
    assert (verdict.status, verdict.why) == ("not run", "unable")
    assert "needs torch" in verdict.reason
    assert "pip install" in verdict.reason


def test_a_build_that_was_not_checked_is_checked_when_it_is_asked_for(mine):
    first = zoo.build(mine, build="mlx", check=False, listener=quiet)
    assert first.manifest.check["why"] == "skipped"
    then = zoo.build(mine, build="mlx", listener=quiet)
    assert then.manifest.check["status"] == "passed"
    assert then.manifest.key == first.manifest.key


@pytest.mark.usefixtures("warm")
def test_a_small_checkpoint_of_ones_own_is_measured_and_not_held_to_the_limits_of_another(sandbox):
    folder = sandbox.folder / "mine"
    shutil.copytree(ROOT / "recipes" / "mistral" / "mini", folder)
    done = sandbox.zoo("build", "./mine", "--build", "coreml-int4", cwd=sandbox.folder)
    assert done.returncode == 0, done.stderr
    assert "check measured - no limits apply" in done.stderr
    again = sandbox.zoo("check", "./mine", "--build", "coreml-int4", "--json", cwd=sandbox.folder)
    verdict = json.loads(again.stdout)
    assert again.returncode == 0
    assert verdict["status"] == "measured"
    assert verdict["limits"] == {}
    assert 0.5 < verdict["metrics"]["top1"] < 1
    plain = sandbox.zoo("check", "./mine", "--build", "coreml-fp16", "--json", cwd=sandbox.folder)
    assert json.loads(plain.stdout)["status"] == "passed", "a conversion has limits all the same"
