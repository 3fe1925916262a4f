"""What a plugin's `run` returns, and what `zoo.load` hands out: models by task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError, NotFound
from zoo.words import suggest

if TYPE_CHECKING:
    from typing import Self


class Model(ABC):
    """A running model: callable, and a context manager that frees what it holds."""

    ref = ""
    build = ""
    format = ""
    closed = False
    adapters: Sequence[str] = ()
    adapter: str | None = None
    defaults: Mapping[str, Any] = MappingProxyType({})
    """Options that the recipe gives when the caller does not."""

    @abstractmethod
    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the model is for: generate text, transcribe speech, draw a picture."""

    def use(self, adapter: str | None) -> None:
        """Go on with an adapter of `adapters`, or with `None`, the model itself.

        Raises:
            NotFound: it has no such adapter.
        """
        self.require_open()
        if adapter is not None and adapter not in self.adapters:
            known = ", ".join(self.adapters) or "none"
            raise NotFound(
                f"'{self.ref}' has no adapter '{adapter}'{suggest(adapter, self.adapters)}",
                f"its adapters: {known}",
            )
        self.switch(adapter)
        self.adapter = adapter

    def switch(self, adapter: str | None) -> None:
        """What `use` does beyond remembering; a model with `adapters` overrides it."""
        if adapter is not None:
            raise NotImplementedError(f"{type(self).__name__} cannot switch adapters")

    def close(self) -> None:
        """Free the weights. A closed model answers with an `InputError`."""
        self.closed = True

    def drop(self, *names: str) -> None:
        """Let attributes go, such as those that hold weights; for `close`, also a second time."""
        for name in names:
            vars(self).pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def require_open(self) -> None:
        """Refuse to work after `close`."""
        if self.closed:
            raise InputError(f"'{self.ref}' is closed", "load it again with zoo.load")
