"""What is below a folder is reached without following a link, and nothing else is used for it."""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from pathlib import Path

import pytest

import zoo
from zoo.errors import IntegrityError
from zoo.files.safe_folder import SafeFolder, open_regular, read_regular

PACKAGE = Path(zoo.__file__).parent
CALLS = frozenset(
    ("copyfile", "copy", "copy2", "hardlink_to", "link", "move", "read_bytes", "read_text", "remove",
     "removedirs", "rename", "renames", "rmtree", "symlink", "symlink_to", "touch", "truncate",
     "unlink", "write_bytes", "write_text")
)  # fmt: skip
"""What opens, replaces or removes by a path, or follows links when it does."""

MODULES = ("os", "shutil")
ALLOWED = {
    # Whole folders, by one rename of a name directly below a folder of the store.
    "store/store.py": {"rename", "unlink"},  # and its own marks, each a name directly below a lock
    "store/export.py": {"rename"},  # the draft of an export, beside where it goes
    "store/signing.py": {"write_bytes"},  # in a temporary folder of its own
}
"""Calls that are safe without it, by file, and why."""


@pytest.fixture
def folder(tmp_path: Path) -> SafeFolder:
    (tmp_path / "root").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("precious")
    return SafeFolder(tmp_path / "root")


def test_files_are_written_read_moved_and_removed(folder: SafeFolder) -> None:
    folder.replace("a/b", b"one")
    folder.replace("a/b", b"two", sync=True)
    assert folder.read("a/b", 3) == b"two"
    with pytest.raises(IntegrityError, match="has over 2 bytes"):
        folder.read("a/b", 2)
    folder.move("a/b", "c/d")
    assert folder.names() == ["a", "c"]
    assert folder.names("c") == ["d"]
    assert folder.names("none") == []
    folder.link("c/l", "d")
    assert folder.target("c/l") == "d"
    assert folder.target("c/d") is None
    assert folder.is_file("c/d")
    assert not folder.is_file("c/l")
    assert folder.remove("c")
    assert not folder.remove("c")
    assert folder.info("c/d") is None
    assert folder.names() == ["a"]


def test_no_link_is_followed(folder: SafeFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder.root / "file").symlink_to(out / "precious")
    (folder.root / "dir").symlink_to(out)
    for path in ("file", "dir/precious"):
        with pytest.raises(IntegrityError, match="through, a link"):
            folder.read(path, 100)
        with pytest.raises(IntegrityError, match="through, a link"):
            folder.open(path, os.O_RDWR | os.O_CREAT)
    with pytest.raises(IntegrityError):
        folder.replace("dir/new", b"x")
    with pytest.raises(IntegrityError):
        folder.remove("dir/precious")
    folder.replace("file", b"mine")
    folder.remove("dir")
    assert sorted(p.name for p in out.iterdir()) == ["precious"]
    assert (out / "precious").read_text() == "precious"
    assert folder.read("file", 10) == b"mine"


@pytest.mark.parametrize("path", ["../out/precious", "a/../../out/precious", "./x/y", "a//b"])
def test_no_path_leads_out(folder: SafeFolder, path: str) -> None:
    with pytest.raises(IntegrityError):
        folder.replace(path, b"x")


def test_nothing_is_waited_for(folder: SafeFolder, tmp_path: Path) -> None:
    os.mkfifo(folder.root / "fifo")
    for flags in (os.O_RDONLY, os.O_RDWR):
        with pytest.raises(IntegrityError):
            folder.open("fifo", flags)
    for special in (folder.root / "fifo", Path("/dev/null"), tmp_path):
        with pytest.raises(OSError, match="regular"):
            open_regular(special)
    with pytest.raises(OSError, match="regular"):
        read_regular(folder.root / "fifo", 10)


def test_a_folder_that_fails_leaves_no_draft(
    folder: SafeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    folder.replace("a", b"before")
    monkeypatch.setattr(os, "replace", refuse)
    for change in (lambda: folder.replace("a", b"after"), lambda: folder.link("a", "b")):
        with pytest.raises(OSError, match="Input/output"):
            change()
        assert folder.names() == ["a"]
        assert folder.read("a", 10) == b"before"


@pytest.mark.parametrize("wing", ["hub", "store"])
def test_the_store_and_the_cache_use_nothing_else(wing: str) -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for path in sorted((PACKAGE / wing).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name, owner = node.func.attr, node.func.value
            of_module = isinstance(owner, ast.Name) and owner.id in MODULES
            if name in CALLS and (
                of_module or name not in ("copy", "link", "move", "remove", "truncate")
            ):
                used[path.relative_to(PACKAGE).as_posix()].add(name)
    assert used == {file: names for file, names in ALLOWED.items() if file.startswith(wing)}
