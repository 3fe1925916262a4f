"""Processes of `zoo` that begin with the large libraries imported, which takes seconds each time.

A server imports them once and forks: what it runs is a process of its own, from `zoo.cli.start` on.
It imports nothing of zoo, whose modules are read again each time, like the plugins that are there.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import weakref
from importlib import import_module, reload
from pathlib import Path
from typing import TextIO

LIBRARIES = (
    "coremltools",
    "coremltools.optimize.coreml",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.unets.unet_2d_condition",
    "mlx_lm.models.llama",
    "model_signing",
    "torch",
    "torch.export",
    "transformers.models.clip.modeling_clip",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mistral.modeling_mistral",
    "transformers.models.whisper.modeling_whisper",
)


class Warm:
    """The server, started once for all workers of a run; it imports when the first one connects."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.address = str(Path(self._folder.name, "socket"))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_"))}
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.address)
            listening.listen()
            number = listening.fileno()
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(number)], pass_fds=[number],
                env={**env, "HF_HUB_OFFLINE": "1"}, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()
        self._folder.cleanup()


class Client:
    """A worker's connection to the server.

    Args:
        address: `Warm.address`.
    """

    def __init__(self, address: str) -> None:
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(address)
            self._server = connected.makefile("rw")

    def run(
        self,
        program: str,
        arguments: list[str],
        env: dict[str, str],
        cwd: str | Path | None = None,
        input: str | bytes = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, in a process of its own.

        Args:
            program: Python code.
            arguments: `sys.argv` from its second place on.
            env: the environment of the program.
            cwd: the folder to run it in.
            input: what it reads from stdin.
        """
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder, name) for name in ("in", "out", "err")]
            streams[0].write_bytes(input.encode() if isinstance(input, str) else input)
            request = {
                "program": program, "arguments": arguments, "env": env,
                "cwd": str(cwd or os.getcwd()), "streams": [str(path) for path in streams],
            }  # fmt: skip
            print(json.dumps(request), file=self._server, flush=True)
            code = int(self._server.readline())
            return subprocess.CompletedProcess(
                arguments, code, *(path.read_text() for path in streams[1:])
            )

    def close(self) -> None:
        self._server.close()


def serve(listening: socket.socket) -> None:
    """Fork a process for each worker that connects, until stdin is closed."""
    while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
        connected, _ = listening.accept()
        import_libraries()
        if os.fork() == 0:
            listening.close()
            answer(connected.makefile("rw"))
            return
        connected.close()


def import_libraries() -> None:
    """Import them, unless that was done, and leave them to no garbage collection."""
    for name in LIBRARIES:
        import_module(name)
    for one in weakref.finalize._registry:
        one.atexit = False  # PyTorch takes its operators apart, one by one
    gc.collect()
    gc.freeze()


def answer(client: TextIO) -> None:
    """Answer each request of a worker with the exit code of its process."""
    for line in client:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            become(request)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=client, flush=True)


def become(request: dict) -> None:
    """Be the process that was asked for."""
    from huggingface_hub import constants

    for number, path in enumerate(request["streams"]):
        stream = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:0] = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    reload(constants)  # which are read from the environment, at import
    sys.argv = ["zoo", *request["arguments"]]
    code: object = None
    try:
        exec(compile(request["program"], "<program>", "exec"), {"__name__": "__main__"})
    except SystemExit as left:
        code = left.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code)


def leave(code: object) -> None:
    """End like Python, except for taking every imported module apart, which takes a second."""
    import atexit
    import threading

    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        serve(listening)
