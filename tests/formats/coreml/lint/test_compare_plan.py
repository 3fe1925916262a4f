"""`zoo lint --compare-plan`: Core ML's own plan beside the prediction; the plan is a recorded one."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from worlds.lint_programs import H, Twin, half, mb, weights

from zoo.cli import app
from zoo.formats.coreml.execute import plan as plans

RECORDED = {"linear_0": "NeuralEngine", "softmax_0": "GPU", "gather_0": "CPU", "add_0": None}


class MLNeuralEngineComputeDevice:
    pass


class MLGPUComputeDevice:
    pass


class MLCPUComputeDevice:
    pass


DEVICES = (MLNeuralEngineComputeDevice, MLGPUComputeDevice, MLCPUComputeDevice)


class Recorded:
    """A plan in the shape of coremltools' `MLComputePlan`, from what was recorded."""

    def __init__(self, recorded: dict[str, str | None]) -> None:
        self.recorded = recorded
        operations = [SimpleNamespace(outputs=[SimpleNamespace(name=name)]) for name in recorded]
        operations.append(SimpleNamespace(outputs=[]))
        main = SimpleNamespace(block=SimpleNamespace(operations=operations))
        program = SimpleNamespace(functions={"main": main})
        self.model_structure = SimpleNamespace(program=program)

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        device = self.recorded[operation.outputs[0].name]
        made = {kind.__name__[2:-13]: kind for kind in DEVICES}.get(str(device))
        return SimpleNamespace(preferred_compute_device=made()) if made else None

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        return None


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def program(x: Any) -> Any:
        y = mb.linear(x=x, weight=weights(64, 64), name="linear_0")
        y = mb.softmax(x=y, axis=-1, name="softmax_0")
        y = mb.gather(x=y, indices=[0], axis=1, name="gather_0")
        return mb.add(x=y, y=half(1), name="add_0")

    return Twin(program, x=(H, 1, 4, 64)).save(tmp_path_factory.mktemp("plan") / "m.mlpackage")


def test_differences_are_counted_by_kind_and_written(package, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        plans, "load_plan", lambda path, units: asked.append(units) or Recorded(RECORDED)
    )
    report = tmp_path / "plan.json"
    line = ["lint", str(package), "--for", "iphone-neural-engine", "--compare-plan", str(report)]
    assert app.run(line) == 0
    said = capsys.readouterr()
    assert asked == ["CPU_AND_NE"]
    assert "Core ML's plan agrees on 1 of 3 operations" in said.out
    assert "1 softmax ane -> gpu" in said.out
    written = json.loads(report.read_text())
    assert written["ref"] == "m.mlpackage"
    assert str(tmp_path) not in report.read_text(), "a report has no paths of the machine"
    (function,) = written["functions"]
    assert (function["compared"], function["agreed"]) == (3, 1)
    cases = {(c["kind"], c["predicted"], c["planned"]): c for c in function["differences"]}
    assert cases["softmax", "ane", "gpu"]["operations"] == ["softmax_0"]
    assert cases["gather", "gpu", "cpu"]["count"] == 1


def test_elsewhere_a_plan_is_refused_and_nothing_is_written(package, tmp_path, capsys):
    report = tmp_path / "plan.json"
    assert app.run(["lint", str(package), "--compare-plan", str(report)]) == 2
    assert "only on a Mac" in capsys.readouterr().err
    assert not report.exists()
