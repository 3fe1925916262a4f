"""What a build for the Neural Engine consists of, as data: the packages and what goes between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo import schema
from zoo.errors import IntegrityError
from zoo.files.trust import require_names
from zoo.formats.checkpoint import read_json

MANIFEST_FILE = "neural-engine.json"
"""Where a build keeps its manifest. A build without one has flexible shapes."""


@dataclass(frozen=True)
class LayersPackage:
    """One package of layers, with functions such as `prefill`, and as many more for each adapter.

    Attributes:
        package: its folder.
        first, last: the halves of layers that it begins and ends with, such as `0.attention` and
            `15.ffn`.
    """

    package: str
    first: str
    last: str


@dataclass(frozen=True)
class HeadPackage:
    """One package of the output head, with the function `main`, and one more per adapter.

    Attributes:
        package: its folder.
        outputs: its outputs in the order of the vocabulary.
    """

    package: str
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A build for the Neural Engine.

    Attributes:
        length: positions of the caches; a multiple of 32 and at least the decoder's context.
        prefill: tokens that the function `prefill` takes.
        embeddings: the file with the table of embeddings.
        layers: in the order to run them; each is given what the one before returns.
        heads: each is given what the last of `layers` returns for one token.
        adapters: names of the LoRA adapters.
        begin: tokens that each of the functions `begin_...` takes, in ascending order.
    """

    length: int
    prefill: int
    embeddings: str
    layers: tuple[LayersPackage, ...]
    heads: tuple[HeadPackage, ...]
    adapters: tuple[str, ...] = ()
    begin: tuple[int, ...] = ()

    def validate(self) -> Iterator[tuple[str, str]]:
        """What no build can have: the field, and what is wrong with it."""
        for key in ("length", "prefill"):
            if getattr(self, key) < 1:
                yield key, f"must be at least 1, not {getattr(self, key)}"
        if any(not 1 <= size <= self.length for size in self.begin):
            yield "begin", f"must be from 1 to {self.length}, not {list(self.begin)}"
        for key in ("layers", "heads"):
            if not getattr(self, key):
                yield key, "must not be empty"

    def write(self, folder: Path) -> None:
        """Keep the manifest in `folder`."""
        text = json.dumps(asdict(self), indent=1)
        (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest that a build keeps in `folder`.

    Raises:
        IntegrityError: it is missing or damaged, or names files outside the folder.
    """
    path = folder / MANIFEST_FILE
    problems = schema.Problems()
    manifest: Manifest | None = schema.read(Manifest, read_json(path), problems)
    if manifest is None or problems.found:
        raise IntegrityError(f"{path} is damaged: {'; '.join(problems.found)}")
    packages = [part.package for part in manifest.layers]
    packages += [part.package for part in manifest.heads]
    require_names([manifest.embeddings, *packages], str(path))
    return manifest
