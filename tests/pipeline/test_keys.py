"""What is in a key, and what is not: a key tells one artifact from another, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import zoo
from zoo import api
from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.source import Source
from zoo.pipeline import code
from zoo.pipeline.keys import Keys
from zoo.testing.plugins import install_plugin

pytestmark = pytest.mark.usefixtures("warm")

LOUD = "echo:one/plain-loud"


@pytest.fixture
def recipe():
    return open_catalog().resolve("mistral:mini")[0]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))


def finished(recipe, name):
    return Keys(recipe, name, recipe).finished


def voice(built):
    assert built.returncode == 0, built.stderr
    return (Path(built.stdout.strip()) / "voice.txt").read_text()


def test_adapters_are_in_the_keys_of_formats_that_write_them_alone(recipe, tmp_path):
    more = {**recipe.adapter, "mine": Source(folder=str(tmp_path))}
    with_mine = replace(recipe, adapter=more)
    changed = {n for n in recipe.build if finished(recipe, n) != finished(with_mine, n)}
    assert changed == {name for name, b in recipe.build.items() if b.format == "coreml"}


@pytest.mark.parametrize("part", ["of_zoo", "of_plugin"])
def test_the_versions_of_zoo_and_of_the_plugins_are_in_every_key(recipe, monkeypatch, part):
    before = {name: finished(recipe, name) for name in recipe.build}
    monkeypatch.setattr(code, part, lambda *_: {"version": "another"})
    assert all(finished(recipe, name) != key for name, key in before.items())


def test_a_strangers_build_is_made_again_by_another_version_of_its_format(sandbox):
    """Its format brings `convert`, and no pass is listed."""
    format = {
        "zoo_plain/__init__.py": "import zoo\n@zoo.hookimpl\ndef convert(source):\n    return source\n"
    }
    sandbox.echo()
    install_plugin(sandbox.site, "zoo-plain", format, {"zoo.formats": {"plain": "zoo_plain"}})
    record = sandbox.site / "zoo_plain-0.1.dist-info" / "RECORD"
    record.write_text("")  # as installed by pip: the version alone says which code it is
    first = sandbox.zoo("build", "echo", "-q").stdout
    assert sandbox.zoo("build", "echo", "-q").stdout == first
    metadata = record.with_name("METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 0.1", "Version: 0.2"))
    assert sandbox.zoo("build", "echo", "-q").stdout != first


def test_code_that_is_edited_in_place_makes_another_build(sandbox):
    sandbox.echo()
    assert voice(sandbox.zoo("build", LOUD, "-q")).endswith("!!")
    plugin = sandbox.site / "zoo_echo" / "plain.py"
    plugin.write_text(plugin.read_text().replace('voice += "!"', 'voice += "?"'))
    plan = sandbox.zoo("plan", LOUD).stdout
    assert plan.count("to do") == 2, plan  # the conversion and the pass
    assert voice(sandbox.zoo("build", LOUD, "-q")).endswith("??")


def test_force_makes_a_build_again(sandbox):
    sandbox.echo()
    first = sandbox.zoo("build", LOUD, "-q").stdout.strip()
    before = sorted(entry.stat().st_ino for entry in sandbox.artifacts())
    assert sandbox.zoo("build", LOUD, "-q").returncode == 0
    assert sorted(entry.stat().st_ino for entry in sandbox.artifacts()) == before
    again = sandbox.zoo("build", LOUD, "-q", "--force")
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == first
    after = sorted(entry.stat().st_ino for entry in sandbox.artifacts())
    assert len(set(after) & set(before)) == 1, "only the source stays"


@pytest.mark.parametrize("order", [("mlx", "mlx-8bit"), ("mlx-8bit", "mlx")])
def test_a_build_without_passes_and_one_with_share_their_conversion(home, order):
    told = []
    for build in order:
        zoo.build("mistral:mini", build=build, check=False, listener=told.append)
    made = [event.step for event in told if event.state == "start" and event.step != "download"]
    artifacts = {entry.name for entry in api.store().entries()}
    converted = [name for name in artifacts if "converted" in name]
    if order[0] == "mlx":
        assert made == ["convert", "optimize"]
        assert not converted
    else:
        assert ("convert", "cached") in [(event.step, event.state) for event in told]
        api.store().remove(api.store().artifacts / converted[0])
    for build in order:
        assert zoo.build("mistral:mini", build=build, check=False).manifest.build == build


def test_what_is_installed_is_what_would_be_made_now(sandbox):
    """By the key: `list` and `show` agree with `plan`."""
    sandbox.echo()
    sandbox.zoo("build", LOUD, "-q")
    assert "plain-loud" in sandbox.zoo("list", "echo").stdout
    (sandbox.site / "zoo_echo" / "plain.py").open("a").write("# edited\n")
    assert "to do" in sandbox.zoo("plan", LOUD).stdout
    assert "plain-loud" not in sandbox.zoo("list", "echo").stdout
    assert sandbox.zoo("list", "echo", "--installed").returncode == 1
