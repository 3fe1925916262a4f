"""The figures of a check are written into a build before it is published, and never after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Sandbox
from coremltools.models.utils import load_spec
from families.mistral.test_mistral import add_mini

import zoo
from zoo.errors import Exit
from zoo.testing.contract.watch import digests_of
from zoo.testing.plugins import install_plugin

MODEL = "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"
IN_PLACE = """
import os
import zoo
from zoo_mistral import torch

run = torch.run

@zoo.hookimpl
def convert(source, workdir):
    for file in source.iterdir():
        os.link(file, workdir / file.name)
    return workdir

@zoo.hookimpl
def annotate(folder, verdict):
    with (folder / "generation_config.json").open("a") as file:
        file.write("\\n")
    return folder
"""


pytestmark = pytest.mark.usefixtures("warm")


def quiet(event: zoo.Event) -> None:
    pass


def entries(folder: Path) -> dict[str, str]:
    """The user-defined metadata of the one package of a build, as coremltools reads it."""
    (package,) = folder.rglob("*.mlpackage")
    return dict(load_spec(str(package)).description.metadata.userDefined)


def written(figures: dict[str, Any]) -> dict[str, str]:
    return {
        f"zoo.check.{name.replace(':', '.')}": f"{value:.4g}" for name, value in figures.items()
    }


def check_entries(found: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in found.items() if key.startswith("zoo.check.")}


@pytest.fixture(scope="module")
def made(
    built: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, zoo.Artifact]]:
    """The same build with a check, with one by another process, and without one."""
    assert built.zoo("build", "mistral:mini/coreml-int4", "-q").returncode == 0
    homes = {
        "checked": built.home,
        "again": tmp_path_factory.mktemp("again"),
        "unchecked": tmp_path_factory.mktemp("unchecked"),
    }
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, home in homes.items():
            patch.setenv("ZOO_HOME", str(home))
            check = name != "unchecked"
            artifact = zoo.build("mistral:mini", build="coreml-int4", check=check, listener=quiet)
            found[name] = home, artifact
    return found


def test_a_package_carries_the_figures_of_its_check_and_nothing_else_changes(made):
    checked, unchecked = made["checked"][1], made["unchecked"][1]
    found = entries(checked.path)
    assert check_entries(found) == written(checked.manifest.check["metrics"])
    assert float(found["zoo.check.pirate.kl"]) < 0.01
    assert not check_entries(entries(unchecked.path))
    before, after = digests_of(unchecked.path), digests_of(checked.path)
    assert {name for name in after if after[name] != before.get(name)} == {MODEL}
    assert before.keys() == after.keys()
    plain = load_spec(str(unchecked.path / "model.mlpackage"))
    plain.description.metadata.userDefined.update(written(checked.manifest.check["metrics"]))
    assert plain == load_spec(str(checked.path / "model.mlpackage"))
    weights = (checked.path / MODEL).parent / "weights" / "weight.bin"
    assert (checked.path / MODEL).stat().st_mode == weights.stat().st_mode


def test_the_same_figures_make_the_same_bytes(made):
    assert digests_of(made["again"][1].path) == digests_of(made["checked"][1].path)
    assert made["again"][1].manifest.key == made["checked"][1].manifest.key


@pytest.mark.parametrize("name", ["checked", "unchecked"])
def test_another_check_changes_no_published_byte(made, name, monkeypatch):
    home, artifact = made[name]
    monkeypatch.setenv("ZOO_HOME", str(home))
    before = digests_of(artifact.path)
    assert zoo.check("mistral:mini", build="coreml-int4", listener=quiet).status == "passed"
    assert digests_of(artifact.path) == before
    assert all(file.fault(artifact.path) is None for file in artifact.manifest.files)


def test_a_build_that_failed_its_check_carries_its_figures_when_its_limits_change(sandbox: Sandbox):
    own = "limits = { top1 = 0.85, kl = 0.01, perplexity_ratio = 1.02 }"
    add_mini(sandbox, (own, own.replace("0.85", "0.999")))
    failed = sandbox.zoo("build", "mine/coreml-int4", "-q")
    assert failed.returncode == Exit.NEGATIVE, failed.stderr
    (kept,) = (sandbox.home / "failed").glob("*coreml-int4*")
    before = digests_of(kept / "data")
    add_mini(sandbox)
    passed = sandbox.zoo("build", "mine/coreml-int4", "--json")
    assert passed.returncode == 0, passed.stderr
    said = json.loads(passed.stdout)
    assert check_entries(entries(Path(said["path"]))) == written(said["check"]["metrics"])
    assert digests_of(Path(said["path"])) == before, "what passes now is what was measured"
    assert sandbox.zoo("verify").returncode == 0


def test_packages_shared_with_a_conversion_stay_as_they_are(sandbox: Sandbox):
    quick = sandbox.zoo("build", "whisper:mini/coreml-palettized", "-q", "--no-check")
    assert quick.returncode == 0, quick.stderr
    (converted,) = (p for p in sandbox.artifacts() if "coreml-converted" in p.name)
    before = digests_of(converted / "data")
    done = sandbox.zoo("build", "whisper:mini/coreml-fp16", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for package in Path(said["path"]).rglob("*.mlpackage"):
        found = load_spec(str(package)).description.metadata.userDefined
        assert written(said["check"]["metrics"]).items() <= dict(found).items()
    assert digests_of(converted / "data") == before
    assert sandbox.zoo("verify").returncode == 0


def test_a_hook_that_writes_into_shared_files_is_refused(sandbox: Sandbox):
    entry = {"zoo.families": {"mistral.linked": "zoo_linked"}}
    install_plugin(sandbox.site, "zoo-linked", {"zoo_linked.py": IN_PLACE}, entry)
    add_mini(sandbox, ("[check]", '[build.linked]\nformat = "linked"\n\n[check]'))
    done = sandbox.zoo("build", "mine/linked", "-q")
    assert done.returncode == Exit.PLUGIN, done.stderr
    assert "annotate of 'user/mine:v' failed in zoo-linked" in done.stderr
    assert "'generation_config.json', which other artifacts share: write a new file" in done.stderr
