"""Core AI, a format in a distribution of its own, installed as a third party's would be."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import pip_install

PROJECT = Path(__file__).parents[2] / "plugins" / "zoo_coreai"
ABSENT = [name for name in ("coreai", "coreai_torch", "coreai_opt") if find_spec(name) is None]
needs_runtime = pytest.mark.skipif(
    bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed: pip install ./plugins/zoo_coreai"
)
GREEDY = ("--temperature", "0", "--max-tokens", "24", "Once upon a time")


@pytest.fixture(scope="module")
def coreai(built, tmp_path_factory):
    """A sandbox with the wheel of the plugin, without what it depends on."""
    built.install(pip_install(tmp_path_factory.mktemp("coreai"), PROJECT))
    return built


@pytest.mark.parametrize("name", ["mistral:mini", "openelm", "whisper", "stable-diffusion:turbo"])
def test_installing_it_offers_its_builds_for_every_family(coreai, name):
    shown = json.loads(coreai.zoo("show", name, "--json").stdout)
    offered = {b["name"] for b in shown["builds"] if b["offered_by"] == "zoo-coreai 0.1.0"}
    assert offered == {"coreai", "coreai-int4", "coreai-palettized"}
    assert shown["refused"] == {}


@pytest.mark.skipif(not ABSENT, reason="the runtime is installed")
def test_without_the_runtime_the_command_that_installs_it_is_named(coreai):
    done = coreai.zoo("run", "mistral:mini", "--format", "coreai", "hi")
    assert done.returncode == 8
    assert "'coreai' needs coreai-core and coreai-opt" in done.stderr
    assert "pip install 'zoo-coreai[runtime]'" in done.stderr


@needs_runtime
def test_it_writes_the_text_that_pytorch_writes(coreai):
    found, wanted = (
        coreai.zoo("run", "mistral:mini", "--format", name, *GREEDY) for name in ("coreai", "torch")
    )
    assert found.returncode == wanted.returncode == 0, found.stderr
    assert found.stdout == wanted.stdout
    assert "ODIE" not in found.stderr


@needs_runtime
def test_its_compressed_build_passes_its_check(coreai):
    done = coreai.zoo("check", "mistral:mini/coreai-int4", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "passed"
