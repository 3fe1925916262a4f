"""Packages that nobody wrote for the lint: a stranger's, and a deep one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from worlds.lint_programs import H, Twin, mb, weights

from zoo.cli import app
from zoo.formats.coreml.lint.report import lint_package
from zoo.formats.coreml.lint.targets import TARGETS
from zoo.formats.coreml.package.proto import WEIGHT_FILE

WHEEL = "basic-pitch==0.4.0"


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in a wheel of PyPI: Spotify's transcription of music, converted by themselves."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", WHEEL, "-d", folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"PyPI did not send {WHEEL} within 90 s")
    found = list(folder.glob("*.whl"))
    if not found:
        pytest.skip(f"pip cannot get {WHEEL} here: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(found[0]) as wheel:
        wheel.extractall(folder / "wheel")
    return next((folder / "wheel").rglob("*.mlpackage"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_strangers_package_lints_for_every_target(stranger, target):
    found = {f.id: f for f in lint_package(stranger, TARGETS[target]).findings}
    on_engine = "ane" in TARGETS[target].units
    assert set(found) == ({"A10", "A19"} if on_engine else set())
    if on_engine:
        assert "43,844" in found["A10"].places[0].detail
        assert all(place.kind == "conv" for place in found["A19"].places)


def test_every_report_of_a_strangers_package_is_written(stranger, tmp_path, capsys):
    page = tmp_path / "page.html"
    line = ["lint", str(stranger), "--for", "iphone-neural-engine", "--fail-on", "slow"]
    assert app.run([*line, "--html", str(page)]) == 1
    assert "Axis longer than 16,384" in page.read_text()
    capsys.readouterr()
    assert app.run([*line, "--sarif"]) == 1
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert {result["ruleId"] for result in results} == {"A10", "A19"}


def test_the_weights_are_not_read(tmp_path):
    """205 layers lint in a moment, and also where the file of their weights is not there at all."""
    layers, width = 205, 64

    def deep(x):
        weight = weights(width, width)
        for _ in range(layers):
            x = mb.linear(x=x, weight=weight)
        return x

    package = Twin(deep, x=(H, 1, 64, width)).save(tmp_path / "deep.mlpackage")
    shutil.rmtree((package / WEIGHT_FILE).parent)
    began = time.perf_counter()
    report = lint_package(package, TARGETS["any"])
    assert time.perf_counter() - began < 5
    (found,) = (f for f in report.findings if f.id == "A26")
    assert len(found.places) == layers
