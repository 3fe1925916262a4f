"""Builds that plugins and the user add to recipes, and a format that runs any family."""

from __future__ import annotations

import json

import pytest
from conftest import Sandbox

from zoo.catalogs.catalog import shipped_catalog
from zoo.testing.plugins import install_plugin

pytestmark = pytest.mark.usefixtures("warm")

MINI = shipped_catalog().parent / "recipes" / "mistral" / "mini"
MINE = """
schema = 1
[model."mistral:mini".build.my-4bit]
format = "npz"
optimize = [{ kind = "round", bits = 4 }]
"""
PROMPT = "Once upon a time"


def builds(sandbox, name: str) -> dict[str, dict]:
    shown = json.loads(sandbox.zoo("show", name, "--json").stdout)
    return {build["name"]: build for build in shown["builds"]}


@pytest.fixture
def with_npz(sandbox, npz):
    sandbox.install(npz)
    return sandbox


@pytest.fixture(scope="module")
def shop(built, npz, tmp_path_factory):
    """Where the tests that build share what they build."""
    shop = Sandbox(tmp_path_factory.mktemp("shop"))
    shop.env["ZOO_HOME"] = built.env["ZOO_HOME"]
    shop.server = built.server
    shop.install(npz)
    return shop


def test_a_format_is_offered_for_every_model_that_it_can_run(with_npz):
    shown = builds(with_npz, "mistral:mini")
    assert list(shown)[-3:] == ["npz", "npz-8bit", "npz-2bit"]
    assert shown["npz"]["offered_by"] == "zoo-npz 0.1"
    assert shown["torch"]["offered_by"] is None
    assert "by zoo-npz 0.1" in with_npz.zoo("show", "mistral:mini").stdout
    listed = json.loads(with_npz.zoo("list", "--format", "npz", "--json").stdout)["models"]
    assert "mistral:mini" in {model["ref"] for model in listed}
    assert not any(m["family"] in ("openelm", "whisper") for m in listed)


def test_it_is_in_the_plan_of_names_and_of_folders(with_npz):
    for name in ("mistral:mini/npz-8bit", str(MINI)):
        plan = json.loads(with_npz.zoo("plan", name, "--format", "npz", "--json").stdout)
        providers = {step["name"]: step["provider"] for step in plan["steps"]}
        assert providers["convert"] == providers["run"] == "zoo-npz 0.1"


def test_what_others_add_is_never_the_default(with_npz):
    shown = builds(with_npz, "mistral:mini")
    assert [b["offered_by"] for b in shown.values() if b["default"]] == [None]


def test_it_writes_what_the_source_writes(shop):
    said = {
        format: shop.zoo("run", "mistral:mini", "--format", format, PROMPT, "--max-tokens", "12")
        for format in ("npz", "torch")
    }
    assert said["npz"].returncode == 0, said["npz"].stderr
    assert said["npz"].stdout == said["torch"].stdout


def test_a_check_notes_the_adapters_that_a_format_has_not(shop):
    checked = shop.zoo("check", "mistral:mini/npz-8bit", "--json")
    assert checked.returncode == 0, checked.stderr
    verdict = json.loads(checked.stdout)
    assert verdict["status"] == "passed"
    assert verdict["reason"] == "without its adapters, which npz cannot use: pirate"
    assert verdict["metrics"]["top1"] > 0.95


def test_a_limit_of_an_offered_build_is_kept(shop):
    shop.builds(MINE + "limits = { top1 = 1.0 }\n")
    checked = shop.zoo("check", "mistral:mini/my-4bit")
    (shop.config / "builds.toml").unlink()
    assert checked.returncode == 1
    assert "must be at least 1" in checked.stdout + checked.stderr


def test_the_users_own_folder_has_the_format_too(shop):
    done = shop.zoo("run", str(MINI), "--format", "npz", PROMPT, "--max-tokens", "4")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["mistral:mini", "mistral:mini/my-4bit"])
def test_the_users_builds_are_added_to_one_model(with_npz, name):
    with_npz.builds(MINE)
    assert builds(with_npz, name)["my-4bit"]["offered_by"] == "your builds.toml"
    assert "my-4bit" not in builds(with_npz, "mistral:7b-instruct")


