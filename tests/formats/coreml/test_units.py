"""On a Mac, a package is opened with the compute units that it recommends."""

from __future__ import annotations

from typing import Any

import pytest
from worlds.lint_programs import H, Twin, ct, mb

from zoo.formats.coreml import about
from zoo.formats.coreml.execute import program


@pytest.mark.parametrize(
    ("recommended", "wanted"),
    [("cpuAndGPU", "CPU_AND_GPU"), ("cpuAndNeuralEngine", "CPU_AND_NE"), (None, "ALL"), ("?", "ALL")],
)  # fmt: skip
def test_core_ml_gets_the_units_of_the_metadata(tmp_path, monkeypatch, recommended, wanted):
    def say(spec: Any) -> None:
        if recommended is not None:
            spec.description.metadata.userDefined["zoo.compute_units"] = recommended

    package = Twin(lambda x: mb.relu(x=x), x=(H, 1, 64), edit=say).save(tmp_path / "m.mlpackage")
    asked: list[Any] = []
    monkeypatch.setattr(program.sys, "platform", "darwin")
    monkeypatch.setattr(ct.models, "MLModel", lambda path, **given: asked.append(given))
    program.open_program(package)
    assert asked[0]["compute_units"] == ct.ComputeUnit[wanted]


def test_a_package_says_its_systems_units_and_origin(monkeypatch):
    from zoo.catalogs.recipe import Recipe
    from zoo.catalogs.source import Source

    source = Source(repo="owner/name", revision="a" * 40)
    recipe = Recipe(1, "mistral", "Title", "summary", "text-generation", "MIT", 1, source, {})
    said = about(recipe, system="iOS16", units="cpuAndGPU", details={"context": 8, "window": None})
    assert said.details["zoo.minimum_os"] == "iOS16, macOS13"
    assert said.details["zoo.source"] == f"owner/name@{'a' * 40}"
    assert said.details["zoo.context"] == "8"
    assert "zoo.window" not in said.details
    assert said.description == "Title: summary. For GPU and CPU."
