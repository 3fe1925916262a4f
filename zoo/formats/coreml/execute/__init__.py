"""Running saved Core ML packages."""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.coreml.execute.chain import open_functions as open_functions
    from zoo.formats.coreml.execute.program import Program as Program
    from zoo.formats.coreml.execute.program import ReferenceProgram as ReferenceProgram
    from zoo.formats.coreml.execute.program import open_program as open_program
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Program": "zoo.formats.coreml.execute.program",
            "ReferenceProgram": "zoo.formats.coreml.execute.program",
            "open_functions": "zoo.formats.coreml.execute.chain",
            "open_program": "zoo.formats.coreml.execute.program",
        },
    )

__all__ = [
    "Program",
    "ReferenceProgram",
    "open_functions",
    "open_program",
]
