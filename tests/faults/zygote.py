"""The command line in a process of its own, forked from one that has imported it already.

A command takes a few milliseconds in place of a third of a second, which is what makes hundreds of
kills possible. The child is a real process: it can be killed at any of its file operations.

    python zygote.py SCRATCH [MODULE...]    one JSON request a line, answered by one JSON line

The modules are imported beforehand, for all commands.

Besides the verbs of `zoo` there is `load REF BUILD`, which loads a model and calls it.

A request: {"args": [...], "env": {...}, "kill_at": N, "kill_bytes": N, "within": path}. With
`kill_at` the child kills itself by SIGKILL just before its Nth file operation below `within`; with
`kill_bytes`, once so many bytes of a download were written. With `blind` the child believes that
the disk has room for everything, and meets its end while it writes; with `no_flock` every `flock`
succeeds and locks nothing, as on some network file systems. An answer: {"code", "out", "err",
"operations"}, where `code` is negative for a signal, as in `subprocess`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

OPERATIONS = frozenset(
    (
        "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink",
        "os.truncate", "os.utime", "os.chmod", "os.listdir", "os.scandir", "shutil.rmtree",
        "shutil.copyfile", "fcntl.flock", "socket.connect",
    )
)  # fmt: skip
"""Audit events (https://docs.python.org/3/library/audit_events.html) that count."""


class Zygote:
    """The forking process, and requests to it.

    Args:
        scratch: a folder for the output of commands.
        python: the interpreter whose packages count.
        imports: heavy modules that the commands need, to be imported once.
    """

    def __init__(
        self, scratch: Path, python: Path = Path(sys.executable), imports: tuple[str, ...] = ()
    ) -> None:
        self.scratch = scratch
        self.process = subprocess.Popen(
            [str(python), __file__, str(scratch), *imports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *args: str, env: dict[str, str], **options: Any) -> dict[str, Any]:
        """Run one command line to its end, or to where it kills itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"args": args, "env": env, **options}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def _count(request: dict[str, Any], report: Path) -> None:
    """Count this process's file operations, and kill it before the one asked for."""
    within, kill_at = request["within"], request.get("kill_at")
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in OPERATIONS:
            return
        if event != "socket.connect" and not any(
            isinstance(a, str | bytes | os.PathLike) and within in os.fsdecode(a)
            for a in arguments[:2]
        ):
            return
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)

    import atexit

    atexit.register(lambda: report.write_text(str(count)))


def _kill_after(count: int) -> None:
    """Kill this process once so many bytes of downloads are on disk."""
    from zoo.hub import transfer

    plain, written = transfer._Body.write, 0

    def write(self: Any, chunk: bytes) -> None:
        nonlocal written
        for start in range(0, len(chunk), 4096):
            plain(self, chunk[start : start + 4096])
            written += len(chunk[start : start + 4096])
            if written >= count:
                os.kill(os.getpid(), signal.SIGKILL)

    transfer._Body.write = write  # type: ignore[method-assign]


def _load(ref: str, build: str) -> int:
    """What `zoo.load` is to a program: a model that says what it hears."""
    import zoo

    print(zoo.load(ref, build=build)("x"))
    return 0


def _child(request: dict[str, Any], scratch: Path) -> int:
    for name, stream in (("out", 1), ("err", 2)):
        os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    env = request["env"]
    os.environ.clear()
    os.environ.update(env)
    for folder in env.get("PYTHONPATH", "").split(os.pathsep):
        sys.path.insert(0, folder)
    from huggingface_hub import constants

    from zoo.cli import app
    from zoo.hub import transfer

    endpoint = env.get("HF_ENDPOINT", constants.ENDPOINT)
    constants.ENDPOINT = endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_CACHE = f"{env['HF_HOME']}/hub"
    constants.HF_TOKEN_PATH = f"{env['HF_HOME']}/token"
    constants.HF_HUB_OFFLINE = env.get("HF_HUB_OFFLINE") == "1"
    transfer.PAUSES = (0.01, 0.01, 0.01)
    if request.get("no_flock"):
        import fcntl

        fcntl.flock = lambda handle, operation: None  # type: ignore[assignment]
    if request.get("blind"):
        import collections
        import shutil

        usage = collections.namedtuple("usage", "total used free")
        shutil.disk_usage = lambda path: usage(2**50, 0, 2**50)
    if request.get("kill_bytes") is not None:
        _kill_after(request["kill_bytes"])
    if request.get("within"):
        _count(request, scratch / "operations")
    args = list(request["args"])
    code = _load(*args[1:]) if args[0] == "load" else app.run(args)
    sys.stdout.flush()
    import atexit

    atexit._run_exitfuncs()
    return int(code)


def _serve(scratch: Path, imports: list[str]) -> None:
    import zoo.cli.app
    import zoo.hooks.defaults
    import zoo.hub.repository  # noqa: F401

    for name in imports:
        import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        for name in ("out", "err", "operations"):
            (scratch / name).unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = _child(request, scratch)
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        operations = scratch / "operations"
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "out": (scratch / "out").read_text(errors="replace"),
            "err": (scratch / "err").read_text(errors="replace"),
            "operations": int(operations.read_text()) if operations.exists() else None,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2:])
