"""What each operation of an ML program computes, in PyTorch; one function for each.

A function has its operation's name (with `_` after a name that Python has taken), its arguments
and their defaults
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
Rounding to float16 is up to who calls. How an argument is wanted, its annotation says; see
`arguments`. This package imports PyTorch at once, and so is imported where programs are run.
"""

from zoo.formats.coreml.execute.kernels import arithmetic, neural, shape
from zoo.formats.coreml.execute.kernels.arguments import kernels

KERNELS = kernels([arithmetic, neural, shape])
"""The functions by the name of their operation."""
