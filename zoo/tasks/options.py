"""Call options: the keyword arguments of a model's methods, declared once and validated strictly.

A task declares its options as the fields of a `CallOptions`. From them come the checks of type and
range, the signatures of the model's methods, the options of `zoo run`, and their help texts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self, TypeVar

from zoo import schema
from zoo.errors import InputError
from zoo.words import suggest

Function = TypeVar("Function", bound=Callable[..., Any])

SEED = {"minimum": 0, "maximum": 2**63 - 1}
"""The range of a seed."""


def option(doc: str, *, default: Any, **limits: Any) -> Any:
    """Declare a field of a `CallOptions`.

    Args:
        doc: its meaning, in one clause without a full stop.
        default: the value if neither the caller nor the recipe gives one.
        limits: `minimum`, `maximum` and `above` for numbers, `pattern` with `expected` for text,
            and `single=True` for a tuple that may be given as one value.
    """
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class CallOptions:
    """The base class of call options: a frozen dataclass that validates its values.

    A task declares its options as fields, made by `option`. The signatures of the model's methods
    and the options of `zoo run` come from them.

    Attributes:
        peers: the name of an option in another library, to its name here. These names are rejected
            with an error that says which name to use.

    Raises:
        InputError: values have the wrong type or are out of range; the message lists all of them.
    """

    peers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **extra: Any) -> None:
        super().__init_subclass__(**extra)
        lines = [
            f"    {name}: {value.metadata['doc']}."
            for name, value in vars(cls).items()
            if isinstance(value, Field) and "doc" in value.metadata
        ]
        cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__ or ""), "", "Attributes:", *lines])

    def __post_init__(self) -> None:
        faults = _Faults()
        hints = schema.hints_of(type(self))
        for spec in fields(self):
            given = getattr(self, spec.name)
            value = schema.read_value(hints[spec.name], spec, given, faults, spec.name)
            object.__setattr__(self, spec.name, value)
        if not faults.found:
            for name, message in self.validate():
                faults.add(name, message)
        if faults.found:
            raise InputError("; ".join(faults.found))

    def validate(self) -> Iterable[tuple[str, str]]:
        """Check options against each other. Subclasses override it.

        Returns: pairs of the name of an option and what is wrong, such as ("patience", "needs
        beams").
        """
        return ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Make the options from keyword arguments.

        Raises:
            InputError: an option does not exist, with the closest match, or its value is invalid.
        """
        if unknown := [cls.unknown(name) for name in options if name not in cls.names()]:
            raise InputError("; ".join(unknown))
        return cls(**options)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """List the names of the options, in order."""
        return tuple(spec.name for spec in fields(cls))

    @classmethod
    def unknown(cls, name: str) -> str:
        """Return the error message for an option that does not exist."""
        meant = cls.peers.get(name)
        close = f", did you mean '{meant}'?" if meant else suggest(name, cls.names())
        return f"unknown option '{name}'{close}"

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Find invalid call options of a recipe.

        Yields:
            The name of an option, and what is wrong.
        """
        for name, value in options.items():
            try:
                cls.of({name: value})
            except InputError as error:
                yield name, error.message.removeprefix(f"{name} ")


class _Faults(schema.Problems):
    """Faults as sentences that begin with the name of the option."""

    def add(self, path: str, message: str) -> None:
        self.found.append(f"{path} {message}")


def takes(options: type[CallOptions]) -> Callable[[Function], Function]:
    """Show the fields of `options` in the signature of a function with `**options`.

    `help`, notebooks and editors then list each option with its default. Type checkers read the
    `TypedDict` in the annotation of `**options`.

    Args:
        options: the class of call options.
    """

    def shown(function: Function) -> Function:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                spec.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if spec.default is MISSING else spec.default,
                annotation=spec.type,
            )
            for spec in fields(options)
        ]
        function.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        return function

    return shown
