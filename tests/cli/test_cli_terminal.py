"""What a model writes, on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from zoo.cli.verbs import run

ZOO = str(Path(sys.executable).parent / "zoo")
STEERING = "\x1b]0;owned\x07hi\u202e"


def test_a_model_cannot_steer_the_terminal_that_it_writes_to(sandbox):
    sandbox.echo()
    piped = sandbox.zoo("run", "echo", STEERING, "-q")
    assert STEERING in piped.stdout
    text = in_terminal(sandbox, "run", "echo", STEERING, "-q")
    assert "hi" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def in_terminal(sandbox, *arguments, **settings):
    """What `zoo` writes to stdout where that is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [ZOO, *arguments], env=sandbox.env | settings, stdout=theirs,
        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # Linux ends a terminal whose other side is closed with EIO
        os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()


def test_a_pipe_without_end_is_refused(sandbox, monkeypatch):
    sandbox.echo()
    with open("/dev/zero", "rb") as endless:
        done = sandbox.python(
            "import sys\nfrom zoo.cli.verbs import run\nrun.LARGEST_INPUT = 5_000_000\n"
            "from zoo.cli import app\nsys.exit(app.run(['run', 'echo', '-']))",
            stdin=endless,
        )
    assert done.returncode == 2
    assert "the input on stdin has over 5.0 MB" in done.stderr
    assert run.LARGEST_INPUT == 1 << 30
