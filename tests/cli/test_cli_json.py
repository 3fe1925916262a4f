"""What every command prints with `--json`, held to the schema that the documentation publishes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from conftest import Sandbox
from worlds.json_schema import documents, require_document

from cli.world import Said, current, put
from zoo.cli import app

ROOT = Path(__file__).parents[2]
CLIP = str(ROOT / "recipes" / "whisper" / "clips" / "01.wav")
BUILD = "mistral:mini/coreml-int4"

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(built: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a command with `--json` in a home with one checked build; its document."""

    def document(*line: str, code: int = 0) -> Any:
        with CliRunner().isolation() as streams:
            found = app.run([*line, "--json"])
            out, err = streams[0].getvalue().decode(), streams[1].getvalue().decode()
        assert found == code, err
        return json.loads(out)

    assert built.zoo("build", BUILD, "-q").returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_HOME", str(built.home))
        patch.setenv("ZOO_CONFIG", str(built.config))
        patch.delenv("ZOO_LOCK", raising=False)
        patch.chdir(tmp_path_factory.mktemp("json"))
        yield document


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    path = tmp_path_factory.mktemp("key") / "private.pem"
    made = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    return path


@pytest.mark.parametrize(
    "line",
    [
        ("build", BUILD), ("list",), ("list", "--task", "speech"), ("show", BUILD), ("show", "sdxl"),
        ("show", "openelm"), ("compare", BUILD, "whisper", "sd"), ("plan", "mistral"),
        ("pull", "mistral:mini"), ("check", BUILD), ("check", "mistral:mini/torch"),
        ("run", BUILD, "Once", "--max-tokens", "3"), ("run", "whisper:mini/torch", CLIP),
        ("run", "stable-diffusion:mini/torch", "a ring", "--steps", "2", "-o", "ring.png"),
        ("app", BUILD, "--to", "App"), ("cost", BUILD), ("fit", BUILD, "--device", "iphone-15-pro"),
        ("fit", "mistral:7b", "--device", "iphone-12", 1), ("lint", BUILD, "--for", "gpu"),
        ("lock", BUILD, "whisper:mini"), ("sync",), ("ls",), ("du",),
        ("prune", "--dry-run"), ("rm", "mistral:mini", "--dry-run"), ("verify",),
        ("plugins",), ("plugins", "--check"), ("plugins", "--hooks"), ("plugins", "--freeze"),
        ("doctor",), ("site", "site"), ("catalog list",), ("catalog check", 1),
        ("new", "plugin", "acme", "--family", "llama"), ("new", "recipe", "./mine", "--to", "mine.toml"),
    ],
    ids=lambda line: " ".join(map(str, line)).replace(str(ROOT), ""),
)  # fmt: skip
def test_a_document_is_what_the_schema_says(run: Run, line: tuple[Any, ...]) -> None:
    if "./mine" in line and not Path("mine").exists():
        Path("mine").symlink_to(ROOT / "recipes" / "mistral" / "mini")
    *words, code = line if isinstance(line[-1], int) else (*line, 0)
    command = words[0]
    require_document(command, run(*command.split(), *words[1:], code=code))


def test_artifacts_that_travel(
    run: Run, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = str(tmp_path / "build.tar")
    require_document("export", run("export", BUILD, "--to", archive))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "elsewhere"))
    require_document("import", run("import", archive))
    require_document("sign", run("sign", BUILD, "--key", str(key)))
    require_document("verify", run("verify"))
    require_document("rm", run("rm", BUILD, "-y"))


def test_artifacts_of_all_kinds(zoo: Callable[..., Said], home: Path) -> None:
    put(home, current("torch"), check={"status": "passed"})
    put(home, "a-key-that-failed", build="mlx-4bit", format="mlx", failed=True)
    broken = put(home, "a-key-that-is-broken", build="mlx-4bit", format="mlx")
    (broken / "manifest.json").write_text("{")
    for line in (("ls",), ("show", "tiny"), ("list", "user/")):
        said = zoo(*line, "--json")
        assert said.code == 0, said.err
    require_document("list", zoo("list", "user/", "--json").json)
    require_document("compare", zoo("compare", "tiny", "tiny:huge", "--json").json)


def test_every_command_with_a_document_has_a_schema() -> None:
    context = click.Context(app.zoo_command, info_name="zoo")

    def with_json(command: click.Command, name: str) -> Iterator[str]:
        if any("--json" in parameter.opts for parameter in command.params):
            yield name
        if isinstance(command, click.Group):
            for verb in command.list_commands(context):
                found = command.get_command(context, verb)
                assert found is not None
                yield from with_json(found, f"{name} {verb}".strip())

    assert set(with_json(app.zoo_command, "")) == set(documents())
