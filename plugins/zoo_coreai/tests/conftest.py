"""A store that the tests of this plugin share, and the miniatures that zoo ships."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

RUNTIME = ("coreai", "coreai_torch", "coreai_opt")
missing = [name for name in RUNTIME if find_spec(name) is None]


@pytest.fixture(scope="session")
def runtime() -> None:
    """Skip where Apple's packages are not installed, such as on Linux with another processor."""
    if missing:
        pytest.skip(f"{' and '.join(missing)} are not installed: pip install ./plugins/zoo_coreai")


@pytest.fixture(scope="session", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own, kept in `ZOO_COREAI_STORE` where that is set, to run tests again."""
    given = os.environ.get("ZOO_COREAI_STORE")
    home = Path(given) if given else tmp_path_factory.mktemp("home")
    os.environ["ZOO_HOME"] = str(home)
    os.environ["ZOO_CONFIG"] = str(tmp_path_factory.mktemp("config"))
    return home
