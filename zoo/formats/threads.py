"""How many threads PyTorch computes a model with.

The numbers of a small model are so few that a second thread costs more than it does: the two wait
for each other, spinning, after every operation, and where a machine is busy for a long time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

SMALL = 20_000_000
"""Parameters up to which one thread is fastest."""


class _Process:
    """Who computes on one thread at this moment, and how many there were before."""

    def __init__(self) -> None:
        self.lock, self.mine = threading.Lock(), threading.local()
        self.inside, self.before = 0, 1


_process = _Process()


@contextmanager
def fitting_threads(parameters: int) -> Iterator[None]:
    """Have PyTorch compute on one thread within, when the model is small.

    The number is the process's, so it is put back on leaving, also where several threads of Python
    compute at once. Wrap one computation, not a stream: what runs between two pieces of it is
    someone else's.

    Args:
        parameters: of the model.
    """
    import torch

    if parameters > SMALL or hasattr(_process.mine, "within"):
        yield
        return
    now = torch.get_num_threads()  # and at its first call in a thread of Python it sets it too
    with _process.lock:
        if not _process.inside:
            _process.before = now
        alone = _process.before == 1
        _process.inside += not alone
    if alone:
        yield
        return
    _process.mine.within = True
    torch.set_num_threads(1)
    try:
        yield
    finally:
        del _process.mine.within
        with _process.lock:
            _process.inside -= 1
            torch.set_num_threads(_process.before)
