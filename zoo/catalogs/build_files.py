"""Where the files are that add builds to recipes: found for browsing, which need not read them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from zoo import machine
from zoo.catalogs.index import stamp_of
from zoo.errors import PluginConflict, PluginError
from zoo.registry.discovery import BUILDS, Provider, providers

USER_FILE = "builds.toml"
USER = f"your {USER_FILE}"


def user_file() -> Path:
    """Where the user's own builds are: `builds.toml` beside the user's catalog."""
    return machine.config_folder() / USER_FILE


def build_files() -> Iterator[tuple[str, Callable[[], Path]]]:
    """Who offers builds, and what finds the file: the user first, then the plugins.

    What finds a file raises PluginError when the entry point names none, or several claim its name.
    """
    if os.path.isfile(user_file()):
        yield USER, user_file
    for name, claims in providers(BUILDS).items():
        label = str(claims[0]) if len(claims) == 1 else f"builds {name}"
        yield label, partial(_locate, claims)


def build_stamps() -> str:
    """What changes whenever one of the files does."""
    found = []
    for by, find in build_files():
        try:
            found.append((by, str(find()), stamp_of(str(find()))))
        except PluginError as error:
            found.append((by, error.message, None))
    return f"{zlib.crc32(repr(found).encode()):08x}"


def _locate(claims: tuple[Provider, ...]) -> Path:
    if len(claims) > 1:
        who = " and ".join(map(str, claims))
        raise PluginConflict(f"the builds '{claims[0].name}' are provided by {who}")
    return claims[0].file()
