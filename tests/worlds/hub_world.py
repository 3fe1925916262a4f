"""A Hub on this machine, and pulls from it that remember what was told meanwhile."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

from zoo.catalogs.recipe import Build, Recipe
from zoo.catalogs.source import File, Source
from zoo.hooks import defaults as zoo_hub
from zoo.progress import Event, Progress
from zoo.testing.loopback_hub import LoopbackHub


def safetensors(tensors: dict[str, bytes]) -> bytes:
    """A sound file of one-dimensional tensors of bytes."""
    header, at = {}, 0
    for name, data in tensors.items():
        offsets = [at, at + len(data)]
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": offsets}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


REPO = "acme/tiny"
WEIGHTS = "model.safetensors"
BODY = f"^GET /cdn/{REPO}/.*{WEIGHTS}"
TREE = f"^GET /api/models/{REPO}/tree"
CONTENT = {
    WEIGHTS: safetensors({"w": bytes(range(256)) * 2000}),
    "config.json": b'{"model_type": "tiny"}',
    "tokenizer/vocab.txt": b"a\nb\n",
    "pytorch_model.bin": b"a pickle",
}
PATHS = (WEIGHTS, "config.json", "tokenizer/vocab.txt")


@dataclass
class Puller:
    """Pulls from a Hub and remembers what was told meanwhile."""

    hub: LoopbackHub
    cache: Path
    events: list[Event] = field(default_factory=list)

    @property
    def commit(self) -> str:
        return self.hub.commit(REPO)

    @property
    def notes(self) -> list[str]:
        return [e.message for e in self.events if e.state == "note"]

    def pull(self, *files: File | str, **source: str) -> Path:
        """Pull some files of the pinned commit, unless `source` says otherwise."""
        listed = tuple(File(f) if isinstance(f, str) else f for f in files)
        pinned = source or {"revision": self.commit}
        return pull(Source(files=listed, **{"repo": REPO, **pinned}), self.events)

    def blobs(self, repo: str = REPO) -> list[Path]:
        folder = self.cache / f"models--{repo.replace('/', '--')}"
        return sorted(p for p in folder.glob("blobs/*") if p.is_file())

    def forget(self) -> None:
        """Begin to count requests and notes anew."""
        self.hub.requests.clear()
        self.events.clear()


def pull(source: Source, events: list[Event] | None = None, home: Path = Path()) -> Path:
    recipe = Recipe(
        schema=1,
        family="tiny",
        title="Tiny",
        summary="",
        task="text-generation",
        license="MIT",
        parameters=1,
        source=source,
        build={"plain": Build(format="plain")},
        home=home,
    )
    listener = [] if events is None else events
    return zoo_hub.download(recipe, Path("unused"), Progress("download", listener.append))


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def sha256_of(name: str) -> str:
    return hashlib.sha256(CONTENT[name]).hexdigest()


def pinned_file(name: str) -> File:
    return File(name, len(CONTENT[name]), sha256_of(name))


def assert_right(folder: Path, names: tuple[str, ...] = PATHS) -> None:
    for name in names:
        assert (folder / name).read_bytes() == CONTENT[name], name
