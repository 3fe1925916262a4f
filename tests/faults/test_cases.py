"""Every case of `cases.py`; one in twenty of them in the ordinary run of the tests."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from worlds.hub_world import CONTENT, PATHS, WEIGHTS, Puller, assert_right, sha256_of

from faults.cases import Case, beginning, cases, spoil
from zoo.files.digests import git_sha1, sha256_uncached

ALL = cases()


def assert_honest(puller: Puller) -> None:
    """No blob has a name that is not its digest."""
    for blob in puller.blobs():
        if re.fullmatch("[0-9a-f]{64}", blob.name):
            assert sha256_uncached(blob) == blob.name
        elif re.fullmatch("[0-9a-f]{40}", blob.name):
            assert git_sha1(blob) == blob.name


def survive(puller: Puller, case: Case) -> str:
    """Go through a case; how the pull ended."""
    puller.hub.redirects, puller.hub.ranges = case.redirects, case.ranges
    source = {"revision": puller.commit} if case.pinned else {"branch": "main"}
    digest = sha256_of(WEIGHTS)
    blobs = puller.cache / "models--acme--tiny" / "blobs"
    if case.damage:
        puller.pull(*PATHS, **source)
        spoil(blobs / digest, *case.damage)
    if case.partial:
        blobs.mkdir(parents=True)
        (blobs / f"{digest}.incomplete").write_bytes(beginning(*case.partial))
    puller.hub.faults.extend(case.faults)
    ended = "right"
    try:
        assert_right(puller.pull(*PATHS, **source))
    except case.allowed as error:
        ended = f"{type(error).__name__}: {error}"
    assert_honest(puller)
    puller.hub.faults.clear()
    assert_right(puller.pull(*PATHS, **source))
    assert_honest(puller)
    assert not list(blobs.glob("*.incomplete"))
    assert sum(path.stat().st_size for path in blobs.iterdir()) == sum(
        len(CONTENT[path]) for path in PATHS
    )
    return ended


@pytest.mark.parametrize("case", ALL[::20], ids=lambda case: case.name)
def test_a_selection(puller: Puller, case: Case) -> None:
    survive(puller, case)


@pytest.mark.faults
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_all(puller: Puller, case: Case, tally: Callable[[str, int, int], None]) -> None:
    tally("faults of downloads and caches", 1, 0)
    survive(puller, case)
    tally("faults of downloads and caches", 0, 1)


@pytest.mark.faults
def test_there_are_many() -> None:
    assert len(ALL) >= 600
