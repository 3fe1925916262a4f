"""The code that makes an artifact, as a key names it: versions, and digests where code may change.

A regular install of a version is always the same code. An editable install is not, nor is a
package that no installer keeps a record of: their code is in the key by its digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from zoo.files.documents import parse_json
from zoo.registry.discovery import Provider
from zoo.registry.distributions import Distribution, installed, normalized

DISTRIBUTION, PACKAGE = "zoo-ml", "zoo"
CODE = {".py", ".so", ".pyd", ".dylib", ".metal"}


@cache
def of_zoo() -> dict[str, Any]:
    """The version of zoo itself, and the digest of its code where it is installed editable."""
    dist = installed()[normalized(DISTRIBUTION)]
    return {"version": dist.version, "code": _digest(PACKAGE) if _may_change(dist) else None}


@cache
def of_plugin(plugin: Provider | None) -> dict[str, Any] | None:
    """The version of a plugin, of the packages that its extras bring, and its code's digest."""
    if plugin is None:
        return None
    changing = plugin.dist is None or _may_change(plugin.dist)
    return {
        "plugin": f"{plugin} {plugin.value}",
        "code": _digest(plugin.value.partition(":")[0].partition(".")[0]) if changing else None,
        "tools": plugin.requirements(),
    }


@cache
def _may_change(dist: Distribution) -> bool:
    """Whether the code of a distribution may change without its version."""
    try:
        installed = parse_json(dist.read_text("direct_url.json") or "{}")
        editable = bool(installed.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        editable = True
    return editable or dist.read_text("RECORD") is None


@cache
def _digest(package: str) -> str:
    """The digest of all code of a top-level package or module, which is not imported."""
    spec = importlib.util.find_spec(package)
    state = hashlib.sha256()
    for folder in (spec and spec.submodule_search_locations) or ():
        for parts in sorted(_code_in(folder)):
            state.update("/".join(parts).encode() + b"\0")
            with open(os.path.join(folder, *parts), "rb") as file:
                state.update(hashlib.sha256(file.read()).digest())
    if spec and spec.origin and not spec.submodule_search_locations:
        state.update(Path(spec.origin).read_bytes())
    return state.hexdigest()[:16]


def _code_in(folder: str) -> Iterator[list[str]]:
    """The paths of the code in a folder, in parts. Python's `Path` would take twice as long."""
    folder = folder.rstrip(os.sep)
    for place, _, names in os.walk(folder):
        above = place[len(folder) :].split(os.sep)[1:]
        for name in names:
            if os.path.splitext(name)[1] in CODE:
                yield [*above, name]
