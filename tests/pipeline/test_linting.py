"""A build is linted before it is published; what the lint found goes with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Sandbox
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from worlds.lint_programs import H, Twin, mb, rms

from zoo.errors import Exit
from zoo.testing.plugins import install_plugin

pytestmark = pytest.mark.usefixtures("warm")

PLUGIN = """
import shutil
import zoo

@zoo.hookimpl
def convert(recipe, workdir):
    package = recipe.home / recipe.source.folder / "model.mlpackage"
    shutil.copytree(package, workdir / "model.mlpackage")
    return workdir

@zoo.hookimpl
def run(artifact):
    raise NotImplementedError
"""
RECIPE = """
schema = 1
family = "packaged"
title = "A package"
summary = "as it is"
task = "text-generation"
license = "MIT"
parameters = 8
source = { folder = "SOURCE" }
[build.coreml]
format = "coreml"
minimum_os = "iOS18"
"""
CATALOG = """
schema = 1
[models.packaged]
default = "faulty"
variants = { faulty = "faulty.toml", good = "good.toml" }
"""
ACCEPTED = 'lint = { accept = { N4 = "inputs are at most 1" } }\n'


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for name, program in (("faulty", rms), ("good", lambda x: mb.relu(x=x))):
        (folder / name).mkdir()
        Twin(program, x=(H, 1, 64)).save(folder / name / "model.mlpackage")
    return folder


@pytest.fixture
def maker(sandbox: Sandbox, packages: Path) -> Sandbox:
    """A sandbox with a family whose conversion copies a package."""
    entry = {"zoo.families": {"packaged.coreml": "packaged"}}
    install_plugin(sandbox.site, "zoo-packaged", {"packaged.py": PLUGIN}, entry)
    (sandbox.config / "packages").symlink_to(packages)
    recipe(sandbox)
    return sandbox


def recipe(sandbox: Sandbox, faulty: str = "") -> None:
    texts = {
        name: RECIPE.replace("SOURCE", f"packages/{name}") + added
        for name, added in (("faulty", faulty), ("good", 'lint = { target = "mac" }\n'))
    }
    sandbox.catalog(CATALOG, **texts)


def test_a_silent_finding_fails_the_build_and_says_how_to_go_on(maker):
    done = maker.zoo("build", "packaged", "-q")
    assert done.returncode == Exit.NEGATIVE
    for words in ("the lint for gpu found N4", "Squares overflow", "accept = { N4 =", "--no-check"):
        assert words in done.stderr
    assert not [path for path in maker.artifacts() if "coreml" in path.name]


def test_an_accepted_finding_is_published_with_its_reason(maker):
    recipe(maker, ACCEPTED)
    done = maker.zoo("build", "packaged", "-q")
    assert done.returncode == 0, done.stderr
    shown = json.loads(maker.zoo("show", "packaged:faulty/coreml", "--json").stdout)
    lint = shown["builds"][0]["lint"]
    assert lint["target"] == "gpu"
    assert [(found["id"], found["effect"]) for found in lint["findings"]] == [("N4", "silent")]
    assert lint["accepted"] == {"N4": "inputs are at most 1"}
    assert lint["failed"] == []
    assert "inputs are at most 1" in maker.zoo("show", "packaged:faulty/coreml").stdout
    key = Path(done.stdout.strip()).parent.name
    card = maker.zoo("provenance", key).stdout
    assert "## Lint for gpu" in card
    assert "accepted: inputs are at most 1" in card
    bill = maker.zoo("provenance", key, "--as", "cyclonedx").stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    properties = json.loads(bill)["metadata"]["component"]["properties"]
    assert {"name": "zoo:lint:accepted:N4", "value": "inputs are at most 1"} in properties


def test_a_build_without_a_check_is_linted_when_it_is_checked(maker):
    assert maker.zoo("build", "packaged", "-q", "--no-check").returncode == 0
    done = maker.zoo("check", "packaged", "-q", "--json")
    assert done.returncode == Exit.NEGATIVE
    assert json.loads(done.stdout)["lint"]["failed"] == ["N4"]


def test_a_clean_build_is_shown_as_clean(maker):
    assert maker.zoo("build", "packaged:good", "-q").returncode == 0
    assert "clean" in maker.zoo("show", "packaged:good", env={"COLUMNS": "250"}).stdout
    shown = maker.zoo("show", "packaged:good/coreml").stdout
    assert "no known fault" in shown
    assert "linted for mac" in shown
