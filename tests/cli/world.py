"""A home for the command line, and ways to run it and to fill it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.pipeline.installed import current_keys
from zoo.store.store import Manifest, Store, describe_files

CATALOG = """
schema = 1
[models.tiny]
default = "one"
aliases = ["wee"]
variants = { one = "one.toml", huge = "huge.toml" }
[models.spoilt]
default = "only"
variants = { only = "spoilt.toml" }
"""


RECIPE = """
schema = 1
family = "mistral"
title = "Tiny model"
summary = "says little"
task = "text-generation"
license = "MIT"
parameters = 1_000_000
context = 128
[source]
folder = "weights"
files = [{ path = "w.bin", size = 4, sha256 = "%s" }]
[build.torch]
format = "torch"
[build.mlx-4bit]
format = "mlx"
minimum_os = "macOS15"
optimize = [{ kind = "quantize", bits = 4, group_size = 64 }]
[check]
inputs = ["check.txt"]
limits = { top1 = 0.9 }
recorded = { perplexity = 3.5 }
"""


HUGE = """
schema = 1
family = "stranger"
title = "Huge model"
summary = "fits nowhere"
task = "text-to-image"
license = "Apache-2.0"
gated = true
parameters = 900_000_000_000_000
[source]
repo = "owner/huge"
branch = "main"
[build.big]
format = "torch"
"""


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def spawn(*arguments: str, **options: Any) -> Said:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "zoo.cli.app", *arguments],
        capture_output=True, text=True, timeout=600, check=False, **options,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def current(build: str, ref: str = "user/tiny:one") -> str:
    """The key under which a build would be stored now."""
    (key,) = (
        key for key in current_keys(ref)[build] if "converted" not in key and "source" not in key
    )
    return key


def put(home: Path, key: str, *, step: str = "build", failed: bool = False, **fields: Any) -> Path:
    """Publish an artifact of one small file, or of the files at `elsewhere`."""
    store = Store(home)
    with store.workdir(key) as workdir:
        path = Path(fields.pop("elsewhere", workdir))
        if path == workdir:
            (workdir / "w.bin").write_bytes(key.encode() * 2000)
        manifest = Manifest(
            key=key, ref=fields.get("ref", "user/tiny:one"), step=step,
            build=fields.get("build", "torch"), format=fields.get("format", "torch"),
            created="2025-01-01T00:00:00Z",
            location="data" if path == workdir else str(path),
            inputs={}, files=describe_files(path), check=fields.get("check"),
        )  # fmt: skip
        return store.publish(workdir, path, manifest, failed).entry
