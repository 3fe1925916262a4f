"""Every boundary where something comes in from outside, with input that is right and what may be
raised of any other: a fuzz test spoils the input and holds the boundary to it."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from worlds.hub_world import safetensors

from zoo.catalogs.layers import Layer
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import read_recipe
from zoo.errors import InputError, IntegrityError, RecipeError, ZooError
from zoo.files.safetensors import parse_header
from zoo.files.trust import require_plain_numpy
from zoo.hub import explain
from zoo.hub.api import HubApi
from zoo.hub.cache import Cache
from zoo.progress import Progress
from zoo.store import archive
from zoo.store.artifacts import Manifest, read_manifest
from zoo.store.export import export
from zoo.store.store import Store, describe_files

COMMIT = "0123456789abcdef" * 2 + "01234567"
RECIPE = b"""schema = 1
family = "mistral"
title = "Tiny"
summary = "a tiny one"
task = "text-generation"
license = "MIT"
parameters = 10
[source]
repo = "acme/tiny"
branch = "main"
files = [{ path = "model.safetensors", size = 10 }]
[build.small]
format = "mlx"
optimize = [{ kind = "quantize", bits = 4, group_size = 64 }]
"""
CATALOG = (
    b'schema = 1\n[models.t]\ndefault = "one"\nvariants = { one = "one.toml" }\naliases = ["u"]\n'
)
PINS = {
    "schema": 1,
    "sources": {
        "acme/tiny@main": {
            "commit": COMMIT,
            "files": [{"path": "a.json", "size": 1, "sha256": "a" * 64}],
        }
    },
}
LISTING = {
    "format_version": 1,
    "files": {
        "a.json": {"size": 2, "blob_id": "b" * 40},
        "m.safetensors": {"size": 3, "blob_id": "b" * 40, "lfs_sha256": "c" * 64, "lfs_size": 9},
    },
}
WORDS = [
    b"{", b"}", b"[", b"]", b'"', b"'", b",", b":", b"=", b"\n", b"\0", b"\xff", b"\x1b[31m", b"..",
    b"/", b"-1", b"0", b"1e999", b"9" * 30, b"9" * 5_000, b"null", b"true", b"NaN", b"inf",
    b"[" * 2_000, b'{"a":' * 2_000, "\u202e".encode(), b"\r\n", b"18446744073709551616",
]  # fmt: skip


@dataclass(frozen=True)
class Boundary:
    """Where something comes in.

    Attributes:
        name: what comes in, for the table.
        right: an input that is taken.
        take: gives an input to the boundary; the folder is its own and empty at first.
        planned: what may be raised of an input that is wrong.
    """

    name: str
    right: Callable[[], bytes]
    take: Callable[[bytes, Path], object]
    planned: tuple[type[Exception], ...]


@st.composite
def spoilt(draw: st.DrawFn, right: bytes) -> bytes:
    """The input with a few changes, or something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(right)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                data[at:at] = draw(st.sampled_from(WORDS))
            case 2:
                del data[at : at + draw(st.integers(1, 40))]
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 60))]
            case 4:
                word = draw(st.sampled_from(WORDS))
                data[at : at + len(word)] = word
    return bytes(data)


def _written(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """Give an input as a file of this name."""

    def take(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return take


def _manifest() -> bytes:
    origin = {
        "recipe": {"title": "T", "license": "MIT"},
        "sources": [
            {"repo": "a/b", "commit": COMMIT, "files": [{"path": "x", "sha256": "0" * 64}]}
        ],
    }
    check = {"status": "passed", "reason": "", "metrics": {"top1": 0.9}}
    return Manifest(
        "k-1", "m:v", "build", "b", "plain", "2026-01-01T00:00:00Z", "data", {}, (),
        {"zoo-ml": "1"}, check, origin=origin,
    ).dump()  # fmt: skip


def _numpy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(6, dtype=np.float32).reshape(2, 3))
    return file.getvalue()


def _arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(6), b=np.zeros(3))
    return file.getvalue()


