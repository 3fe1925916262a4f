"""Find what importing a module imports, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from zoo.registry.discovery import Provider
from zoo.testing.contract.claim import require

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
    """Import modules in a new process.

    Returns: what was printed to stdout, and module to the modules that its import added.

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
    """Return the heavy packages, such as PyTorch, that importing modules imports."""
    _, found = imported(*modules)
    roots = {name.partition(".")[0] for names in found.values() for name in names}
    return sorted(roots & HEAVY)


def require_light(found: Iterable[Provider]) -> None:
    """Require that importing what entry points name imports no framework, and prints nothing.

    Raises:
        BrokenClaim: it does; the message names the packages, or quotes what was printed.
    """
    modules = sorted({provider.value.partition(":")[0] for provider in found})
    heavy = heavy_imports(*modules)
    require(not heavy, f"importing its description imports {', '.join(heavy)}")
    printed, _ = imported(*modules)
    require(not printed, f"importing its description printed {printed[:60]!r}")
