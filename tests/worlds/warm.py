"""Processes of `zoo` that begin with the large libraries imported, which takes seconds each time.

A server imports them once and forks: what it runs is a process of its own, from `zoo.cli.start` on.
It imports nothing of zoo, whose modules are read again each time, like the plugins that are there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
    """A server that runs Python programs, each in a process of its own.

    Args:
        env: the environment of the imports.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def run(
        self,
        program: str,
        arguments: list[str],
        env: dict[str, str],
        cwd: str | Path | None = None,
        input: str | bytes = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end.

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
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(
                arguments, code, *(path.read_text() for path in streams[1:])
            )

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()


def serve() -> None:
    """Answer each request on stdin with the exit code of its process."""
    import gc
    from importlib import import_module

    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for line in requests:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            become(request)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def become(request: dict) -> None:
    """Be the process that was asked for."""
    from importlib import reload

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
    serve()
