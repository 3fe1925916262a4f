"""pytest fixtures of zoo, loaded by the entry point group `pytest11`; all begin with `zoo_`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zoo.testing.loopback_hub import LoopbackHub


@pytest.fixture
def zoo_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up an empty store, configuration and Hub cache for the test; the store's folder.

    `ZOO_HOME`, `ZOO_CONFIG` and `HF_HOME` are set, and the Hub is offline.
    """
    home = tmp_path / "zoo"
    for name, folder in (("ZOO_HOME", "home"), ("ZOO_CONFIG", "config"), ("HF_HOME", "hf")):
        (home / folder).mkdir(parents=True)
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return home / "home"


@pytest.fixture
def zoo_catalog(zoo_home: Path) -> Callable[..., Path]:
    """A function that writes the user's catalog.

    It takes the text of `catalog.toml` and the text of recipes by name, and returns the folder.
    """

    def write(text: str, **recipes: str) -> Path:
        folder = zoo_home.parent / "config"
        (folder / "catalog.toml").write_text(text, encoding="utf-8")
        for name, recipe in recipes.items():
            (folder / f"{name}.toml").write_text(recipe, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def zoo_hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A running `LoopbackHub` that serves the repositories below its `root`.

    Set `HF_ENDPOINT` to its `url` in the process under test.
    """
    from zoo.testing.loopback_hub import LoopbackHub

    root = tmp_path / "hub"
    root.mkdir()
    with LoopbackHub(root) as running:
        yield running


@pytest.fixture
def zoo_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """A function that installs a distribution for this test, in this process.

    It takes the arguments of `zoo.testing.install_plugin` without the folder, and returns the
    folder.
    """
    from zoo.testing.plugins import forget_plugins, install_plugin

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def install(*arguments: Any, **options: Any) -> Path:
        install_plugin(site, *arguments, **options)
        forget_plugins()
        return site

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(site)):
            del sys.modules[name]
    monkeypatch.undo()
    forget_plugins()
