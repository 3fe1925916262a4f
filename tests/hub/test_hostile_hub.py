"""A hub, a portal or a proxy that is hostile or broken for good: bounded, and said as it is."""

from __future__ import annotations

import os
import resource
import socket
import threading
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from faults.boundaries import answering
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from worlds.hub_world import BODY, PATHS, REPO, TREE, Puller, assert_right

from zoo.errors import Gated, NotFound, Offline, UsageError
from zoo.hub import client, explain, patience, transfer
from zoo.hub.api import HubApi
from zoo.progress import Progress
from zoo.testing.loopback_hub import Fault

REVISION = f"^GET /api/models/{REPO}/revision"
PAGE = b"<html>log in</html>"


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(BODY, times=10**6, unsized=True, page=PAGE)],
        [Fault("^GET .*/config.json", times=10**6, unsized=True, page=b"{")],
        [Fault(BODY, 10**6, status=416, ranged=True), Fault(BODY, 10**6, cut_after=300_000)],
        [Fault(BODY, times=10**6, cut_after=1)],
        [Fault(BODY, times=10**6, location="/again")],
    ],
    ids=["portal", "small file", "alternating 416", "a byte at a time", "a redirect"],
)
def test_a_fault_that_stays_ends_after_a_few_tries(puller: Puller, faults: list[Fault]) -> None:
    puller.hub.faults += faults
    with pytest.raises((Offline, NotFound)):
        puller.pull(*PATHS)
    assert len(puller.hub.requests) < 30
    puller.hub.faults.clear()
    assert_right(puller.pull(*PATHS))


def test_slow_progress_is_progress(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    """More cuts than tries, each after a good part of the file: it arrives all the same."""
    monkeypatch.setattr(transfer, "LEAST_PROGRESS", 50_000)
    puller.hub.faults.append(Fault(BODY, times=6, cut_after=70_000))
    assert_right(puller.pull(*PATHS))


@pytest.mark.parametrize(
    ("match", "status", "error", "said"),
    [
        (REVISION, 404, NotFound, "no such repository, revision or file"),
        (REVISION, 410, NotFound, "it answered 410"),
        (REVISION, 401, Gated, "refuses your token"),
        (TREE, 403, Gated, "refuses your token"),
        (BODY, 404, NotFound, "no such"),
        (BODY, 403, Gated, "refuses"),
    ],
)
def test_a_final_answer_is_not_asked_for_again(
    puller: Puller, match: str, status: int, error: type[Exception], said: str
) -> None:
    puller.hub.faults.append(Fault(match, times=10**6, status=status))
    with pytest.raises(error, match=said):
        puller.pull(*PATHS, branch="main")
    assert len(puller.hub.seen(match)) == 1
    assert puller.notes == []


@pytest.mark.parametrize("match", [REVISION, BODY])
def test_the_text_of_an_error_is_read_to_a_limit(puller: Puller, match: str) -> None:
    puller.hub.faults.append(
        Fault(match, times=10**6, status=404, endless=True, page=bytes(1 << 20))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(NotFound):
        puller.pull(*PATHS, branch="main")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10  # kB


def test_the_headers_of_an_error_may_hold_any_bytes() -> None:
    answer = b"HTTP/1.1 400 Bad\r\nX-Error-Message: \x1b]0;a\x9b31m\r\nContent-Length: 2\r\n\r\n{}"
    with answering(answer) as address, pytest.raises(HfHubHTTPError) as caught:
        HubApi(address, REPO, Progress("look")).commit("main")
    told = explain.explain(caught.value, REPO, "main", address)
    assert isinstance(told, Offline)
    assert "it answered 400" in str(told)


def test_interim_responses_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST_BEGINNING", 0.2)
    monkeypatch.setattr(transfer, "PAUSES", (0.0,))
    ends = threading.Event()

    def serve(server: socket.socket) -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while not ends.is_set():
                    connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(httpx2.ReadTimeout, match="no answer began in"):
            HubApi(address, REPO, Progress("look")).commit("main")
        ends.set()
        thread.join(5)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:99999/x", "http://[::1", "/x\x01", "file:///etc/passwd", "//"]
)
def test_a_redirect_to_nowhere(puller: Puller, location: str) -> None:
    puller.hub.faults.append(Fault(BODY, times=10**6, location=location))
    with pytest.raises((Offline, NotFound)):
        puller.pull(*PATHS)


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "ftp://x", "nonsense", "http://"])
def test_an_address_of_the_hub_that_is_none(
    puller: Puller, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT is"):
        puller.pull(*PATHS)


def test_a_token_that_cannot_be_sent(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_SECRÉT")
    with pytest.raises(UsageError, match="the token for the Hub cannot be used") as caught:
        puller.pull(*PATHS)
    assert "SECR" not in str(caught.value)


def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def session() -> None:
        raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed")

    monkeypatch.setattr("huggingface_hub.utils.get_session", session)
    with pytest.raises(UsageError, match="proxy") as caught:
        client.session()
    assert "socksio" in (caught.value.hint or "")


def test_a_link_in_the_cache_is_not_written_through(puller: Puller, tmp_path: Path) -> None:
    """Neither the partial file, nor a blob, nor a file of a snapshot leads out of the cache."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"P" * 2000)
    folder = puller.pull(*PATHS)
    blob = (folder / PATHS[0]).resolve()
    for victim in (blob.with_name(f"{blob.name}.incomplete"), blob, folder / PATHS[0]):
        blob.unlink(missing_ok=True)
        victim.unlink(missing_ok=True)
        victim.symlink_to(precious)
        assert_right(puller.pull(*PATHS))
        assert precious.read_bytes() == b"P" * 2000
        assert (folder / PATHS[0]).resolve() == blob


def test_a_partial_file_with_another_name_is_not_written_into(
    puller: Puller, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"P" * 2000)
    blob = (puller.pull(*PATHS) / PATHS[0]).resolve()
    blob.unlink()
    os.link(precious, blob.with_name(f"{blob.name}.incomplete"))
    assert_right(puller.pull(*PATHS))
    assert precious.read_bytes() == b"P" * 2000


def test_a_snapshot_that_is_a_link_is_refused(puller: Puller, tmp_path: Path) -> None:
    folder = puller.pull(*PATHS)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    (elsewhere / PATHS[1]).unlink()
    before = sorted(elsewhere.iterdir())
    with pytest.raises(Exception, match="is, or leads through, a link"):
        puller.pull(*PATHS)
    assert sorted(elsewhere.iterdir()) == before
