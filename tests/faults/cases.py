"""Hundreds of ways in which a pull can go wrong, each the same at every run.

A case says what is spoilt before or during a pull. Whatever it is, the pull must end with the
right bytes or with one of the errors that the case allows, and must leave nothing in the cache
under a digest that it does not have; and once the fault has gone, the next pull must succeed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from worlds.hub_world import BODY, CONTENT, REPO, TREE, WEIGHTS

from zoo.errors import Gated, IntegrityError, Offline, ZooError
from zoo.testing.loopback_hub import Fault

SIZE = len(CONTENT[WEIGHTS])
SMALL = "^GET /acme/tiny/resolve/.*config.json"
REVISION = f"^GET /api/models/{REPO}/revision"
HEAD = "^HEAD"
REQUESTS = {"revision": REVISION, "tree": TREE, "head": HEAD, "weights": BODY, "config": SMALL}


@dataclass(frozen=True)
class Case:
    """One way for a pull to go wrong.

    Args:
        name: what it is called in a test's output.
        faults: what the Hub does.
        damage: what was done to the file in the cache before: a kind and an offset.
        partial: the same of a file that has only come in part.
        allowed: errors that the pull may end with; none of them means that it must succeed.
        redirects, ranges: how the Hub serves.
        pinned: whether the recipe pins a commit; otherwise it follows a branch.
    """

    name: str
    faults: tuple[Fault, ...] = ()
    damage: tuple[str, int] | None = None
    partial: tuple[str, int] | None = None
    allowed: tuple[type[ZooError], ...] = ()
    redirects: bool = True
    ranges: bool = True
    pinned: bool = True


def cases() -> list[Case]:
    """All of them, in a fixed order."""
    found = [*_hang_ups(), *_answers(), *_flips(), *_rot(), *_partials(), *_mixtures()]
    assert len({case.name for case in found}) == len(found)
    return found


def _offsets(count: int) -> list[int]:
    """Offsets in the weights: both ends, the header's edges, and evenly between."""
    edges = [0, 1, 7, 8, 100, SIZE - 2, SIZE - 1]
    return sorted({*edges, *(SIZE * i // count for i in range(1, count))})


def _hang_ups() -> Iterator[Case]:
    for at in _offsets(18):
        for reset in (False, True):
            for redirects in (True, False):
                body = BODY if redirects else f"^GET /{REPO}/resolve/.*{WEIGHTS}"
                for ranges in (True, False):
                    name = f"{'reset' if reset else 'cut'} at {at}, {redirects=}, {ranges=}"
                    fault = Fault(body, cut_after=at, reset=reset)
                    yield Case(name, (fault,), redirects=redirects, ranges=ranges)


def _answers() -> Iterator[Case]:
    for what, match in REQUESTS.items():
        for status in (408, 429, 500, 502, 503, 504):
            for times in (1, 2):
                yield Case(
                    f"{times} x {status} on {what}",
                    (Fault(match, times=times, status=status),),
                    pinned=what != "revision",
                    # 408 and 504 on the Hub's own interface are for its client to judge
                    allowed=(Offline,) if what in ("revision", "tree", "head") else (),
                )
        for status in (400, 401, 403, 404, 410, 418, 451):
            yield Case(
                f"{status} on {what}",
                (Fault(match, status=status),),
                pinned=what != "revision",
                allowed=(ZooError,),
            )
        page = b"<html>please log in</html>"
        for body in (b"", b"{}", b"[]", b"null", page, page * 1000, b"\xff\xfe" * 9, b"0" * SIZE):
            yield Case(
                f"{body[:6]!r} x {len(body)} in place of {what}",
                (Fault(match, page=body),),
                pinned=what != "revision",
                allowed=(ZooError,),
            )
    for times in (1, 99):
        for what in ("tree", "head", "weights", "config"):
            yield Case(
                f"403 {times} times on {what}",
                (Fault(REQUESTS[what], times=times, status=403),),
                allowed=(Gated, Offline),
            )


def _flips() -> Iterator[Case]:
    for at in _offsets(30):
        yield Case(f"byte {at} flipped once", (Fault(BODY, flip_at=at),))
        yield Case(
            f"byte {at} flipped always",
            (Fault(BODY, times=99, flip_at=at),),
            allowed=(IntegrityError,),
        )
    for at in range(len(CONTENT["config.json"])):
        yield Case(f"byte {at} of a small file flipped", (Fault(SMALL, flip_at=at),))


def _rot() -> Iterator[Case]:
    for at in _offsets(12):
        for kind in ("flip", "cut", "zero", "longer", "old time"):
            yield Case(f"the cached file: {kind} at {at}", damage=(kind, at))


def _partials() -> Iterator[Case]:
    for at in _offsets(12):
        for kind in ("right", "flip", "zero", "garbage"):
            for ranges in (True, False):
                name = f"{at} bytes of before: {kind}, {ranges=}"
                yield Case(name, partial=(kind, at), ranges=ranges)
    yield Case("more bytes of before than there are", partial=("longer", SIZE))


def _mixtures() -> Iterator[Case]:
    for at in _offsets(8):
        for kind in ("right", "flip"):
            for fault in (
                Fault(BODY, cut_after=at),
                Fault(BODY, cut_after=at, reset=True),
                Fault(BODY, flip_at=SIZE - 1),
                Fault(BODY, status=503),
            ):
                name = f"{kind} {at} bytes of before, then {_described(fault)}"
                # A flip after a wrong beginning is the first full download that is wrong.
                yield Case(name, (replace(fault),), partial=(kind, at))


def _described(fault: Fault) -> str:
    if fault.status:
        return str(fault.status)
    if fault.flip_at is not None:
        return f"a flip at {fault.flip_at}"
    return f"{'a reset' if fault.reset else 'a cut'} after {fault.cut_after}"


def spoil(path: Path, kind: str, at: int) -> None:
    """Damage a file in one of the ways of a case."""
    data = bytearray(path.read_bytes())
    stat = path.stat()
    if kind in ("flip", "old time"):
        data[min(at, len(data) - 1)] ^= 0xFF
    elif kind == "cut":
        del data[at:]
    elif kind == "zero":
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        data[at : at + 1] = b"\x01"
    elif kind == "longer":
        data += b"more"
    path.write_bytes(data)
    if kind == "old time":
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def beginning(kind: str, at: int) -> bytes:
    """What an earlier try may have left of the weights."""
    whole = CONTENT[WEIGHTS]
    if kind == "longer":
        return whole + b"more"
    if kind == "zero":
        return bytes(at)
    if kind == "garbage":
        return bytes(i * 37 % 251 for i in range(at))
    data = bytearray(whole[:at])
    if kind == "flip" and data:
        data[at // 2] ^= 0xFF
    return bytes(data)
