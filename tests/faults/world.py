"""A Hub on loopback with one model, and a home to pull it into, as the fault tests need them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worlds.hub_world import safetensors

from zoo.testing.loopback_hub import LoopbackHub
from zoo.testing.plugins import install_plugin

REPO = "acme/large"
WEIGHTS = "model.safetensors"
BODY = f"^GET /cdn/{REPO}/.*{WEIGHTS}"
ECHO = Path(__file__).parent.parent / "plugins" / "zoo_echo" / "zoo_echo"
CATALOG = """schema = 1
[models.large]
default = "one"
variants = { one = "one.toml" }
"""
RECIPE = """schema = 1
family = "echo"
title = "Large"
summary = "says what it hears"
task = "echo"
license = "MIT"
parameters = 10
[source]
repo = "acme/large"
branch = "main"
files = [{ path = "model.safetensors" }, { path = "voice.txt" }]
[build.plain]
format = "plain"
[build.plain-loud]
format = "plain"
optimize = [{ kind = "loud", times = 2 }]
"""
PLAIN = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download("acme/large", allow_patterns=["*.safetensors", "*.txt"]))
"""


@dataclass
class Said:
    """What a client did: its exit code, the folder that it gave, what it wrote on stderr."""

    code: int
    folder: Path | None
    err: str


class World:
    """A Hub, and an empty home for a client of it."""

    def __init__(self, folder: Path, size: int, *, seed: int = 1) -> None:
        self.folder = folder
        self.size = size
        self.home, self.hf = folder / "home", folder / "hf"
        self.site, self.config = folder / "site", folder / "config"
        self.root = folder / "repositories"
        self.source = self.root / REPO / "main"
        self.source.mkdir(parents=True)
        self.write_source(seed)
        self.config.mkdir()
        (self.config / "catalog.toml").write_text(CATALOG)
        (self.config / "one.toml").write_text(RECIPE)
        shutil.copytree(ECHO, self.site / "zoo_echo")
        groups = {
            "zoo.families": {"echo.plain": "zoo_echo.plain"},
            "zoo.tasks": {"echo": "zoo_echo.task:TASK"},
        }
        install_plugin(self.site, "zoo-echo", {}, groups, version="0.3")
        self.hub = LoopbackHub(self.root)
        self.hub.__enter__()

    def write_source(self, seed: int) -> None:
        """Other weights of the same size for each seed."""
        block = bytes((i * 7 + seed * 13 + i // 251) % 256 for i in range(65_521))
        data = block * (self.size // len(block) + 1)
        (self.source / WEIGHTS).write_bytes(safetensors({"w": data[: self.size]}))
        (self.source / "voice.txt").write_text(f"<{seed}:{{}}>")

    @property
    def content(self) -> dict[str, bytes]:
        return {name: (self.source / name).read_bytes() for name in (WEIGHTS, "voice.txt")}

    def at(self, part: int) -> int:
        """An offset in the weights, in forty-eighths of their size."""
        return part * self.size // 48

    @property
    def env(self) -> dict[str, str]:
        ours = ("ZOO_", "HF_", "HUGGING_FACE_")
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(ours)},
            "ZOO_HOME": str(self.home),
            "ZOO_CONFIG": str(self.config),
            "HF_HOME": str(self.hf),
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(self.site),
        }

    def empty(self) -> None:
        """An empty home and cache, and a Hub that has seen nothing."""
        for folder in (self.home, self.hf):
            shutil.rmtree(folder, ignore_errors=True)
        self.hub.faults.clear()
        self.hub.requests.clear()

    def blobs(self) -> list[Path]:
        """The files of the weights in the cache, whole or not."""
        found = self.hf.rglob("blobs/*")
        return [p for p in found if p.is_file() and p.stat().st_size > 10_000]

    def right(self, said: Said, content: dict[str, bytes] | None = None) -> bool:
        """Whether a client came back with the right bytes."""
        if said.code or said.folder is None:
            return False
        wanted = content or self.content
        return all((said.folder / name).read_bytes() == data for name, data in wanted.items())

    def harmless(self, said: Said) -> bool:
        """Whether a client came back with the right bytes or with none."""
        return said.code != 0 or self.right(said)

    def close(self) -> None:
        self.hub.__exit__()


class Client:
    """A program that pulls the model: `zoo`, or the Hub's own client."""

    def __init__(self, name: str) -> None:
        self.name = name
        zoo = str(Path(sys.executable).parent / "zoo")
        self.line = {
            "zoo": [zoo, "pull", "large", "-q"],
            "huggingface_hub": [sys.executable, "-c", PLAIN],
        }[name]

    def start(self, world: World, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.line, env={**world.env, **env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def pull(self, world: World, **env: str) -> Said:
        return self.finish(self.start(world, **env))

    def finish(self, process: subprocess.Popen[str]) -> Said:
        out, err = process.communicate(timeout=180)
        lines = out.strip().splitlines()
        return Said(process.returncode, Path(lines[-1]) if lines else None, err)

    def kill_half_way(self, world: World) -> int:
        """Kill a pull once about half of the weights are on disk; how many bytes are left."""
        process = self.start(world)
        deadline = time.monotonic() + 60
        while _largest(world) < world.size // 2:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} ended early: {process.communicate()}")
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return _largest(world)


def _largest(world: World) -> int:
    sizes: list[Any] = [p.stat().st_size for p in world.blobs()]
    return max(sizes, default=0)
