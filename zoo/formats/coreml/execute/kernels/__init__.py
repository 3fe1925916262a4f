"""What each operation of an ML program computes, in PyTorch; one function for each.

A function has its operation's name (with `_` after a name that Python has taken) and arguments
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html). Floats
are float32 whatever the program says: rounding to float16 is up to who calls. The annotation of
an argument says how it is wanted: `Ints`, `Int`, `Flags` and `Flag` as plain Python, others as
tensors. These modules import PyTorch at once, and so are imported where programs are run.
"""
