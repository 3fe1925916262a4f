"""What is installed is read as `importlib.metadata` reads it, without its imports."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from zoo.registry import distributions
from zoo.registry.discovery import KINDS
from zoo.testing.plugins import install_plugin


def test_every_installed_distribution_is_read_as_pythons_own_reader_does() -> None:
    found = distributions.installed()
    theirs = {distributions.normalized(d.name): d for d in metadata.distributions()}
    assert set(found) == set(theirs)
    for name, dist in theirs.items():
        assert (found[name].name, found[name].version) == (dist.name, dist.version)
        assert found[name].requires == list(dist.requires or [])


def test_entry_points_are_read_as_pythons_own_reader_does() -> None:
    mine = {
        (*e[:3], e.extras) for d in distributions.installed().values() for e in d.entry_points()
    }
    theirs = {
        (e.group, e.name, e.value, tuple(e.extras))
        for group in KINDS
        for e in metadata.entry_points(group=group)
    }
    assert theirs <= mine
    assert len(theirs) > 15


@pytest.mark.parametrize("value", ["a.b:c [x,y]", "a.b", "a:b.c", "a [x]", "!!!", "a:b:c", ""])
def test_values_are_judged_as_pythons_own_reader_does(value: str) -> None:
    entry = distributions.EntryPoint("zoo.families", "x", value, None)  # type: ignore[arg-type]
    try:
        extras = tuple(metadata.EntryPoint("x", value, "g").extras)
    except AttributeError:
        extras = None
    assert entry.extras == extras


def test_the_first_on_the_path_hides_another_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in "12":
        groups = {"zoo.families": {"twice.torch": f"zoo_twice{number}"}}
        install_plugin(tmp_path / number, "zoo-twice", {}, groups, version=number)
        monkeypatch.syspath_prepend(str(tmp_path / number))
    assert distributions.installed()["zoo_twice"].version == "2"


def test_a_distribution_in_an_archive_on_the_path_is_found(tmp_path: Path) -> None:
    install_plugin(tmp_path / "site", "zoo-zipped", {}, {"zoo.families": {"z.torch": "z"}})
    archive = tmp_path / "site.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (tmp_path / "site").rglob("*"):
            if path.is_file():
                file.write(path, path.relative_to(tmp_path / "site"))
    code = (
        "from zoo.registry.discovery import providers; print(*providers('zoo.families')['z.torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(archive)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "zoo-zipped 0.1\n"


def test_what_is_installed_is_found_without_the_package_email() -> None:
    code = "import sys; from zoo.registry.discovery import KINDS, providers; [providers(k) for k in KINDS]"
    code += "; print('email' in sys.modules, 'importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
