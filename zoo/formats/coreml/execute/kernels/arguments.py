"""How the arguments of operations are wanted, and how they are turned into that.

The annotation of a kernel's argument says it: `Int`, `Ints`, `Flag`, `Flags` and `Text` are plain
Python; a `Literal` is one of its texts; all others are tensors. `@refuses` names a function that
looks at the arguments that are constants when a program is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Kernel = Callable[..., Any]
K = TypeVar("K", bound=Kernel)


def _listed(value: Any) -> list[int]:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return plain if isinstance(plain, list) else [plain]


def _single(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _integer(value: Any) -> int:
    return int(_single(value))


def _flag(value: Any) -> bool:
    return bool(_single(value))


def _flags(value: Any) -> list[bool]:
    return [bool(flag) for flag in _listed(value)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("it is not a string")
    return value


def as_tensor(value: Any) -> Any:
    """A tensor as it is; texts are refused."""
    if isinstance(value, str):
        raise TypeError(f"it is the string '{value}'")
    return value


Int = Annotated[int, _integer]
Ints = Annotated[list[int], _listed]
Flag = Annotated[bool, _flag]
Flags = Annotated[list[bool], _flags]
Text = Annotated[str, _text]


def kernels(modules: list[ModuleType]) -> dict[str, Kernel]:
    """The functions of these modules by the name of their operation."""
    found: dict[str, Kernel] = {}
    for module in modules:
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and not name.startswith("_"):
                found[name.removesuffix("_")] = function
    return found


@cache
def forms(kernel: Kernel) -> dict[str, Callable[[Any], Any]]:
    """For each argument of a kernel, in order, what turns a value into the form that it wants.

    It raises `TypeError` or `ValueError` for a value that the kernel does not take.
    """
    hints = get_type_hints(kernel, include_extras=True)
    return {name: _form(hints[name]) for name in inspect.signature(kernel).parameters}


@cache
def required(kernel: Kernel) -> frozenset[str]:
    """The arguments that a kernel has no default for."""
    parameters = inspect.signature(kernel).parameters.values()
    return frozenset(p.name for p in parameters if p.default is inspect.Parameter.empty)


def refuses(check: Callable[[Mapping[str, Any]], str | None]) -> Callable[[K], K]:
    """Have a program refused when it is loaded.

    Args:
        check: given the arguments that are constants, by name; it returns what the kernel does not
            do, or `None`.
    """

    def mark(kernel: K) -> K:
        vars(kernel)["refusal"] = check
        return kernel

    return mark


def refusal(kernel: Kernel, fixed: Mapping[str, Any]) -> str | None:
    """What a kernel does not do of that which these constants ask for."""
    check = vars(kernel).get("refusal")
    return check(fixed) if check else None


def _form(hint: Any) -> Callable[[Any], Any]:
    for part in (hint, *get_args(hint)):
        if get_origin(part) is Literal:
            return _one_of(get_args(part))
        if metadata := getattr(part, "__metadata__", ()):
            convert: Callable[[Any], Any] = metadata[0]
            return convert
    return as_tensor


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"it is '{value}', not one of {', '.join(choices)}")
        return str(value)

    return convert
