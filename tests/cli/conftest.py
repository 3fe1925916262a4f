"""The home and the command line that the tests of all verbs use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.world import CATALOG, HUGE, RECIPE, Said
from zoo.cli import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / "catalog.toml").write_text(CATALOG)
    (config / "one.toml").write_text(RECIPE % ("0" * 64))
    (config / "check.txt").write_text("Once upon a time.\n")
    (config / "huge.toml").write_text(HUGE)
    (config / "spoilt.toml").write_text("schema = 1\nfamly = 'x'\n")
    monkeypatch.setenv("ZOO_CONFIG", str(config))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("ZOO_LOCK", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def zoo(home: Path) -> Callable[..., Said]:
    """Run one command line in this process, with pipes for its streams."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Said:
        with CliRunner().isolation(stdin) as streams:
            code = app.run(list(arguments))
            out, err = streams[0].getvalue().decode(), streams[1].getvalue().decode()
        return Said(int(code), out, err)

    return run