def _archive() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "home")
        with store.lock("k-1"), store.workdir("k-1") as workdir:
            (workdir / "config.json").write_text("{}")
            (workdir / "m.safetensors").write_bytes(safetensors({"w": bytes(100)}))
            files = describe_files(workdir)
            manifest = Manifest("k-1", "m:v", "build", "b", "plain", "2026", "data", {}, files)
            made = store.publish(workdir, workdir, manifest)
        dest = Path(name) / "out.tar"
        export([made], Lock(Path(name) / "zoo.lock"), dest, Progress("export"))
        assert tarfile.is_tarfile(dest)
        return dest.read_bytes()


def _import(path: Path) -> object:
    store = Store(path.parent / "home")
    try:
        return archive.bring(path, store, Lock(store.home / "zoo.lock"), Progress("import"))
    finally:
        for entry in store.entries():
            assert store.verify(entry) == [] or store.remove(entry)
            store.remove(entry)
        assert not list(store.work.glob("*"))


def _cached_listing(path: Path) -> object:
    return Cache(path.parents[2], "acme/tiny").listing(COMMIT)


def _answer() -> bytes:
    body = json.dumps({"id": "acme/tiny", "sha": COMMIT}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body), body,
    )  # fmt: skip


@contextmanager
def answering(data: bytes) -> Iterator[str]:
    """A server that answers these bytes to everything; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(1 << 16)
                        connection.sendall(data)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _ask(data: bytes, folder: Path) -> object:
    with answering(data) as address:
        try:
            return HubApi(address, "acme/tiny", Progress("download")).commit("main")
        except explain.Nonsense as error:
            raise explain.lost("acme/tiny", "main", address, str(error)) from error
        except Exception as error:
            known = explain.explain(error, "acme/tiny", "main", address)
            if known is None:
                raise
            raise known from error


def _picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(file, "PNG")
    return file.getvalue()


def _open_picture(path: Path) -> object:
    from zoo.tasks.pictures.image_file import open_image

    return open_image(path, "image").size


def _sound() -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(400, dtype=np.float32), 16_000, format="WAV")
    return file.getvalue()


def _open_sound(path: Path) -> object:
    from zoo.tasks.speech.audio import open_audio

    return sum(len(block) for block in open_audio(path, rate=16_000).blocks())


def _header() -> bytes:
    data = safetensors({"a": bytes(8), "b": bytes(4)})
    return data[8 : len(data) - 12]


BOUNDARIES = [
    Boundary("recipe", lambda: RECIPE, _written("r.toml", read_recipe), (RecipeError,)),
    Boundary(
        "catalog",
        lambda: CATALOG,
        _written("catalog.toml", lambda path: Layer.read("user", path)),
        (RecipeError,),
    ),
    Boundary(
        "zoo.lock",
        lambda: json.dumps(PINS).encode(),
        _written("zoo.lock", lambda path: Lock(path).entries()),
        (RecipeError,),
    ),
    Boundary("manifest", _manifest, lambda data, _: read_manifest(data), (ValueError,)),
    Boundary("export archive", _archive, _written("x.tar", _import), (ZooError,)),
    Boundary(
        "safetensors header",
        _header,
        lambda data, _: parse_header(data, 8 + len(data) + 12),
        (ValueError,),
    ),
    Boundary("npy file", _numpy, _written("a.npy", require_plain_numpy), (IntegrityError,)),
    Boundary("npz file", _arrays, _written("a.npz", require_plain_numpy), (IntegrityError,)),
    Boundary(
        "cached listing",
        lambda: json.dumps(LISTING).encode(),
        _written(f"models--acme--tiny/trees/{COMMIT}.json", _cached_listing),
        (),
    ),
    Boundary("answer of a hub", _answer, _ask, (ZooError,)),
    Boundary("picture", _picture, _written("a.png", _open_picture), (InputError,)),
    Boundary("audio", _sound, _written("a.wav", _open_sound), (InputError,)),
]
"""Programs of Core ML have a fuzz test of their own, beside the executor."""

SLOW = ("answer of a hub", "export archive", "picture", "audio")
