"""The format `torch` as data: the source itself, run by PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.catalogs.formats import RUNTIME_BYTES, Format, Weights
from zoo.catalogs.recipe import Build

COMPUTED_BYTES = 4


class Torch(Format):
    """Builds are the source's own files; on a CPU PyTorch computes in float32."""

    rank, apple_rank = 10, 30
    runs_source = True
    links_source = True
    takes_passes = False
    writes_adapters = False

    @contextmanager
    def running_on(self, device: str) -> Iterator[None]:
        from zoo.formats.torch import device as devices

        devices.require(device)
        token = devices.CHOSEN.set(device)
        try:
            yield
        finally:
            devices.CHOSEN.reset(token)

    def serves(self, family: str) -> bool:
        """Families alone know how their models run in this format."""
        return False

    def memory_bytes(self, weights: Weights, build: Build) -> int:
        """Bytes of memory: float32 for each weight, however it is stored, and the runtime."""
        return int(weights.count * COMPUTED_BYTES * 1.1) + RUNTIME_BYTES


DESCRIPTION = Torch()
