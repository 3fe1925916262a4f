"""What the tests of the family share: a converted pipeline, which takes a while to make."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import filelock
import pytest
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo_stable_diffusion.coreml.plugin


@dataclass(frozen=True)
class Tiny:
    """A tiny pipeline: `source` as diffusers saves it, and `converted` to Core ML in float16.

    Beside the source are `prompts.txt` to calibrate on, and `empty.txt`.
    """

    source: Path
    converted: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Made once for all workers, which only read it."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    with filelock.FileLock(f"{home}.lock"):
        if not home.exists():
            home.mkdir()
            source = diffusion_checkpoint.make_tiny(home)
            (home / "prompts.txt").write_text("a red circle\n\na small blue ring\n")
            (home / "empty.txt").write_text("\n \n")
            make_build(zoo_stable_diffusion.coreml.plugin, source, home / "coreml")
    return Tiny(home / "whole", home / "coreml" / "converted")
