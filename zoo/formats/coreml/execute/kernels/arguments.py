"""How the arguments of operations are wanted, and how they are turned into that."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

Int = int
Ints = list[int] | None
Flag = bool
Flags = list[bool] | None
Text = str


def _listed(value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return plain if isinstance(plain, list) else [plain]


def _single(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "Int": lambda value: int(_single(value)),
    "Flag": lambda value: bool(_single(value)),
    "Ints": _listed,
    "Flags": lambda value: [bool(flag) for flag in _listed(value)],
}


def kernels(modules: list[ModuleType]) -> dict[str, Callable[..., Any]]:
    """The functions of these modules by the name of their operation."""
    found: dict[str, Callable[..., Any]] = {}
    for module in modules:
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and not name.startswith("_"):
                found[name.removesuffix("_")] = function
    return found


@cache
def wanted(kernel: Callable[..., Any]) -> dict[str, Callable[[Any], Any] | None]:
    """For each argument of a kernel, what turns a value into the form that it wants."""
    arguments = inspect.signature(kernel).parameters.values()
    return {argument.name: CONVERTERS.get(str(argument.annotation)) for argument in arguments}
