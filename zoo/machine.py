"""What this machine is: where things are kept, and how much memory it has."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from zoo.errors import IntegrityError, UsageError, said
from zoo.files.paths import given_path
from zoo.words import suggest

SETTINGS = "config.toml"
LARGEST_SETTINGS = 1 << 20
KEYS = {
    "home": "the folder of the store, as ZOO_HOME",
    "format": "the format to use where none is asked for, such as mlx",
    "build": "the build to use where none is asked for and a model has it, such as mlx-4bit",
}
"""The settings of `config.toml`, and what each is."""


def home() -> Path:
    """Where artifacts are kept: `ZOO_HOME`, the user's setting, or the platform's cache folder."""
    if given := os.environ.get("ZOO_HOME"):
        return given_path(given, "ZOO_HOME")
    if given := settings().get("home"):
        return given_path(given, f"home in {SETTINGS}")
    return _user_folder("XDG_CACHE_HOME", ".cache", "Library/Caches")


def config_folder() -> Path:
    """Where the user's own catalog is: `ZOO_CONFIG`, or the platform's configuration folder."""
    if given := os.environ.get("ZOO_CONFIG"):
        return given_path(given, "ZOO_CONFIG")
    return _user_folder("XDG_CONFIG_HOME", ".config", "Library/Application Support")


def settings() -> dict[str, str]:
    """The user's defaults: `config.toml` in the configuration folder, with the keys of `KEYS`.

    Raises:
        UsageError: the file cannot be read, or has something else in it.
    """
    path = config_folder() / SETTINGS
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return {}
    return _read_settings(path, found.st_size, found.st_mtime_ns)


@cache
def _read_settings(path: Path, size: int, time: int) -> dict[str, str]:
    from zoo.files.documents import parse_toml
    from zoo.files.safe_folder import read_regular

    hint = 'write it as, for example: format = "mlx"'
    try:
        data = parse_toml(read_regular(path, LARGEST_SETTINGS).decode())
    except (OSError, ValueError, IntegrityError) as error:
        raise UsageError(f"{path} cannot be read: {said(error)}", hint) from error
    for key, value in data.items():
        if key not in KEYS:
            known = ", ".join(KEYS)
            raise UsageError(
                f"{path} has an unknown key '{key}'{suggest(key, KEYS)}", f"keys: {known}"
            )
        if not isinstance(value, str) or not value:
            raise UsageError(f"'{key}' in {path} must be a string", hint)
    return data


def _user_folder(variable: str, linux: str, mac: str) -> Path:
    """The platform's folder for our files, as platformdirs has it, whose import takes 8 ms."""
    if sys.platform == "darwin":
        return Path.home() / mac / "zoo"
    if sys.platform.startswith("linux") and "ANDROID_DATA" not in os.environ:
        given = os.environ.get(variable, "").strip()
        return (Path(given) if given else Path.home() / linux) / "zoo"
    import platformdirs

    cache = linux == ".cache"
    return Path((platformdirs.user_cache_dir if cache else platformdirs.user_config_dir)("zoo"))


def lock_file() -> Path:
    """Where pulled sources are pinned: `ZOO_LOCK`, or `zoo.lock` in the home folder."""
    given = os.environ.get("ZOO_LOCK")
    return given_path(given, "ZOO_LOCK") if given else home() / "zoo.lock"


def memory() -> int:
    """Physical memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory() -> int:
    """Bytes that a program can still have: those that are free, or could be at once.

    Where the system does not say, it is the half of the physical memory.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError, IndexError):
        free = memory() // 2
    try:  # a container may have less
        most, used = (
            int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):
        return free
    return min(free, max(0, most - used))


def apple_silicon() -> bool:
    """Whether this is a Mac with Apple's own processor."""
    return sys.platform == "darwin" and os.uname().machine == "arm64"


def describe() -> str:
    """This machine in a few words."""
    import platform

    kind = "Apple silicon" if apple_silicon() else f"{platform.system()} {platform.machine()}"
    return f"{kind}, {memory() / 1e9:.0f} GB"
