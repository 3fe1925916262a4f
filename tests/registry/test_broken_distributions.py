"""A distribution whose metadata is garbage keeps back only what is its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.testing import install_plugin

EVIL = "\x1b]0;pwned\x07\x1b[31m"


def distribution(site: Path, metadata: bytes, entry_points: bytes) -> None:
    folder = site / "evil-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(
        b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n" + metadata
    )
    (folder / "entry_points.txt").write_bytes(entry_points)
    (site / "evil_mod.py").write_text("raise SystemExit(0)\n")


@pytest.mark.parametrize(
    ("metadata", "entry_points"),
    [
        (b"", b"[zoo.families]\nevil.mlx = !!!\n"),
        (b"", b"[zoo.families]\nevil.mlx =\n"),
        (b"", f"[zoo.families]\n{EVIL}.mlx = evil_mod\n".encode()),
        (b"", b"[zoo.catalogs]\nevil = !!!\n"),
        (b"", b"[zoo.catalogs]\nevil = zoo:../../../../etc/passwd\n"),
        (b"", b"\x00\xff\x01[zoo.families]\nevil.mlx = evil_mod\n"),
        (b"Requires-Dist: !!! ; extra == 'mlx'\n", b"[zoo.families]\nevil.mlx = evil_mod [mlx]\n"),
        (b"\xff\xfe: x\n", b"[zoo.families]\nevil.mlx = evil_mod\n"),
    ],
)
def test_a_broken_distribution_stops_nothing(sandbox, metadata: bytes, entry_points: bytes) -> None:
    distribution(sandbox.site, metadata, entry_points)
    for line in (("list",), ("plugins",), ("doctor",), ("show", "mistral:mini")):
        done = sandbox.zoo(*line)
        assert done.returncode in (0, 1), done.stderr
        assert "unexpected" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
    assert "mistral:mini" in sandbox.zoo("list").stdout


def test_doctor_names_it(sandbox) -> None:
    distribution(sandbox.site, b"", b"[zoo.families]\nevil.mlx = !!!\n")
    assert "'evil.mlx' of evil is declared as '!!!'" in sandbox.zoo("doctor").stdout


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_a_plugin_that_ends_the_program_when_imported_is_broken(sandbox, error: str) -> None:
    distribution(sandbox.site, b"", b"[zoo.families]\nevil.mlx = evil_mod\n")
    (sandbox.site / "evil_mod.py").write_text(f"raise {error}\n")
    done = sandbox.zoo("plugins", "--check")
    assert done.returncode == 8
    assert error in done.stdout


@pytest.mark.parametrize(
    ("entry_points", "named"),
    [
        (
            b"[torch.backends]\nx\xff = y\n",
            "evil-1.0.dist-info/entry_points.txt: UnicodeDecodeError",
        ),
        (b"[torch.backends]\nnonsense\n", "evil-1.0.dist-info: TypeError"),
    ],
)
def test_metadata_that_pytorch_cannot_read_is_named(sandbox, entry_points: bytes, named) -> None:
    """PyTorch reads the entry points of all distributions when it is imported."""
    distribution(sandbox.site, b"", entry_points)
    done = sandbox.zoo("run", "mistral:mini/torch", "The", "--max-tokens", "1", "--no-check")
    assert done.returncode == 8
    assert f"a library cannot read {sandbox.site / named}" in done.stderr
    assert "zoo-ml" not in done.stderr
    assert "install evil again, or remove that folder" in done.stderr


def test_doctor_finds_entry_points_of_strangers_that_are_no_text(sandbox) -> None:
    distribution(sandbox.site, b"", b"[torch.backends]\nx\xff = y\n")
    done = sandbox.zoo("doctor")
    assert done.returncode == 1
    assert "problem: entry_points.txt of evil cannot be read: 'utf-8'" in done.stdout


def test_a_description_that_cannot_be_imported_is_said_where_it_is_asked_for(sandbox) -> None:
    """And nowhere else: what it would describe is not what others need."""
    cause = "cannot be loaded: ModuleNotFoundError: No module named 'no_such'"
    sandbox.echo()
    (sandbox.site / "zoo_echo" / "task.py").write_text("import no_such\n")
    modules = {
        "zoo_half/__init__.py": "",
        "zoo_half/description.py": "import no_such\n",
        "zoo_half/hooks.py": "import zoo\n\n@zoo.hookimpl\ndef run(artifact): ...\n",
        "zoo_half/builds.toml": 'schema = 1\n[family.mistral.build.half]\nformat = "half"\n',
    }
    groups = {
        "zoo.formats": {"half": "zoo_half.hooks"},
        "zoo.format_descriptions": {"half": "zoo_half.description:DESCRIPTION"},
        "zoo.builds": {"half": "zoo_half:builds.toml"},
    }
    install_plugin(sandbox.site, "zoo-half", modules, groups)
    for line in (("plan", "mistral:mini/half"), ("plan", "mistral:mini", "--format", "half"),
                 ("show", "mistral:mini/half"), ("check", "mistral:mini/half")):  # fmt: skip
        done = sandbox.zoo(*line)
        assert done.returncode == 8, line
        assert f"the plugin 'half' of zoo-half 0.1 {cause}" in done.stderr
    for option, value, who in (
        ("--format", "half", "the format half: the plugin 'half' of zoo-half 0.1"),
        ("--task", "echo", "the task echo: the plugin 'echo' of zoo-echo 0.3"),
    ):
        done = sandbox.zoo("list", option, value)
        assert done.returncode == 0
        assert f"warning: {who} {cause}" in done.stderr
    found = sandbox.zoo("plugins", "--check", "--json")
    assert found.returncode == 8
    broken = [p for p in json.loads(found.stdout)["plugins"] if p["status"] == "broken"]
    assert {("format description", "half"), ("task", "echo")} <= {
        (p["kind"], p["name"]) for p in broken
    }
    assert all(cause in p["reason"] for p in broken)
    for line in (("list",), ("plan", "mistral:mini"), ("list", "--format", "mlx")):
        done = sandbox.zoo(*line)
        assert done.returncode == 0
        assert "no_such" not in done.stderr
