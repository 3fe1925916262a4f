"""Names: what they mean never depends on what else is installed."""

from __future__ import annotations

import json

import pytest

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
