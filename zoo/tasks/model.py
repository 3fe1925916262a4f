"""The base class of models, which the `run` hook of a plugin and `zoo.load` return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError, NotFound
from zoo.words import suggest

if TYPE_CHECKING:
    from typing import Self

AdapterChoice = str | Mapping[str, float] | None
"""One adapter, several with the weight of each, or none."""


class Model(ABC):
    """The base class of all models. Models are callable and are context managers.

    `zoo.load` returns one, which a plugin's `run` hook makes. Leaving the context closes the model.

    Attributes:
        ref: the full reference of the model, such as `whisper:mini`.
        build: the name of its build.
        format: the format of the build.
        closed: whether `close` was called.
        adapters: names of the LoRA adapters that `use` accepts.
        adapter: the adapter in use, or the weight of each; `None` without one.
        defaults: call options of the recipe, for those that the caller leaves out.
    """

    ref = ""
    build = ""
    format = ""
    closed = False
    adapters: Sequence[str] = ()
    adapter: AdapterChoice = None
    defaults: Mapping[str, Any] = MappingProxyType({})
    """Options that the recipe gives when the caller does not."""

    @abstractmethod
    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the model: generate text, transcribe speech or generate an image."""

    def __repr__(self) -> str:
        build = f"/{self.build}" if self.build else ""
        with_adapter = f", adapter {self.adapter}" if self.adapter else ""
        state = ", closed" if self.closed else ""
        return f"<{type(self).__name__} {self.ref or 'model'}{build}{with_adapter}{state}>"

    def _repr_html_(self) -> str:
        from zoo.display.tables import pairs

        rows = (
            ("build", self.build), ("format", self.format),
            ("adapters", ", ".join(self.adapters)), ("adapter", self.adapter),
            ("options", ", ".join(f"{k}={v}" for k, v in self.defaults.items())),
            ("closed", "yes" if self.closed else ""),
        )  # fmt: skip
        return pairs(f"{self.ref or 'model'} ({type(self).__name__})", rows)

    def use(self, adapter: AdapterChoice) -> None:
        """Select the LoRA adapter, or several at once.

        Args:
            adapter: a name in `adapters`, a mapping of names to weights such as
                `{"ink": 0.6, "outline": 0.4}`, or `None` for the plain model.

        Raises:
            NotFound: the model has no adapter of that name.
            InputError: a weight is not a finite number, or the format runs one adapter at a time.
        """
        self.require_open()
        for name in adapter_weights(adapter):
            self._require_adapter(name)
        if isinstance(adapter, Mapping):
            self.blend(adapter)
        else:
            self.switch(adapter)
        self.adapter = adapter

    def _require_adapter(self, name: str) -> None:
        if name not in self.adapters:
            raise NotFound(
                f"'{self.ref}' has no adapter '{name}'{suggest(name, self.adapters)}",
                f"its adapters: {', '.join(self.adapters) or 'none'}",
            )

    def switch(self, adapter: str | None) -> None:
        """Apply one adapter at full weight, or none. Subclasses override this or `blend`.

        Args:
            adapter: a name in `adapters`, or `None`.
        """
        self.blend({} if adapter is None else {adapter: 1.0})

    def blend(self, weights: Mapping[str, float]) -> None:
        """Apply several adapters, each scaled by its weight. Subclasses override it.

        Args:
            weights: name to weight; empty for the plain model.

        Raises:
            InputError: the format runs one adapter at a time.
        """
        if weights:
            raise InputError(
                f"'{self.ref}' runs one adapter at a time in the format '{self.format}'",
                "combine adapters in torch or mlx",
            )

    def close(self) -> None:
        """Free the weights. Later calls raise an `InputError`. Closing twice is allowed."""
        self.closed = True

    def drop(self, *names: str) -> None:
        """Delete attributes, such as those with weights, if they exist. `close` calls it."""
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
        """Raise an error if the model is closed.

        Raises:
            InputError: `close` was called.
        """
        if self.closed:
            raise InputError(f"'{self.ref}' is closed", "load it again with zoo.load")


def adapter_weights(adapter: AdapterChoice) -> dict[str, float]:
    """Return the weight of each selected adapter.

    Raises:
        InputError: a weight is not a finite number.
    """
    if not isinstance(adapter, Mapping):
        return {} if adapter is None else {adapter: 1.0}
    for name, weight in adapter.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not isfinite(weight):
            raise InputError(f"the weight of adapter '{name}' is {weight!r}, not a finite number")
    return {name: float(weight) for name, weight in adapter.items()}
