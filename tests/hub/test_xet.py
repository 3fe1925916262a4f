"""Transfer by Xet, with the real `hf-xet` against a store on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from worlds.hub_world import BODY, PATHS, WEIGHTS, Puller, assert_right, sha256_of

from zoo.testing.loopback_hub import Fault


@pytest.fixture
def offered(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> Puller:
    """A Hub that offers Xet, to a client that has it."""
    puller.hub.xet = True
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.delenv("SSL_CERT_DIR")  # hf-xet does not go on without authorities
    return puller


def test_large_files_come_by_xet(offered: Puller) -> None:
    assert_right(offered.pull(*PATHS))
    assert offered.hub.seen("GET /v1/reconstructions/")
    assert not offered.hub.seen(BODY)
    assert sorted(blob.name for blob in offered.blobs() if len(blob.name) == 64) == [
        sha256_of(WEIGHTS)
    ]
    done = [(e.done, e.total) for e in offered.events if e.state == "update"]
    assert done[-1][0] == done[-1][1]
    assert offered.notes == []


def test_what_xet_spoils_comes_by_http(offered: Puller) -> None:
    offered.hub.faults.append(Fault("GET /xet-object/", flip_at=5000))
    assert_right(offered.pull(*PATHS))
    assert len(offered.hub.seen(BODY)) == 1
    assert "fetching it again by HTTP" in offered.notes[0]
    assert len(offered.blobs()) == len(PATHS)


def test_a_store_that_cannot_be_reached_is_not_waited_for(offered: Puller) -> None:
    offered.hub.xet_store = "http://127.0.0.1:9"
    began = time.monotonic()
    assert_right(offered.pull(*PATHS))
    assert time.monotonic() - began < 10
    assert "Xet failed (ConnectError); falling back to HTTP" in " ".join(offered.notes)


def test_what_http_began_http_finishes(offered: Puller) -> None:
    blobs = offered.cache / "models--acme--tiny" / "blobs"
    blobs.mkdir(parents=True)
    whole = (offered.hub.root / "acme/tiny/main" / WEIGHTS).read_bytes()
    (blobs / f"{sha256_of(WEIGHTS)}.incomplete").write_bytes(whole[:1000])
    assert_right(offered.pull(*PATHS))
    assert [request.range for request in offered.hub.seen(BODY)] == ["bytes=1000-"]


def test_the_token_of_the_hub_does_not_reach_the_store(
    offered: Puller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", offered.hub.token)
    assert_right(offered.pull(*PATHS))
    assert not [r for r in offered.hub.seen("/xet-object/") if r.authorized]
