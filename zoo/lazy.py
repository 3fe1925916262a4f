"""Public names of a package that are imported at their first use (PEP 562).

A package that is the face of others lists its public names in three places, which a test holds
together: in `__all__`, for readers and for `from package import *`; under `TYPE_CHECKING`, for
type checkers and editors; and in the homes that it gives to `attach`, which this module imports
from when a name is asked for. So `import zoo.formats.coreml` imports no coremltools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The module-level `__getattr__` and `__dir__` of a face.

    Args:
        package: its `__name__`.
        homes: for each public name, the module that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(homes[name]), name)

    return find, lambda: sorted(homes)
