"""Which plugins a person does without, and which they prefer where several serve the same.

`ZOO_PLUGINS_OFF=zoo-acme,zoo-other`, and `plugins.toml` in the configuration folder:

    off = ["zoo-acme"]

    [prefer]
    "mistral.mlx" = "zoo-other"
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from zoo import machine
from zoo.errors import IntegrityError, said
from zoo.registry.distributions import normalized

FILE = "plugins.toml"
VARIABLE = "ZOO_PLUGINS_OFF"


class Preferences(NamedTuple):
    """What a person wants of plugins.

    Attributes:
        off: the distributions that count as not installed, normalized.
        prefer: the distribution to take where several provide a name, normalized.
        problem: why the file cannot be read; empty when it can, or is not there.
    """

    off: frozenset[str]
    prefer: Mapping[str, str]
    problem: str = ""


@cache
def preferences() -> Preferences:
    """Those of this process. A file that cannot be read counts as none."""
    named = os.environ.get(VARIABLE, "").replace(",", " ").split()
    off = {normalized(name) for name in named}
    path = machine.config_folder() / FILE
    if not os.path.isfile(path):
        return Preferences(frozenset(off), {})
    from zoo.files.documents import parse_toml
    from zoo.files.safe_folder import read_regular

    try:
        data = parse_toml(read_regular(path, machine.LARGEST_SETTINGS).decode())
        if unknown := sorted(set(data) - {"off", "prefer"}):
            raise ValueError(f"unknown key '{unknown[0]}'; it has off and prefer")
        listed, prefer = data.get("off", []), data.get("prefer", {})
        if not isinstance(listed, list) or not isinstance(prefer, dict):
            raise ValueError("'off' must be a list, and 'prefer' a table")
        off |= {normalized(str(name)) for name in listed}
        chosen = {str(name): normalized(str(dist)) for name, dist in prefer.items()}
    except (OSError, ValueError, IntegrityError) as error:
        return Preferences(frozenset(off), {}, f"{path} cannot be read: {said(error)}")
    return Preferences(frozenset(off), chosen)