def test_the_users_build_goes_before_a_plugins_and_after_the_recipes(with_npz):
    with_npz.builds(
        MINE.replace("my-4bit", "npz") + MINE.replace("my-4bit", "torch").split("\n", 2)[2]
    )
    shown = builds(with_npz, "mistral:mini")
    assert shown["npz"]["offered_by"] == "your builds.toml"
    assert shown["npz"]["words"] == "round (4 bits)"
    assert shown["torch"]["offered_by"] is None


def test_two_plugins_with_one_name_are_both_named(with_npz):
    other = 'schema = 1\n[family.mistral.build.npz-8bit]\nformat = "mlx"\n'
    modules = {"zoo_other/__init__.py": "", "zoo_other/builds.toml": other}
    groups = {"zoo.builds": {"other": "zoo_other:builds.toml"}}
    install_plugin(with_npz.site, "zoo-other", modules, groups, version="2.0")
    refused = with_npz.zoo("build", "mistral:mini/npz-8bit")
    assert refused.returncode == 8
    assert "is offered by zoo-npz 0.1 and zoo-other 2.0" in refused.stderr
    assert "npz-8bit" not in builds(with_npz, "mistral:mini")
    assert "npz" in builds(with_npz, "mistral:mini")
    assert "zoo-other 2.0" in with_npz.zoo("doctor").stdout


def test_a_build_that_is_wrong_for_a_recipe_is_refused_alone(with_npz):
    with_npz.builds(MINE.replace("bits = 4", "bits = 40"))
    refused = with_npz.zoo("plan", "mistral:mini/my-4bit")
    assert refused.returncode == 2
    assert "the build 'my-4bit' that your builds.toml adds" in refused.stderr
    assert "optimize[0].bits: must be from 2 to 8" in refused.stderr
    assert "npz" in builds(with_npz, "mistral:mini")
    assert "optimize[0].bits" in with_npz.zoo("show", "mistral:mini").stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema = 1\nfamly = 3", "famly: unknown key, did you mean 'family'?"),
        ("schema = 9", "this version of zoo reads schema 1, not 9"),
        (MINE.replace("mistral:mini", "mistrall:mini"), "did you mean 'mistral'?"),
        (MINE.replace('format = "npz"', ""), "my-4bit.format: is missing"),
        ("[", "cannot be read"),
    ],
)
def test_a_builds_file_that_cannot_be_read_affects_only_itself(with_npz, text, words):
    with_npz.builds(text)
    listed = with_npz.zoo("list", "mistral")
    assert listed.returncode == 0
    assert words in listed.stderr
    assert words in with_npz.zoo("plan", "mistral:mini/my-4bit").stderr
    assert words in with_npz.zoo("doctor").stdout
    assert "npz" in builds(with_npz, "mistral:mini")


def test_doctor_finds_builds_for_what_no_model_is(with_npz):
    with_npz.builds(MINE.replace('model."mistral:mini"', "family.mistrall"))
    found = with_npz.zoo("doctor").stdout
    assert "to the family 'mistrall', which no model has, did you mean 'mistral'?" in found


def test_plugins_lists_builds_and_checks_them(with_npz):
    found = json.loads(with_npz.zoo("plugins", "--json").stdout)["plugins"]
    assert ("builds", "npz") in {(p["kind"], p["name"]) for p in found}
    (with_npz.site / "zoo_npz" / "builds.toml").write_text("schema = 2")
    assert "reads schema 1, not 2" in with_npz.zoo("plugins", "--check").stdout


def test_the_message_says_that_the_plugin_is_there(with_npz):
    (with_npz.site / "zoo_npz" / "builds.toml").write_text("schema = 1")
    refused = with_npz.zoo("build", "mistral:mini", "--format", "npz")
    assert refused.returncode == 3
    assert "'npz' of zoo-npz 0.1 is installed and would run one" in refused.stderr


def test_a_family_that_the_format_does_not_know_is_refused(with_npz, tmp_path):
    with_npz.builds('schema = 1\n[family.openelm.build.npz]\nformat = "npz"\n')
    refused = with_npz.zoo("build", "openelm:mini/npz")
    assert refused.returncode == 8
    assert "no installed plugin runs the family 'openelm' in the format 'npz'" in refused.stderr
    description = with_npz.site / "zoo_npz" / "description.py"
    description.write_text(description.read_text().replace('family != "openelm"', "True"))
    refused = with_npz.zoo("build", "openelm:mini/npz")
    assert refused.returncode == 8
    assert "zoo-npz 0.1 does not run the family 'openelm'" in refused.stderr
    assert not [p for p in with_npz.artifacts() if "npz" in p.name]
