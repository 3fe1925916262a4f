"""Names and files from outside: none leaves its folder, none that may run code is read."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Sandbox
from worlds.hub_world import WEIGHTS, Puller, pull, write

from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import read_recipe
from zoo.catalogs.source import Source
from zoo.errors import IntegrityError, RecipeError, ZooError
from zoo.files import trust
from zoo.store.store import Store

HOSTILE = [
    "..", ".", "", "/", "//", "../x", "../../x", "a/../b", "a/..", "a/../../x", "./a", "a/./b",
    "a//b", "/etc/passwd", "//server/share", "\\\\server\\share", "C:", "C:\\x", "c:/x", "a\\b",
    "..\\x", "a/..\\..\\x", "a\0b", "a\nb", "a\rb", "a\tb", "\x1b[2J", "a\x7f", "a\x85b",
    "a\u202eb", "a\u200bb", "a\u2028b", "\ufeffa", "a*", "a?", 'a"b', "a<b", "a>b", "a|b", "a:b",
    "a:stream", "CON", "con.json", "NUL", "aux.txt", "COM1", "lpt9.x", "prn", "a.", "a ", " a",
    "a/ b", "a./b", "a/.", "...", ". .", "x" * 256, "é" * 128, "a/" * 600 + "b", "e\u0301.json",
    "\ud800", "a/CON/b", "a/",
]  # fmt: skip
PLAIN = [
    "a", "a/b", "config.json", ".gitattributes", "a.b.c", "tokenizer/vocab.txt", "a[1].txt", "a b",
    "model-00001-of-00002.safetensors", "é.json", "日本", "a+b@c#d%e!~$&'(),;=", "-a", "x" * 255,
    "console", "a/nul-b", "..a", "a..b",
]  # fmt: skip


def test_there_are_sixty() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_not_confined(name: str) -> None:
    assert not trust.confined(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_is(name: str, tmp_path: Path) -> None:
    assert trust.confined(name)
    assert (tmp_path / name).resolve().is_relative_to(tmp_path)


def quoted(name: str) -> str:
    return json.dumps(name) if "\ud800" not in name else '"\\uD800"'


RECIPE = """schema = 1
family = {family}
title = "x"
summary = "x"
task = "text-generation"
license = "MIT"
parameters = 1
[source]
{source}
[build.{build}]
format = {format}
[check]
inputs = [{check}]
"""
GOOD = {
    "family": '"echo"', "source": 'folder = "m"', "build": '"plain"', "format": '"plain"',
    "check": '"x"',
}  # fmt: skip
FIELDS: dict[str, Callable[[str], dict[str, str]]] = {
    "file": lambda n: {"source": f'folder = "m"\nfiles = [{{ path = {n} }}]'},
    "folder": lambda n: {"source": f"folder = {n}"},
    "branch": lambda n: {"source": f'repo = "a/b"\nbranch = {n}'},
    "revision": lambda n: {"source": f'repo = "a/b"\nrevision = {n}'},
    "repo": lambda n: {"source": f'repo = {n}\nbranch = "main"'},
    "family": lambda n: {"family": n},
    "format": lambda n: {"format": n},
    "build": lambda n: {"build": n},
    "check": lambda n: {"check": n},
}


NAMES = ("family", "format", "build", "model", "variant", "alias")
"""Fields that hold names, which become parts of keys and never paths of their own."""


def plain_word(field: str, name: str) -> bool:
    """Whether a name that no file may have is harmless in this field: a device of Windows."""
    return field in NAMES and name in ("con.json", "aux.txt", "lpt9.x", "prn")


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_of_a_recipe_takes_a_hostile_name(tmp_path: Path, field: str) -> None:
    path = tmp_path / "recipe.toml"
    (tmp_path / "x").write_text("an input")
    path.write_text(RECIPE.format(**GOOD))
    read_recipe(path)
    for name in HOSTILE:
        if plain_word(field, name):
            continue
        path.write_text(RECIPE.format(**{**GOOD, **FIELDS[field](quoted(name))}))
        with pytest.raises(RecipeError):
            read_recipe(path)


CATALOG = "schema = 1\n[models.{model}]\ndefault = {variant}\naliases = [{alias}]\n[models.{model}.variants]\n{variant} = {file}\n"


@pytest.mark.parametrize("field", ["model", "variant", "alias", "file"])
def test_no_field_of_a_catalog_takes_a_hostile_name(
    tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    good = {"model": '"m"', "variant": '"v"', "alias": '"w"', "file": '"v.toml"'}
    (tmp_path / "catalog.toml").write_text(CATALOG.format(**good))
    assert "user" not in open_catalog().problems
    for name in HOSTILE:
        text = quoted(name if field != "file" else f"{name}.toml")
        if plain_word(field, name) or (field == "file" and trust.confined(f"{name}.toml")):
            continue  # such as `a..toml`, which is a plain name
        (tmp_path / "catalog.toml").write_text(CATALOG.format(**{**good, field: text}))
        assert "user" in open_catalog().problems, name


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_reference_reaches_outside(name: str, sandbox: Sandbox) -> None:
    """As a model, a variant, a build, a key, a branch on the Hub."""
    from zoo import api

    if name.startswith((".", "/", "~")):
        return  # a folder of the user's own, which may lie anywhere
    for ref in (name, f"mistral:{name}", f"mistral:mini/{name}", f"hf:acme/tiny@{name}"):
        if ref.endswith(("@", ":", "/")) or name in ("...",):
            continue
        with pytest.raises(ZooError):
            api.plan(ref, family="mistral" if ref.startswith("hf:") else None)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_listing_no_lock_no_manifest_names_it(puller: Puller, name: str, tmp_path: Path) -> None:
    wanted = f"{name}.json"  # a name that is not asked for is not used either
    puller.hub.extra_entries = [{"type": "file", "path": wanted, "size": 3, "oid": "a" * 40}]
    if not trust.confined(wanted):
        with pytest.raises(ZooError):
            puller.pull(branch="main")
        assert not puller.hub.seen("resolve")
    lock = tmp_path / "zoo.lock"
    entry = {"commit": None, "files": [{"path": name, "size": 1, "sha256": "0" * 64}]}
    lock.write_text(json.dumps({"schema": 1, "sources": {"a/b@main": entry}}))
    with pytest.raises(RecipeError):
        Lock(lock).pin(Source(repo="a/b", branch="main"))
    folder = tmp_path / "home" / "artifacts" / "k"
    folder.mkdir(parents=True)
    fields = dict.fromkeys(("key", "ref", "step", "build", "format", "created"), "x")
    file = {"path": name, "size": 1, "mtime_ns": 1, "sha256": "0" * 64}
    for location, path in (("data", name), (name, "x")):
        if location.startswith("/"):
            continue  # artifacts may live elsewhere: in the Hub's cache, in a user's folder
        manifest = {**fields, "location": location, "inputs": {}, "files": [{**file, "path": path}]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(IntegrityError):
            Store(tmp_path / "home").get("k")


@pytest.mark.parametrize(
    ("paths", "count"),
    [
        (["a", "b"], 0),
        (["a", "A"], 1),
        (["é", "É"], 1),
        (["ﬁ", "fi"], 1),
        (["straße", "STRASSE"], 1),
        (["a/b", "A/c"], 0),
        (["a", "a/b"], 1),
        (["A", "a/b/c"], 1),
        (["K", "\u212a"], 1),
    ],
)
def test_collisions(paths: list[str], count: int) -> None:
    assert len(trust.collisions(paths)) == count


@pytest.mark.parametrize("name", ["weights.pkl", "model.BIN", "a/b.pt", "x.pth", "model.ckpt", "m.h5",
                                  "modeling.py", "lib.so", "x.joblib", "run.sh"])  # fmt: skip
def test_code_is_not_data(name: str, puller: Puller, tmp_path: Path) -> None:
    assert trust.code_in(name)
    write(puller.hub.root / "acme/tiny/main", {name: pickle.dumps(1)})
    with pytest.raises(IntegrityError, match="reading it can run code"):
        puller.pull(WEIGHTS, name)
    assert not puller.hub.seen("resolve")
    write(tmp_path / "own", {name: pickle.dumps(1)})
    from zoo.catalogs.source import File

    with pytest.raises(IntegrityError, match="reading it can run code"):
        pull(Source(folder="own", files=(File(name),)), home=tmp_path)


def test_numpy_files_with_objects_are_refused(tmp_path: Path) -> None:
    good, bad = np.arange(3), np.array([{}], dtype=object)
    records = np.zeros(2, dtype=[("a", "<f4"), ("b", "O")])
    np.save(tmp_path / "good.npy", good)
    np.savez(tmp_path / "good.npz", a=good, b=good)
    np.save(tmp_path / "bad.npy", bad, allow_pickle=True)
    np.save(tmp_path / "records.npy", records, allow_pickle=True)
    np.savez(tmp_path / "bad.npz", a=good, b=bad)
    for name in ("good.npy", "good.npz"):
        trust.require_plain_numpy(tmp_path / name)
    for name in ("bad.npy", "records.npy", "bad.npz"):
        with pytest.raises(IntegrityError, match="holds Python objects"):
            trust.require_plain_numpy(tmp_path / name)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK", pickle.dumps({}), b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 65_535,
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", b"\x93NUMPY\x01\x00\x02\x00[]",
        b"\x93NUMPY\x01\x00\x16\x00{'descr': __import__} ",
    ],
)  # fmt: skip
def test_a_damaged_numpy_file_is_refused(tmp_path: Path, data: bytes) -> None:
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(IntegrityError, match="cannot be read as numpy data"):
            trust.require_plain_numpy(tmp_path / name)


def test_an_npz_of_too_many_members_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for number in range(trust.MOST_NPZ_MEMBERS + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(IntegrityError, match="members"):
        trust.require_plain_numpy(tmp_path / "x.npz")


@pytest.mark.parametrize("name", [n for n in HOSTILE if "\ud800" not in n], ids=ascii)
def test_a_package_names_nothing_outside(tmp_path: Path, name: str) -> None:
    entries = {"1": {"path": "com.apple.CoreML/model.mlmodel"}, "2": {"path": name}}
    (tmp_path / "Manifest.json").write_text(json.dumps({"itemInfoEntries": entries}))
    with pytest.raises(IntegrityError):
        trust.require_package_names(tmp_path)
    del entries["2"]
    (tmp_path / "Manifest.json").write_text(json.dumps({"itemInfoEntries": entries}))
    trust.require_package_names(tmp_path)
