"""What a task is: a measure for checks, and a runner for the command line."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.progress import Listener
from zoo.tasks.model import Model


@dataclass(frozen=True)
class Given:
    """The input of `zoo run`: an argument, or what came through a pipe."""

    argument: str | None = None
    piped: bytes = b""

    @property
    def text(self) -> str:
        """The input as text; a pipe's last line break is not part of it."""
        if self.argument is not None:
            return self.argument
        try:
            return self.piped.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"the input is not UTF-8 text: {error}") from error


Pieces = Generator[str | bytes, None, dict[str, Any] | None]


Runner = Callable[[Model, Given, dict[str, Any], Listener], Iterator[str] | Pieces]


Measure = Callable[[list[Path], Callable[[], "Model"], Callable[[], "Model"]], dict[str, float]]
