"""Names: what they mean never depends on what else is installed."""

from __future__ import annotations

import json

import pytest

from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.layers import Layer
from zoo.errors import NotFound, RecipeError
from zoo.testing.plugins import install_plugin

CATALOG = 'schema = 1\n[models.{name}]\ndefault = "{variant}"\n[models.{name}.variants]\n{variant} = "{variant}.toml"\n'


def add_catalog(sandbox, catalog, name, variant="one"):
    """A plugin that brings a catalog and nothing else."""
    package = f"zoo_{catalog}"
    recipe = (sandbox.site / "zoo_echo" / "recipes" / "one.toml").read_text()
    modules = {
        f"{package}/__init__.py": "",
        f"{package}/catalog.toml": CATALOG.format(name=name, variant=variant),
        f"{package}/{variant}.toml": recipe,
    }
    groups = {"zoo.catalogs": {catalog: f"{package}:catalog.toml"}}
    install_plugin(sandbox.site, f"zoo-{catalog}", modules, groups)


def shown(sandbox, ref):
    result = sandbox.zoo("show", ref, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["ref"]


def test_a_bare_name_means_the_documented_variant(sandbox):
    assert shown(sandbox, "mistral") == "mistral:7b-instruct"
    assert shown(sandbox, "mistral:mini") == "mistral:mini"


@pytest.mark.parametrize(
    ("ref", "code", "words"),
    [
        ("mistrall", 3, "no model is called 'mistrall', did you mean 'mistral'?"),
        ("mistral:minni", 3, "'mistral' has no variant 'minni', did you mean 'mini'?"),
        ("acme/mistral", 3, "no catalog is called 'acme'"),
        ("Mistral!", 2, "'Mistral!' is not a model reference"),
        ("mistral@main", 2, "is not a model reference"),
        ("", 2, "is not a model reference"),
        ("../../etc/passwd", 3, "is not a folder"),
    ],
)
def test_a_name_that_means_nothing_is_explained(sandbox, ref, code, words):
    result = sandbox.zoo("show", ref)
    assert result.returncode == code
    assert words in result.stderr
    assert "hint: " in result.stderr


def test_an_unknown_build_lists_what_there_is(sandbox):
    result = sandbox.zoo("plan", "mistral:mini/mlx-5bit")
    assert result.returncode == 3
    assert "has no build 'mlx-5bit', did you mean 'mlx-" in result.stderr
    assert "torch" in result.stderr


def test_a_plugin_cannot_take_over_a_shipped_name(sandbox):
    sandbox.echo()
    add_catalog(sandbox, "acme", "mistral")
    assert shown(sandbox, "mistral") == "mistral:7b-instruct"
    assert shown(sandbox, "acme/mistral") == "acme/mistral:one"


def test_a_name_that_two_plugins_have_is_ambiguous(sandbox):
    sandbox.echo()
    assert shown(sandbox, "echo") == "echo/echo:one"
    add_catalog(sandbox, "acme", "echo")
    result = sandbox.zoo("show", "echo")
    assert result.returncode == 2
    assert "'echo' is ambiguous: it may be acme/echo, echo/echo" in result.stderr
    assert shown(sandbox, "acme/echo") == "acme/echo:one"


def test_a_broken_catalog_harms_only_itself(sandbox):
    sandbox.echo()
    (sandbox.site / "zoo_echo" / "catalog.toml").write_text("schema = 1\nmodles = 3\n")
    listed = sandbox.zoo("list")
    assert listed.returncode == 0
    assert "mistral:mini" in listed.stdout
    assert "modles: unknown key, did you mean 'models'?" in listed.stderr
    result = sandbox.zoo("show", "echo/echo")
    assert result.returncode == 2
    assert "modles" in result.stderr


def test_a_broken_recipe_harms_only_itself(sandbox):
    sandbox.echo()
    (sandbox.site / "zoo_echo" / "recipes" / "one.toml").write_text("schema = 1")
    assert sandbox.zoo("list").returncode == 0
    result = sandbox.zoo("show", "echo")
    assert result.returncode == 2
    assert "family: is missing" in result.stderr


def test_the_users_own_catalog_is_a_layer(sandbox):
    sandbox.echo()
    recipe = (sandbox.site / "zoo_echo" / "recipes" / "one.toml").read_text()
    catalog = CATALOG.format(name="mine", variant="best").replace(
        "[models.mine]", '[models.mine]\naliases = ["m"]'
    )
    sandbox.catalog(catalog, best=recipe)
    assert shown(sandbox, "mine") == "user/mine:best"
    assert shown(sandbox, "m") == "user/mine:best"


def test_catalog_faults_are_all_named(sandbox):
    text = 'schema = 1\n[models.A]\ndefault = "x"\nvariants = { y = "../y.toml" }\n'
    sandbox.catalog(text)
    stderr = sandbox.zoo("list").stderr
    for words in ("'x' is not among the variants", "must stay beside the catalog"):
        assert words in stderr


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("Mistral", "mistral:7b-instruct"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral:7b-instruct"),
        ("openai/whisper-tiny", "whisper:tiny"),
        ("OpenAI/Whisper-Tiny", "whisper:tiny"),
        ("SDXL", "stable-diffusion:xl-base"),
        ("sd", "stable-diffusion:1.5"),
        ("whisper-turbo", "whisper:large-v3-turbo"),
        ("whisper:turbo", "whisper:large-v3-turbo"),
        ("mistral:7b", "mistral:7b-instruct"),
        ("mistral:7b/coreml-int4", "mistral:7b-instruct"),
        ("mistral/coreml-int4", "mistral:7b-instruct"),
    ],
)
def test_a_name_as_people_write_it_is_understood(ref, meant):
    recipe, build = open_catalog().resolve(ref)
    assert recipe.ref == meant
    assert build == ("coreml-int4" if "int4" in ref else None)


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("whisper/tiny", "did you mean 'whisper:tiny'?"),
        (
            "mistral/coreml-int5",
            "'mistral' has no build 'coreml-int5', did you mean 'coreml-int4'?",
        ),
        ("nemo", "did you mean 'mistral:nemo-instruct'?"),
        ("Qwen/Qwen3-8B", "write hf:Qwen/Qwen3-8B"),
        ("qwen/qwen3-8b", "write hf:qwen/qwen3-8b"),
        ("llama", "a repository of the Hub is hf:owner/llama"),
    ],
)
def test_a_name_that_was_meant_otherwise_is_explained(ref, words):
    with pytest.raises(NotFound) as caught:
        open_catalog().resolve(ref)
    assert words in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ('x = "mine:worst"', "there is no 'mine:worst' in this catalog"),
        ('x = "mine"', "must be 'model:variant'"),
        ('mine = "mine:best"', "'mine' already names 'mine'"),
        ('"mine:best" = "mine:best"', "'mine:best' is a variant already"),
        ('"X" = "mine:best"', "must be 'name' or 'name:variant'"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(tmp_path, aliases, words):
    catalog = CATALOG.format(name="mine", variant="best")
    (tmp_path / "catalog.toml").write_text(f"{catalog}[aliases]\n{aliases}\n")
    with pytest.raises(RecipeError) as caught:
        Layer.read("user", tmp_path / "catalog.toml")
    assert words in caught.value.message
