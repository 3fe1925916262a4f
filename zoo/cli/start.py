"""The entry point of the `zoo` command: quick to import, and ready for an interrupt at any moment.

What is here runs before the command line is imported, which takes some 50 ms: Ctrl-C in that time
is no traceback. Streams that were closed are opened on the null device, so that no file of ours
gets their number and nothing is written into it by mistake.
"""

from __future__ import annotations

import gc
import os
import sys

USAGE, INTERRUPTED = 2, 130


def main() -> None:
    """Run the command line of this process, and end it."""
    if sys.platform == "win32":
        print("error: zoo runs on macOS and Linux, not on Windows", file=sys.stderr)
        print("hint: use it in WSL, https://learn.microsoft.com/windows/wsl", file=sys.stderr)
        sys.exit(USAGE)
    try:
        _open_standard_streams()
        _keep_stdout_for_data()
        gc.disable()  # until a command begins that works for longer than a moment
        from zoo.display import interrupt

        interrupt.watch()
        from zoo.cli.app import main as run

        run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("zoo: interrupted", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)


def _keep_stdout_for_data() -> None:
    """Write our own output where stdout is, and what libraries in C write there to stderr."""
    ours = sys.stdout
    sys.stdout = os.fdopen(
        os.dup(1),
        "w",
        buffering=1 if ours.isatty() else -1,
        encoding=ours.encoding,
        errors=ours.errors,
    )
    os.dup2(2, 1)


def _open_standard_streams() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        mode = "r" if number == 0 else "w"
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
