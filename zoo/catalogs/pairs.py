"""Who runs a family in a format: a plugin of the pair, or the format's own for any family."""

from __future__ import annotations

from zoo.catalogs.formats import format_of
from zoo.display.interrupt import let_through
from zoo.errors import MissingPlugin, PluginError
from zoo.registry.discovery import FAMILIES, FORMATS, Provider, family_formats, provider, providers


def listed(family: str, format: str) -> bool:
    """Whether some entry point names this pair."""
    return f"{family}.{format}" in providers(FAMILIES)


def runner(family: str, format: str) -> Provider:
    """The plugin of the pair; where nobody lists it, that of a format that may serve any family.

    Whether such a format knows the family, its `run` hook says when it is called.

    Raises:
        MissingPlugin, PluginConflict: nobody, or several, provide it.
    """
    if listed(family, format):
        return provider(FAMILIES, f"{family}.{format}")
    if serves(family, format):
        return provider(FORMATS, format)
    if others := formats_for(family):
        raise MissingPlugin(
            f"no installed plugin runs the family '{family}' in the format '{format}'",
            f"installed formats of {family}: {', '.join(others)}",
        )
    return provider(FAMILIES, f"{family}.{format}")


def formats_for(family: str) -> tuple[str, ...]:
    """The formats that `family` may run in here: the listed ones, then those for any family."""
    mine = family_formats(family)
    return (*mine, *(name for name in providers(FORMATS) if name not in mine
                     and serves(family, name)))  # fmt: skip


def serves(family: str, format: str) -> bool:
    """Whether a format's own plugin may run a family that no entry point pairs with it."""
    if format not in providers(FORMATS):
        return False
    try:
        return bool(format_of(format).serves(family))
    except BaseException as error:  # a stranger's description fails for its own builds alone
        let_through(error)
        return False


def usable(family: str, format: str) -> bool:
    """Whether one plugin runs the family in the format, and all that it needs is installed."""
    try:
        return not runner(family, format).missing()
    except PluginError:
        return False
