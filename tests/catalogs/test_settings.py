"""The user's defaults in config.toml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Sandbox

from zoo import machine


def defaults(sandbox: Sandbox, text: str) -> None:
    (sandbox.config / "config.toml").write_text(text)


def build_of(sandbox: Sandbox, *options: str) -> str:
    import json

    done = sandbox.zoo("plan", "mistral:mini", "--json", *options)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["build"])


def test_a_default_format_and_build_are_used_where_nothing_is_asked_for(sandbox: Sandbox) -> None:
    assert build_of(sandbox) == "torch"
    defaults(sandbox, 'format = "mlx"')
    chosen = build_of(sandbox)
    assert chosen.startswith("mlx")
    assert build_of(sandbox, "--format", "torch") == "torch"
    listed = sandbox.zoo("list", "mistral:mini", "--json").stdout
    assert f'"default_build": "{chosen}"' in listed
    defaults(sandbox, 'build = "mlx-4bit"')
    assert build_of(sandbox) == "mlx-4bit"
    assert build_of(sandbox, "--build", "torch") == "torch"
    assert sandbox.zoo("plan", "whisper:mini").returncode == 0


def test_the_store_may_be_elsewhere(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults(sandbox, f'home = "{tmp_path / "store"}"')
    monkeypatch.setenv("ZOO_CONFIG", str(sandbox.config))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "mine"))
    assert machine.home() == tmp_path / "mine"
    monkeypatch.delenv("ZOO_HOME")
    assert machine.home() == tmp_path / "store"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("format =", "cannot be read"),
        ('formt = "mlx"', "has an unknown key 'formt', did you mean 'format'?"),
        ("format = 7", "'format' in"),
        ('home = ""', "'home' in"),
    ],
)
def test_a_fault_is_named(sandbox: Sandbox, text: str, words: str) -> None:
    defaults(sandbox, text)
    done = sandbox.zoo("show", "mistral")
    assert done.returncode == 2
    assert words in done.stderr
    assert "config.toml" in done.stderr


def test_the_folders_are_those_of_platformdirs(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    for name in ("ZOO_HOME", "ZOO_CONFIG", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert machine.home() == Path(platformdirs.user_cache_dir("zoo"))
    assert machine.config_folder() == Path(platformdirs.user_config_dir("zoo"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/x/config")
    assert machine.home() == Path(platformdirs.user_cache_dir("zoo"))
    assert machine.config_folder() == Path(platformdirs.user_config_dir("zoo"))


@pytest.mark.parametrize("name", ["config.toml", "plugins.toml"])
def test_files_that_are_no_settings_are_neither_waited_for_nor_read_without_end(
    sandbox: Sandbox, name: str
) -> None:
    path = sandbox.config / name
    codes = (2,) if name == "config.toml" else (0,)
    path.write_text("a = " + "[" * 100_000)
    deep = sandbox.zoo("plan", "mistral:mini")
    assert deep.returncode in codes
    path.write_bytes(b"#" + b"x" * (1 << 21))
    assert sandbox.zoo("plan", "mistral:mini").returncode in codes
    path.unlink()
    path.symlink_to("/dev/zero")
    assert sandbox.zoo("plan", "mistral:mini").returncode in codes
    path.unlink()
    os.mkfifo(path)
    pipe = sandbox.zoo("plan", "mistral:mini")
    assert pipe.returncode in codes
    assert "Traceback" not in deep.stderr + pipe.stderr
    assert ("cannot be read" in deep.stderr) == (name == "config.toml")


def test_plugins_toml_that_cannot_be_read_is_named(sandbox: Sandbox) -> None:
    (sandbox.config / "plugins.toml").write_text("a = " + "[" * 100_000)
    done = sandbox.zoo("plugins")
    assert done.returncode == 0
    assert "plugins.toml cannot be read: it is nested" in done.stderr
