"""Paths that a person gives, in an argument or in the environment."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import UsageError


def given_path(text: str, what: str) -> Path:
    """The absolute path that `text` means, with `~` and links resolved.

    Args:
        text: what was given.
        what: what it was given as, for the message, such as `ZOO_HOME`.

    Raises:
        UsageError: it is no path here: an unknown user's home, a name that is too long, a circle
            of links, a relative path in a working folder that is gone.
    """
    try:
        return Path(text).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        shown = text if len(text) < 200 else f"{text[:200]}..."
        raise UsageError(f"{what} is {shown!r}, which is not a valid path: {error}") from error
