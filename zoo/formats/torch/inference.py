"""How a PyTorch module is run: without gradients, and on as many threads as suit its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from zoo.formats.threads import fitting_threads

_counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


@contextmanager
def computing(module: Any) -> Iterator[None]:
    """Run a module in `torch.inference_mode`, and a small one on a single thread.

    PyTorch's number of threads is the process's, and gradients are the thread's: both are put back
    on leaving. So wrap each computation, and never the `yield` of a stream.

    Args:
        module: a `torch.nn.Module`; its parameters decide
            (`torch.set_num_threads`, https://docs.pytorch.org/docs/stable/generated/torch.set_num_threads.html).
    """
    import torch

    if module not in _counts:
        _counts[module] = sum(parameter.numel() for parameter in module.parameters())
    with torch.inference_mode(), fitting_threads(_counts[module]):
        yield
