"""Recipes are strict data: every fault at once, each by its key path."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from zoo.catalogs import estimates
from zoo.catalogs.catalog import open_catalog, shipped_catalog
from zoo.catalogs.recipe import confined, read_recipe, recipe_schema
from zoo.errors import NotFound, RecipeError
from zoo.pipeline.keys import Keys

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*/*.toml"))

GOOD = """
schema = 1
family = "mistral"
title = "A model"
summary = "for tests"
task = "text-generation"
license = "MIT"
parameters = 10
[source]
repo = "owner/name"
revision = "0123456789012345678901234567890123456789"
files = [{ path = "model.safetensors" }]
[build.torch]
format = "torch"
"""


def read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_recipe(path)


MIXED = """
[build.mixed]
format = "coreml"
optimize = [{ kind = "mixed", bits_per_weight = 4, calibration = "some.txt" }]
"""


def test_a_build_is_known_by_the_files_that_its_passes_read(tmp_path):
    found = []
    for text in ("one", "two", "three"):
        (tmp_path / "some.txt").write_text(text)
        recipe = read(tmp_path, GOOD + MIXED)
        keys = Keys(recipe, "mixed", recipe)
        found.append((keys.converted, keys.finished))
    assert len({converted for converted, _ in found}) == 1
    assert len({finished for _, finished in found}) == 3


def test_a_good_recipe_reads(tmp_path):
    recipe = read(tmp_path, GOOD)
    assert recipe.source.pinned
    assert recipe.pick() == ("torch", recipe.build["torch"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('family = "mistral"', 'famly = "mistral"', "famly: unknown key, did you mean 'family'?"),
        ('family = "mistral"', "", "family: is missing"),
        ("parameters = 10", 'parameters = "10"', "parameters: must be an integer, not '10'"),
        ("parameters = 10", "parameters = true", "parameters: must be an integer, not True"),
        ("parameters = 10", "parameters = 0", "parameters: must be at least 1"),
        ("schema = 1", "schema = 2", "schema: this version of zoo reads schema 1, not 2"),
        ('"text-generation"', '"text-generaton"', "did you mean 'text-generation'?"),
        ('"0123456789012345678901234567890123456789"', '"main"', "source.revision: must be a commit of 40 hex digits, not 'main'"),
        ("[source]\n", "[source]\nfolder = 'x'\n", "source.repo: give one of 'repo', 'folder' and 'url'"),
        ("revision = ", "branch = ", ""),
        ('repo = "owner/name"', 'repo = "name"', "source.repo: must be owner/name"),
        ('"model.safetensors"', '"../model.safetensors"', "source.files[0].path: must stay inside the source"),
        ('{ path = "model.safetensors" }', '{ path = "a" }, { path = "a" }', "source.files: lists 'a' twice"),
        ('{ path = "model.safetensors" }', '{ path = "a", sha256 = "xyz" }', "source.files[0].sha256: must be 64 hex digits"),
        ('[build.torch]\nformat = "torch"', "[build]", "build: at least one build is needed"),
        ('format = "torch"', 'format = "torch"\noptimise = []', "build.torch.optimise: unknown key, did you mean 'optimize'?"),
        ('format = "torch"', 'format = "torch"\noptimize = 4', "build.torch.optimize: must be a list, not 4"),
        ('format = "torch"', 'format = "torch"\noptimize = [{ bits = 4 }]', "build.torch.optimize[0].kind: is missing"),
        ("schema = 1", "schema = = 1", "cannot be read"),
    ],
)  # fmt: skip
def test_each_fault_is_named(tmp_path, old, new, words):
    assert old in GOOD
    text = GOOD.replace(old, new)
    if not words:
        read(tmp_path, text)
        return
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    assert words in caught.value.message
    assert str(tmp_path / "recipe.toml") in caught.value.message


CHECK = '[check]\ninputs = ["check.txt"]\n'
MLX = '[build.m]\nformat = "mlx"\noptimize = [{ kind = "quantize", %s }]\n'
LINT = '[build.c]\nformat = "coreml"\nlint = { %s }\n'
COREML = '[build.c]\nformat = "coreml"\noptimize = [%s]\n'


@pytest.mark.parametrize(
    ("added", "words"),
    [
        (MLX % "bits = 4, group_size = 0", "build.m.optimize[0].group_size: must be one of (32,"),
        (MLX % 'bits = "four"', "build.m.optimize[0].bits: must be an integer, not 'four'"),
        (MLX % 'mix = "x"', "build.m.optimize[0].mix: must be one of 'mixed_2_6'"),
        (MLX % "bit = 4", "build.m.optimize[0].bit: unknown key, did you mean 'bits'?"),
        (MLX.replace("quantize", "prune") % "bits = 4", "must be 'quantize', mlx's only pass, not 'prune'"),
        (COREML % '{ kind = "quantise" }', "coreml has no pass 'quantise', did you mean 'quantize'?"),
        (COREML % '{ kind = "palettize", bits = 5 }', "build.c.optimize[0].bits: must be one of (1, 2,"),
        (COREML % '{ kind = "quantize" }, { kind = "prune", sparsity = 0.5 }', "build.c.optimize: coreml cannot do quantize, prune"),
        (COREML % '{ kind = "mixed", bits_per_weight = 4, calibration = "no.txt" }', "calibration: there is no file 'no.txt' beside the recipe"),
        ("bits = -1\n", "build.torch.bits: must be above 0"),
        ("limits = { tpo1 = 0.9 }\n", "build.torch.limits.tpo1: "),
        ("limits = { top1 = nan }\n", "build.torch.limits.top1: must be a finite number, not nan"),
        (CHECK + "limits = { top = 0.9 }\n", "check.limits.top: "),
        (CHECK.replace('"check.txt"', '"none.txt"'), "check.inputs[0]: there is no file 'none.txt'"),
        (CHECK.replace('"check.txt"', '"empty.txt"'), "check.inputs[0]: 'empty.txt' is empty"),
        (CHECK.replace('"check.txt"', ""), "check.inputs: must name a file to measure on"),
        ('lint = { target = "mac" }\n', "build.torch.lint: builds in the format 'torch' are not linted"),
        (LINT % 'target = "iphon"', "build.c.lint.target: must be one of"),
        (LINT % 'target = "iphon"', "not 'iphon', did you mean 'iphone'?"),
        (LINT % 'accept = { N99 = "why" }', "build.c.lint.accept.N99: unknown rule"),
        (LINT % 'accept = { N4 = " " }', "build.c.lint.accept.N4: must give the reason"),
        (LINT % "accept = { N4 = 3 }", "build.c.lint.accept.N4: must be a string"),
        (LINT % 'aksept = { N4 = "why" }', "build.c.lint.aksept: unknown key, did you mean 'accept'?"),
        ('[adapter.a]\nfolder = "none"\n', "adapter.a.folder: there is no folder 'none'"),
    ],
)  # fmt: skip
def test_what_a_format_or_a_task_must_know_is_checked_when_a_recipe_is_read(tmp_path, added, words):
    (tmp_path / "check.txt").write_text("some text")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, GOOD + added)
    assert words in caught.value.message


def test_a_format_that_nobody_describes_is_taken_as_it_is(tmp_path):
    step = '[build.x]\nformat = "unheard-of"\noptimize = [{ kind = "shrink", bits = 3 }]\n'
    recipe = read(tmp_path, GOOD + step)
    assert estimates.bits_per_weight(recipe.build["x"]) == 3


def test_all_faults_come_at_once(tmp_path):
    text = GOOD.replace("title", "titel").replace("= 10", "= -1").replace('"torch"', "7")
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    assert len(caught.value.problems) == 4
    assert "has 4 faults" in caught.value.message


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "a\0b", "a/", "a\nb", "x?"]
)
def test_paths_that_leave_their_folder_are_refused(path):
    assert not confined(path)


def test_an_unknown_build_or_format_suggests(tmp_path):
    recipe = read(tmp_path, GOOD)
    with pytest.raises(NotFound, match="did you mean 'torch'"):
        recipe.pick("torhc")
    with pytest.raises(NotFound, match="no build in the format 'mlx'"):
        recipe.pick(format="mlx")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_are_sound(path):
    recipe = read_recipe(path)
    import jsonschema  # which takes seconds

    jsonschema.validate(tomllib.loads(path.read_text()), recipe_schema())
    assert recipe.license
    assert recipe.source.files or not recipe.source.folder, "a folder names its files"
    assert recipe.source.pinned or recipe.source.branch
    assert recipe.check, "a shipped recipe can be checked"
    assert all((path.parent / name).is_file() for name in recipe.check.inputs)
    assert "torch" in recipe.formats, "the source itself can be run"


def test_every_recipe_is_reachable():
    listed = {listing.recipe.home / "x" for listing in open_catalog() if listing.recipe}
    assert listed
    catalog = tomllib.loads(shipped_catalog().read_text())
    reached = {
        shipped_catalog().parent / path
        for model in catalog["models"].values()
        for path in model["variants"].values()
    }
    assert reached == set(RECIPES)


def test_the_schema_agrees_with_the_reader(tmp_path):
    import jsonschema

    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for old, new in (("family", "famly"), ("= 10", "= 'x'"), ("owner/name", "name")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(GOOD.replace(old, new)), schema)


def test_the_published_schema_is_current():
    published = json.loads((ROOT / "docs" / "recipe.schema.json").read_text())
    assert published == recipe_schema(), "run make schema"
