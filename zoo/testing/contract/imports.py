"""What importing a module brings with it, found in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

HEAVY = frozenset((
    "PIL", "av", "coreai", "coremltools", "diffusers", "huggingface_hub", "jax", "mlx", "mlx_lm",
    "numpy", "onnx", "onnxruntime", "pandas", "safetensors", "scipy", "sklearn", "soundfile",
    "tensorflow", "tokenizers", "torch", "transformers",
))  # fmt: skip
"""Packages that take long to import; a plugin imports them inside its functions."""

_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from importlib import import_module
found = {}
for name in sys.argv[2:]:
    before = set(sys.modules)
    import_module(name)
    found[name] = sorted(set(sys.modules) - before)
sys.stderr.write("\\n" + json.dumps(found))
"""


@cache
def imported(*modules: str) -> tuple[str, dict[str, list[str]]]:
    """What was printed to stdout, and for each module the modules that its import brings.

    Raises:
        ImportError: a module cannot be imported; the message is the last line of the traceback.
    """
    command = [sys.executable, "-c", _CODE, json.dumps(sys.path), *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or ["it ended the process"])[-1]
    if done.returncode:
        raise ImportError(last)
    found: Any = json.loads(last)
    return done.stdout, found


def heavy_imports(*modules: str) -> list[str]:
    """The heavy packages that importing these modules brings."""
    _, found = imported(*modules)
    roots = {name.partition(".")[0] for names in found.values() for name in names}
    return sorted(roots & HEAVY)
