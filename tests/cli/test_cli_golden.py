"""The screens of the browsing verbs at 80 and 120 columns, and their JSON, letter by letter.

`ZOO_GOLDEN=write pytest tests/cli/test_cli_golden.py` writes the files again; read the difference
before it is committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from cli.world import Said
from zoo import machine
from zoo.catalogs import pairs
from zoo.cli import catalog_table, model_page, output, terminal

GOLDEN = Path(__file__).parent / "golden"
SCREENS = {
    "list": ("list", "user/tiny"),
    "list-whisper": ("list", "whisper", "--limit", "6"),
    "show": ("show", "tiny"),
    "compare": ("compare", "mistral", "whisper:tiny", "user/tiny"),
    "plan": ("plan", "tiny/mlx-4bit"),
}
DOCUMENTS = {
    "list": ("list", "user/tiny", "--json"),
    "show": ("show", "tiny", "--json"),
    "compare": ("compare", "tiny", "tiny:huge", "--json"),
    "plan": ("plan", "tiny/mlx-4bit", "--json"),
    "ls": ("ls", "--json"),
}
TERMINALS = (terminal, output, catalog_table, model_page)
"""Those that ask, all of them imported before the answer is replaced."""


@pytest.fixture(autouse=True)
def one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine everywhere: 16 GB, with PyTorch and MLX."""
    monkeypatch.setattr(machine, "memory", lambda: 16 * 10**9)
    monkeypatch.setattr(machine, "apple_silicon", lambda: True)
    monkeypatch.setattr(pairs, "usable", lambda family, format: format in ("torch", "mlx"))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(name="run")
def command_line(zoo: Callable[..., Said]) -> Callable[..., Said]:
    """The command line of these tests, by a name that is not the package's."""
    return zoo


def held(name: str, text: str) -> None:
    path = GOLDEN / name
    text = text.replace(zoo.__version__, "VERSION")
    if os.environ.get("ZOO_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    for module in TERMINALS:
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    said = run(*SCREENS[name])
    assert said.code == 0
    page = said.out.partition("\nShell\n")[0]  # code is not broken
    too_wide = [line for line in page.splitlines() if len(line) > width]
    assert not [line for line in too_wide if " " in line.strip()], "breaks between words"
    held(f"{name}-{width}.txt", said.out)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(run: Callable[..., Said], name: str) -> None:
    held(f"{name}.json", run(*DOCUMENTS[name]).out)
