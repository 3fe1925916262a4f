"""Reading and writing saved Core ML packages."""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.coreml.package.reader import Package as Package
    from zoo.formats.coreml.package.weights import weights_of as weights_of
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Package": "zoo.formats.coreml.package.reader",
            "weights_of": "zoo.formats.coreml.package.weights",
        },
    )

__all__ = [
    "Package",
    "weights_of",
]
