"""The 14 faults that a download may meet, each as a question to a client: did it do right?

python tests/faults/fourteen.py    prints the table for zoo and for huggingface_hub
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.world import BODY, Client, World
from zoo.testing.loopback_hub import Fault

MIB = 1 << 20
SIZE = 48 * MIB

Check = Callable[[World, Client], bool]


def clean(world: World, client: Client) -> bool:
    return world.right(client.pull(world))


def closed_once(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, cut_after=world.at(20)))
    return world.right(client.pull(world))


def reset_once(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, cut_after=world.at(20), reset=True))
    return world.right(client.pull(world))


def unavailable_once(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, status=503))
    return world.right(client.pull(world))


def byte_flipped(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, flip_at=world.at(20)))
    return all(world.harmless(client.pull(world)) for _ in range(2))


def killed_and_resumed(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, rate=1.25 * world.size))
    had = client.kill_half_way(world)
    world.hub.requests.clear()
    right = world.right(client.pull(world))
    ranges = [request.range or "" for request in world.hub.seen(BODY)]
    return right and ranges == [f"bytes={had}-"]


def killed_without_ranges(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, rate=1.25 * world.size))
    client.kill_half_way(world)
    world.hub.ranges = False
    try:
        return world.right(client.pull(world))
    finally:
        world.hub.ranges = True


def cache_rots(world: World, client: Client) -> bool:
    client.pull(world)
    for blob in world.blobs():
        before = blob.stat()
        _flip(blob, world.at(20))
        os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
    return world.harmless(client.pull(world))


def cache_truncated(world: World, client: Client) -> bool:
    client.pull(world)
    for blob in world.blobs():
        os.truncate(blob, world.at(20))
    return world.harmless(client.pull(world))


def four_at_once(world: World, client: Client) -> bool:
    running = [client.start(world) for _ in range(4)]
    said = [client.finish(process) for process in running]
    return all(map(world.right, said)) and len(world.hub.seen(BODY)) == 1


def disk_too_small(world: World, client: Client) -> bool:
    with small_disk(world.hf, world.at(24)):
        said = client.pull(world)
    return said.code != 0 and not world.hub.seen(BODY)


def captive_portal(world: World, client: Client) -> bool:
    portal = Fault("", times=10**6, page=b"<html>please log in</html>" * 1000)
    world.hub.faults.append(portal)
    during = client.pull(world)
    world.hub.faults.clear()
    return during.code != 0 and world.right(client.pull(world))


def partial_rots(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, rate=1.25 * world.size))
    client.kill_half_way(world)
    for blob in world.blobs():
        _flip(blob, world.at(10))
    return world.right(client.pull(world))


def upstream_changes(world: World, client: Client) -> bool:
    world.hub.faults.append(Fault(BODY, rate=1.25 * world.size))
    client.kill_half_way(world)
    world.write_source(seed=2)
    try:
        return world.right(client.pull(world))
    finally:
        world.write_source(seed=1)


FAULTS: dict[str, Check] = {
    "01 clean": clean,
    "02 connection closed once": closed_once,
    "03 TCP reset once": reset_once,
    "04 one 503 on the body": unavailable_once,
    "05 one byte flipped, size unchanged": byte_flipped,
    "06 SIGKILL at half: the next run resumes": killed_and_resumed,
    "07 SIGKILL, then a server without Range": killed_without_ranges,
    "08 one byte rots in the cache": cache_rots,
    "09 cached file truncated": cache_truncated,
    "10 four processes: one download": four_at_once,
    "11 disk too small: refused before the body": disk_too_small,
    "12 captive portal": captive_portal,
    "13 the partial file rots": partial_rots,
    "14 upstream changed between tries": upstream_changes,
}


def judge(world: World, name: str, client: Client) -> bool:
    """Whether a client does right when it meets one of the faults, in an empty home."""
    world.empty()
    return FAULTS[name](world, client)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes at `folder`, which needs the right to mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder) / "disk", MIB):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def table(results: dict[str, dict[str, bool]]) -> list[str]:
    """The lines of the table: a fault each, and the sums."""
    clients = list(next(iter(results.values())))
    lines = [f"{'fault':<46}" + "".join(f"{client:>18}" for client in clients)]
    for name, passed in results.items():
        cells = ("right" if passed[client] else "WRONG" for client in clients)
        lines.append(f"{name:<46}" + "".join(f"{cell:>18}" for cell in cells))
    sums = (sum(passed[client] for passed in results.values()) for client in clients)
    lines.append(f"{'':<46}" + "".join(f"{f'{n} of {len(results)}':>18}" for n in sums))
    return lines


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def main() -> None:
    clients = [Client("zoo"), Client("huggingface_hub")]
    results: dict[str, dict[str, bool]] = {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), SIZE)
        for name in FAULTS:
            began = time.monotonic()
            results[name] = {client.name: judge(world, name, client) for client in clients}
            print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        world.close()
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
