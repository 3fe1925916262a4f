"""A distribution whose metadata is garbage keeps back only what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_a_plugin_that_ends_the_program_when_imported_is_broken(sandbox) -> None:
    distribution(sandbox.site, b"", b"[zoo.families]\nevil.mlx = evil_mod\n")
    done = sandbox.zoo("plugins", "--check")
    assert done.returncode == 8
    assert "SystemExit" in done.stdout
