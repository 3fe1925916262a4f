"""Which build a bare name gets: the best format that is installed and fits the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

import zoo
from zoo import machine
from zoo.catalogs.catalog import open_catalog
from zoo.pipeline import choice
from zoo.pipeline.choice import choose, require_passes


@pytest.fixture
def recipe():
    return open_catalog().resolve("mistral")[0]


@pytest.fixture
def on(monkeypatch):
    """Pretend to be a machine."""

    def pretend(apple: bool, gigabytes: int, *formats: str) -> None:
        monkeypatch.setattr(machine, "apple_silicon", lambda: apple)
        monkeypatch.setattr(machine, "memory", lambda: gigabytes * 10**9)
        monkeypatch.setattr(choice, "usable", lambda family, format: format in formats)

    return pretend


@pytest.mark.parametrize(
    ("apple", "gigabytes", "formats", "build"),
    [
        (True, 64, ("torch", "mlx"), "mlx-4bit"),
        (True, 64, ("torch",), "torch"),
        (False, 64, ("torch", "mlx"), "torch"),
        (False, 24, ("torch", "mlx"), "mlx-4bit"),
        (False, 64, ("mlx",), "mlx-4bit"),
        (False, 2, ("torch", "mlx"), "torch"),
    ],
)
def test_the_default_suits_the_machine(recipe, on, apple, gigabytes, formats, build):
    on(apple, gigabytes, *formats)
    name, reason = choose(recipe, None, None)
    assert name == build
    assert f"build '{build}'" in reason


def test_what_is_asked_for_is_not_second_guessed(recipe, on):
    on(True, 2, "mlx")
    assert choose(recipe, "torch", None) == ("torch", "")
    assert choose(recipe, None, "mlx") == ("mlx-4bit", "")


def test_a_model_that_does_not_fit_is_refused_before_anything_is_fetched(on, tmp_path, monkeypatch):
    on(False, 2, "torch", "mlx")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    with pytest.raises(zoo.DoesNotFit, match=r"needs about 32\.\d GB of memory") as caught:
        zoo.load("mistral")
    assert "--force" in caught.value.hint
    assert "force=True" in caught.value.__notes__[0]
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_passes_of_a_format_that_has_none_are_refused_before_anything_is_fetched(recipe):
    passes = recipe.build["mlx-4bit"].optimize
    wrong = replace(recipe, build={"torch": replace(recipe.build["torch"], optimize=passes)})
    with pytest.raises(zoo.RecipeError, match="lists passes, and the format 'torch' has none"):
        require_passes(wrong, "torch")
    require_passes(recipe, "torch")
    require_passes(recipe, "mlx-4bit")
