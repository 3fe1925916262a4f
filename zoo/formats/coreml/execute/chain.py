"""Run a program that is in several packages, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.formats.coreml.execute.program import Functions, Mode, Program
from zoo.formats.coreml.package.proto import chunk_paths


def open_functions(package: Path, *, mode: Mode = "fp16") -> Functions | Chain:
    """Open all functions of a package, or of its chunks if it is split.

    Raises:
        IntegrityError: a package is damaged or missing.
    """
    first, second = chunk_paths(package)
    if first.is_dir() and not package.is_dir():
        return Chain([Functions(first, mode=mode), Functions(second, mode=mode)])
    return Functions(package, mode=mode)


class Chain:
    """Packages with the same functions; each is given what it needs of all that is known by then.

    Args:
        parts: of each package, in order.
    """

    def __init__(self, parts: Sequence[Functions]) -> None:
        self.parts = parts
        self.names = parts[0].names
        """Of the functions, the default one first."""

    def open(self, name: str | None = None) -> Program:
        """A function ready to run, as `Functions.open` gives it."""
        return ChainedProgram([(part.open(name), part.inputs(name)) for part in self.parts])


class ChainedProgram:
    """Programs that run as one.

    Args:
        links: each program with the names of its inputs.
    """

    def __init__(self, links: Sequence[tuple[Program, Sequence[str]]]) -> None:
        self.links = links

    def make_state(self) -> None:
        """There is none: a package with a state is not split."""

    def predict(self, inputs: Mapping[str, Any], state: Any = None) -> dict[str, Any]:
        """The outputs of all programs."""
        known, outputs = dict(inputs), dict[str, Any]()
        for program, names in self.links:
            outputs |= program.predict({name: known[name] for name in names if name in known})
            known |= outputs
        return outputs
