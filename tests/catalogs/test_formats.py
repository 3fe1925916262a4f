"""Formats describe themselves: ours and a stranger's, without the code that runs them."""

from __future__ import annotations

import json

import pytest

from zoo.testing.plugins import install_plugin

DESCRIPTION = """
from zoo.catalogs.formats import Format

class Acme(Format):
    rank = apple_rank = 1
    reports_cost = True
    def bits_per_weight(self, build):
        return 3.25
    def faults(self, recipe, build):
        for number, step in enumerate(build.optimize):
            if step.kind != "squeeze":
                yield f"optimize[{number}].kind", f"acme has the pass 'squeeze', not '{step.kind}'"

DESCRIPTION = Acme()
"""
CATALOG = """
schema = 1
[models.good]
default = "v"
variants = { v = "good.toml" }
[models.bad]
default = "v"
variants = { v = "bad.toml" }
"""
RECIPE = """
schema = 1
family = "mistral"
title = "A model"
summary = "for tests"
task = "text-generation"
license = "MIT"
parameters = 1000
source = { repo = "owner/name", branch = "main" }
[build.torch]
format = "torch"
[build.small]
format = "acme"
optimize = [{ kind = "%s" }]
"""


def describe(sandbox, text: str = DESCRIPTION, distribution: str = "zoo-acme") -> None:
    module = distribution.replace("-", "_")
    modules = {
        f"{module}/__init__.py": "",
        f"{module}/description.py": text,
        f"{module}/plugin.py": "raise SystemExit('the plugin was imported')",
    }
    points = {
        "zoo.formats": {"acme": f"{module}.plugin"},
        "zoo.families": {"mistral.acme": f"{module}.plugin"},
        "zoo.format_descriptions": {"acme": f"{module}.description:DESCRIPTION"},
    }
    install_plugin(sandbox.site, distribution, modules, points)
    sandbox.catalog(CATALOG, good=RECIPE % "squeeze", bad=RECIPE % "crush")


def test_a_strangers_format_is_described_without_its_plugin(sandbox):
    describe(sandbox)
    listed = json.loads(sandbox.zoo("list", "user/", "--json").stdout)
    assert [model["ref"] for model in listed["models"]] == ["user/good:v"]
    (problem,) = listed["problems"]
    assert problem["name"] == "user/bad:v"
    assert "build.small.optimize[0].kind: acme has the pass 'squeeze'" in problem["message"]
    shown = json.loads(sandbox.zoo("show", "good", "--json").stdout)
    small = next(build for build in shown["builds"] if build["name"] == "small")
    assert small["bits_per_weight"] == 3.25
    assert small["bytes"] == 1000 * 3.25 // 8
    assert small["default"], "its rank is the best"


def test_a_description_that_cannot_be_loaded_spoils_its_own_builds_only(sandbox):
    describe(sandbox, "raise SystemExit(3)")
    done = sandbox.zoo("list", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert {problem["name"] for problem in listed["problems"]} == {"user/good:v", "user/bad:v"}
    assert all("zoo-acme 0.1" in problem["message"] for problem in listed["problems"])
    assert "mistral:mini" in {model["ref"] for model in listed["models"]}


def test_two_descriptions_of_one_format_are_both_named(sandbox):
    describe(sandbox)
    describe(sandbox, distribution="zoo-bcme")
    message = json.loads(sandbox.zoo("list", "--json").stdout)["problems"][0]["message"]
    assert "zoo-acme 0.1" in message
    assert "zoo-bcme 0.1" in message


@pytest.mark.parametrize("fault", ["return 1 / 0", "raise SystemExit", "raise KeyboardInterrupt"])
def test_a_description_that_fails_while_it_estimates_is_left_out(sandbox, fault):
    describe(sandbox, DESCRIPTION.replace("return 3.25", fault))
    shown = json.loads(sandbox.zoo("show", "good", "--json").stdout)
    small = next(build for build in shown["builds"] if build["name"] == "small")
    assert small["bits_per_weight"] == 16


def test_a_bad_pass_in_one_recipe_leaves_the_list_alone(sandbox):
    wrong = RECIPE.replace('"acme"', '"mlx"').replace(
        '"%s"', '"quantize", bits = 4, group_size = 0'
    )
    sandbox.catalog(CATALOG, good=RECIPE % "squeeze", bad=wrong)
    done = sandbox.zoo("list", "--json")
    assert done.returncode == 0, done.stderr
    assert [p["name"] for p in json.loads(done.stdout)["problems"]] == ["user/bad:v"]
