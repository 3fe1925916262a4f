"""What is missing of the packages that an extra asks for."""

from __future__ import annotations

import pytest

from zoo.registry import requirements
from zoo.registry.distributions import Distribution, installed, normalized
from zoo.registry.requirements import needs_of

ZOO = installed()[normalized("zoo-ml")]


@pytest.fixture(autouse=True)
def afresh():
    needs_of.cache_clear()
    yield
    needs_of.cache_clear()


def here(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Have what is installed, but of MLX's back ends those of `more` alone."""
    found = {**installed()}
    del found[normalized("mlx-cpu")]
    found |= {normalized(name): found[other] for name, other in more.items()}
    monkeypatch.setattr(requirements, "installed", lambda: found)


def missing(extra: str, dist: Distribution = ZOO) -> list[str]:
    return [need.name for need in needs_of(dist, (extra,)) if not need.met]


def test_mlx_needs_a_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    assert missing("mlxonly") == ["mlx-cpu"]


@pytest.mark.parametrize("name", ["mlx_cuda_13", "mlx_cuda_12"])
def test_any_back_end_of_mlx_will_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    here(monkeypatch, **{name: "mlx"})
    assert missing("mlxonly") == []
