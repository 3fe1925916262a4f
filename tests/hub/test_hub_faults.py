"""What a pull makes of a bad network, a bad disk and a cache that rotted."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import namedtuple

import pytest
from huggingface_hub import constants
from worlds.hub_world import (
    BODY,
    CONTENT,
    PATHS,
    REPO,
    TREE,
    WEIGHTS,
    Puller,
    assert_right,
    pinned_file,
    sha256_of,
    write,
)

from zoo.errors import Gated, IntegrityError, NoRoom, Offline
from zoo.hub import transfer
from zoo.testing.loopback_hub import Fault

Usage = namedtuple("Usage", "total used free")


def test_a_flipped_byte_is_noticed_and_fetched_again(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, flip_at=1000))
    assert_right(puller.pull(*PATHS))
    assert len(puller.hub.seen(BODY)) == 2
    assert "fetching it again" in puller.notes[0]
    assert len(puller.blobs()) == len(PATHS)


def test_a_small_file_is_checked_as_well(puller: Puller) -> None:
    puller.hub.faults.append(Fault("^GET .*/config.json", flip_at=3))
    assert_right(puller.pull())
    assert "git sha1" in puller.notes[0]


def test_wrong_bytes_are_never_left_behind(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, times=9, flip_at=1000))
    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"{WEIGHTS}' has the sha256 .*, expected "):
            puller.pull(*PATHS)
        assert sha256_of(WEIGHTS) not in {blob.name for blob in puller.blobs()}
        assert not list(puller.cache.rglob(f"snapshots/*/{WEIGHTS}"))
    puller.hub.faults.clear()
    assert_right(puller.pull(*PATHS))


def test_a_rotted_file_in_the_cache_is_replaced(puller: Puller) -> None:
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    blob.write_bytes(b"\xff" + blob.read_bytes()[1:])
    puller.forget()
    assert_right(puller.pull(*PATHS))
    assert len(puller.hub.seen(BODY)) == 1
    assert len(puller.notes) == 1


def test_a_truncated_file_in_the_cache_is_replaced(puller: Puller) -> None:
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    os.truncate(blob, 1000)
    assert_right(puller.pull(*map(pinned_file, PATHS)))
    assert f"has 1000 bytes, expected {len(CONTENT[WEIGHTS])}" in puller.notes[0]


def test_a_rotted_file_is_not_returned_without_the_network(
    puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate((puller.pull(*PATHS) / WEIGHTS).resolve(), 1000)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Offline, match="offline mode is on"):
        puller.pull(*PATHS)
    assert sha256_of(WEIGHTS) not in {blob.name for blob in puller.blobs()}


def test_a_shared_blob_is_discarded_to_its_end(puller: Puller) -> None:
    """A blob may be a link itself, into a store that several repositories share."""
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    shared = puller.cache / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"rotten")
    blob.unlink()
    blob.symlink_to(shared)
    assert_right(puller.pull(*PATHS))
    assert not shared.exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(BODY, cut_after=200_000, reset=True), "the connection failed"),
        (Fault(BODY, status=503), "it answered 503"),
        (Fault(TREE, times=2, status=503), ""),
        (Fault("^GET /api/models/acme/tiny/revision", times=2, status=503), "it answered 503"),
        (Fault(BODY, cut_after=200_000), ""),
        (Fault(BODY, page=b"<html>log in</html>"), "wrong length"),
        (Fault("^HEAD", status=503), ""),
    ],
    ids=lambda value: str(getattr(value, "match", "")),
)
def test_a_fault_that_passes_is_survived(puller: Puller, fault: Fault, said: str) -> None:
    puller.hub.faults.append(fault)
    assert_right(puller.pull(*PATHS, branch="main"))
    assert fault.times == 0
    assert said in " ".join(puller.notes)


def test_a_fault_that_stays_ends_with_its_status(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, times=99, status=503))
    with pytest.raises(Offline, match="it answered 503"):
        puller.pull(*PATHS)
    assert len(puller.notes) == 2


def test_a_login_page_in_place_of_the_hub(puller: Puller) -> None:
    puller.hub.faults.append(Fault("", times=99, page=b"<html>log in</html>"))
    with pytest.raises(Offline) as caught:
        puller.pull(*PATHS, branch="main")
    assert "login page" in str(caught.value.hint)


def test_a_hub_that_is_down(puller: Puller) -> None:
    puller.hub.__exit__()
    with pytest.raises(Offline, match=f"'{REPO}' .*cannot be fetched from {puller.hub.url}"):
        puller.pull(*PATHS, branch="main")


def test_a_hub_that_is_down_is_not_needed_for_what_is_cached(puller: Puller) -> None:
    puller.pull(*PATHS, branch="main")
    puller.hub.__exit__()
    assert_right(puller.pull(*PATHS, branch="main"))


def test_offline_mode(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Offline, match=f"offline mode is on.*'{REPO}'"):
        puller.pull(*PATHS)
    assert puller.hub.requests == []


def test_offline_mode_with_a_file_too_few(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    puller.pull("config.json", branch="main")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_right(puller.pull("config.json", branch="main"), ("config.json",))
    with pytest.raises(Offline, match=f"offline mode is on.*'{REPO}'"):
        puller.pull(*PATHS, branch="main")


def test_a_small_disk_is_refused_before_the_first_byte(
    puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 100_000))
    with pytest.raises(NoRoom, match=r"needs 512\.1 kB more on disk.* has 100\.0 kB free"):
        puller.pull(*PATHS)
    assert not puller.hub.seen("^GET .*/resolve/")
    puller.pull("config.json")


def test_what_is_cached_needs_no_room(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    puller.pull(*PATHS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 0))
    assert_right(puller.pull(*PATHS))


def test_a_disk_that_fills_up(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(self: object, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(transfer._Body, "write", fill)
        with pytest.raises(NoRoom, match=f"the disk filled up while '{REPO}'"):
            puller.pull(*PATHS)
    assert_right(puller.pull(*PATHS))


@pytest.mark.parametrize("request_of", [BODY, TREE])
def test_a_hub_may_ask_us_to_wait(puller: Puller, request_of: str) -> None:
    puller.hub.faults.append(Fault(request_of, status=429, retry_after=1))
    began = time.monotonic()
    assert_right(puller.pull(*PATHS))
    assert time.monotonic() - began >= 1
    assert "it answered 429; trying again in 1 s" in puller.notes[0]


@pytest.mark.parametrize("request_of", [BODY, TREE])
def test_a_hub_that_asks_for_too_much_is_down(puller: Puller, request_of: str) -> None:
    puller.hub.faults.append(Fault(request_of, status=503, retry_after=3600))
    began = time.monotonic()
    with pytest.raises(Offline, match="it answered 503"):
        puller.pull(*PATHS)
    assert time.monotonic() - began < 5


def test_several_files_come_at_once(puller: Puller) -> None:
    names = [f"part{number}.txt" for number in range(4)]
    write(puller.hub.root / REPO / "main", {name: name.encode() * 10_000 for name in names})
    puller.hub.faults.append(Fault("GET .*/part", times=4, stall=1))
    began = time.monotonic()
    folder = puller.pull(*names)
    assert time.monotonic() - began < 3
    assert all((folder / name).read_bytes() == name.encode() * 10_000 for name in names)


def test_one_file_that_cannot_come_stops_the_others(puller: Puller) -> None:
    puller.hub.faults.append(Fault("GET .*config.json", times=99, status=403))
    puller.hub.faults.append(Fault(BODY, rate=50_000))
    began = time.monotonic()
    with pytest.raises(Gated):
        puller.pull(*PATHS)
    assert time.monotonic() - began < 5
    puller.hub.faults.clear()
    assert_right(puller.pull(*PATHS))
