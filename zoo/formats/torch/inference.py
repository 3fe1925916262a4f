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
    """A context for running a module: inference mode, and one thread for small modules.

    The number of threads of PyTorch is global and gradients are per thread; both are restored at
    the end. Wrap each computation in it, but not the `yield` of a generator.

    Args:
        module: a `torch.nn.Module`, whose number of parameters decides
            (`torch.set_num_threads`, https://docs.pytorch.org/docs/stable/generated/torch.set_num_threads.html).
    """
    import torch

    if module not in _counts:
        _counts[module] = sum(parameter.numel() for parameter in module.parameters())
    with torch.inference_mode(), fitting_threads(_counts[module]):
        yield
