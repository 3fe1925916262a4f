"""Keep what Apple's tools print off the streams of the program."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from tempfile import TemporaryFile

CHATTER = b"ODIE ["
"""What the lines begin with that the runtime writes to the process's stderr."""

_one_at_a_time = threading.Lock()


@contextmanager
def quiet_runtime() -> Iterator[None]:
    """Drop the lines of the runtime's own log; whatever else is written meanwhile is passed on.

    The runtime is native code, so it is the process's own stderr that is replaced for the moment.
    """
    with _one_at_a_time, TemporaryFile() as caught:
        sys.stderr.flush()
        before = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            caught.seek(0)
            for line in caught:
                if not line.startswith(CHATTER):
                    os.write(before, line)
            os.close(before)


@contextmanager
def quiet_tools() -> Iterator[None]:
    """Drop the progress bars and the warnings of the converter; what fails is raised."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield
