"""The index of the catalog: only what changed is read again, and nothing depends on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.catalogs import recipe
from zoo.catalogs.catalog import open_catalog

RECIPE = """schema = 1
family = "mistral"
title = "{title}"
summary = "one of many"
task = "text-generation"
license = "MIT"
parameters = 1_000
source = {{ folder = "weights" }}
build.torch = {{ format = "torch" }}
check = {{ inputs = ["check.txt"] }}
"""


class World:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.home = folder / "config", folder / "home"
        self.config.mkdir()
        (self.config / "check.txt").write_text("once")
        text = (
            'schema = 1\n[models.many]\ndefault = "a"\nvariants = { a = "a.toml", b = "b.toml" }\n'
        )
        (self.config / "catalog.toml").write_text(text)
        for name in "ab":
            self.write(name, f"Model {name}")
        monkeypatch.setenv("ZOO_CONFIG", str(self.config))
        monkeypatch.setenv("ZOO_HOME", str(self.home))
        self.read: list[str] = []
        real = recipe.read_recipe

        def counted(path: Path, ref: str = "") -> recipe.Recipe:
            self.read.append(path.name)
            return real(path, ref)

        monkeypatch.setattr(recipe, "read_recipe", counted)

    def write(self, name: str, title: str) -> None:
        (self.config / f"{name}.toml").write_text(RECIPE.format(title=title))

    def titles(self) -> list[str]:
        """What the catalog says, and what it read for that in `read`."""
        self.read.clear()
        listings = [x for x in open_catalog() if x.ref.startswith("user/")]
        return [x.facts.title if x.facts else x.problem for x in listings]

    @property
    def files(self) -> list[Path]:
        return sorted((self.home / "index").glob("*"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_only_what_changed_is_read_again(world: World) -> None:
    assert world.titles() == ["Model a", "Model b"]
    assert {"a.toml", "b.toml"} <= set(world.read)
    assert world.titles() == ["Model a", "Model b"]
    assert world.read == []
    world.write("b", "Another")
    assert world.titles() == ["Model a", "Another"]
    assert world.read == ["b.toml"]


def test_what_a_recipe_needs_beside_it_is_looked_for_each_time(world: World) -> None:
    world.titles()
    (world.config / "check.txt").unlink()
    assert all("there is no file 'check.txt'" in problem for problem in world.titles())
    (world.config / "check.txt").write_text("again")
    assert world.titles() == ["Model a", "Model b"]


def test_a_broken_recipe_is_never_kept(world: World) -> None:
    world.write("a", '"')
    assert "cannot be read" in world.titles()[0]
    assert "cannot be read" in world.titles()[0]
    assert world.read == ["a.toml"]


def test_a_catalog_that_changes_is_read_again(world: World) -> None:
    world.titles()
    file = world.config / "catalog.toml"
    file.write_text(file.read_text().replace(', b = "b.toml"', ""))
    assert world.titles() == ["Model a"]
    kept = next(p for p in world.files if p.name.startswith("recipes")).read_text()
    assert str(world.config / "a.toml") in kept
    assert str(world.config / "b.toml") not in kept


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000,
        b'[2, "", 0]\n{}',
    ],
)  # fmt: skip
def test_a_damaged_index_is_made_again(world: World, damage: bytes) -> None:
    world.titles()
    for file in world.files:
        file.write_bytes(damage)
    assert world.titles() == ["Model a", "Model b"]
    assert world.titles() == ["Model a", "Model b"]
    assert world.read == []


def test_a_bit_that_flipped_is_noticed(world: World) -> None:
    world.titles()
    for file in world.files:
        file.write_bytes(file.read_bytes().replace(b"Model a", b"Model x"))
    assert world.titles() == ["Model a", "Model b"]


def test_another_version_does_not_believe_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.titles()
    monkeypatch.setattr("zoo.catalogs.listings.installed_here", lambda: "something else")
    assert world.titles() == ["Model a", "Model b"]
    assert {"a.toml", "b.toml"} <= set(world.read)


def test_a_pipe_or_a_link_in_its_place_is_not_read(world: World) -> None:
    world.titles()
    for number, file in enumerate(world.files):
        file.unlink()
        os.mkfifo(file) if number else file.symlink_to(world.config / "a.toml")
    assert world.titles() == ["Model a", "Model b"]
    assert (world.config / "a.toml").read_text().startswith("schema")


def test_a_home_that_cannot_be_written_is_browsed_all_the_same(world: World) -> None:
    world.home.write_text("a file in the way")
    assert world.titles() == ["Model a", "Model b"]
    assert world.home.read_text() == "a file in the way"


def test_the_index_of_an_environment_that_is_gone_is_removed(world: World) -> None:
    world.titles()
    old = world.home / "index" / "recipes-00000000.json"
    old.write_text("{}")
    os.utime(old, (0, 0))
    world.write("a", "New")
    world.titles()
    assert not old.exists()
    assert len(world.files) == 2


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_one_that_others_can_write_is_not_believed(world: World, mode: int) -> None:
    world.titles()
    for file in world.files:
        file.chmod(mode)
    assert world.titles() == ["Model a", "Model b"]
    assert {"a.toml", "b.toml"} <= set(world.read)
    assert world.titles() == ["Model a", "Model b"]
    assert world.read == []


def test_one_of_another_user_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.titles()
    other = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: other)
    assert world.titles() == ["Model a", "Model b"]
    assert {"a.toml", "b.toml"} <= set(world.read)


def test_a_draft_that_somebody_put_there_is_not_written_through(world: World) -> None:
    world.titles()
    for file in world.files:
        file.with_name(f".{file.name}.{os.getpid()}").symlink_to(world.config / "check.txt")
    world.write("a", "Another")
    assert world.titles() == ["Another", "Model b"]
    assert (world.config / "check.txt").read_text() == "once"


def test_a_choice_follows_the_settings_and_reads_no_recipe_again(world: World) -> None:
    recipe = world.config / "a.toml"
    recipe.write_text(recipe.read_text() + 'build.mlx = { format = "mlx" }\n')
    world.titles()

    def chosen() -> list[str]:
        world.read.clear()
        return [x.build.name for x in open_catalog() if x.ref.startswith("user/")]

    settings = world.config / "config.toml"
    for format in ("mlx", "torch", "mlx"):
        settings.write_text(f'format = "{format}"')
        ((listing, _),) = open_catalog().find("user/many:a")
        assert listing.build.name == format
        assert [build.name for build in listing.builds] == ["torch", "mlx"]
        assert chosen() == [format, "torch"]
        assert world.read == []


def test_a_line_of_the_catalog_is_found_without_reading_its_recipe(world: World) -> None:
    world.titles()
    world.read.clear()
    (one, _), (other, build) = open_catalog().find("many", "user/many:b/torch")
    assert (one.ref, other.title, build) == ("user/many:a", "Model b", "torch")
    assert world.read == []
    world.write("b", "Changed")
    assert [x.title for x, _ in open_catalog().find("many:b")] == ["Changed"]
