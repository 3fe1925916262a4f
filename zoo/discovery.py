"""What is installed, read from package metadata; no plugin code is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, metadata
from typing import Any

from zoo.errors import BrokenPlugin, MissingExtra, MissingPlugin, PluginConflict
from zoo.words import suggest

CATALOGS, FAMILIES, FORMATS = "zoo.catalogs", "zoo.families", "zoo.formats"
TASKS, SCORERS = "zoo.tasks", "zoo.scorers"
DESCRIPTIONS = "zoo.format_descriptions"
KINDS = {
    CATALOGS: "catalog",
    FAMILIES: "family",
    FORMATS: "format",
    DESCRIPTIONS: "format description",
    TASKS: "task",
    SCORERS: "scorer",
}


@dataclass(frozen=True)
class Provider:
    """An entry point, with the distribution that it comes from.

    `extras` are those that the entry point names, as in `"mistral.mlx" = "zoo_mistral.mlx [mlx]"`:
    the packages that the plugin needs are the ones that its distribution lists for them.
    """

    group: str
    name: str
    value: str
    extras: tuple[str, ...]
    dist: metadata.Distribution | None = field(repr=False, compare=False)

    @property
    def distribution(self) -> str:
        return self.dist.name if self.dist else "an unknown distribution"

    @property
    def version(self) -> str:
        return self.dist.version if self.dist else "?"

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def install(self) -> str:
        """The command that brings what this plugin needs."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"pip install '{self.distribution}{extras}'"

    def load(self) -> Any:
        """What the entry point names, imported.

        Raises:
            BrokenPlugin: it cannot be imported, or has no such name.
        """
        module, _, attribute = self.value.partition(":")
        try:
            loaded = import_module(module)
            return getattr(loaded, attribute) if attribute else loaded
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split())
            raise BrokenPlugin(
                f"the plugin '{self.name}' of {self} cannot be loaded: "
                f"{type(error).__name__}: {text}",
                f"report it to its maker, or remove it: pip uninstall {self.distribution}",
            ) from error

    def requirements(self) -> dict[str, str | None]:
        """The packages that the extras bring, each with its installed version or `None`."""
        return {name: _version(name) for name in _needed(self)}

    def missing(self) -> list[str]:
        """The packages that this plugin needs and that are not installed."""
        return [name for name in _needed(self) if _distribution(name) is None]

    def require(self) -> None:
        """Refuse to go on without the packages needed.

        Raises:
            MissingExtra: with the command that installs them.
        """
        if missing := self.missing():
            packages = " and ".join(missing)
            be = "is" if len(missing) == 1 else "are"
            raise MissingExtra(
                f"'{self.name}' needs {packages}, which {be} not installed", self.install
            )


@cache
def _needed(provider: Provider) -> tuple[str, ...]:
    """The names of the packages that the provider's extras bring on this machine."""
    if not provider.extras or provider.dist is None:
        return ()
    from packaging.requirements import Requirement

    found = []
    for line in provider.dist.requires or ():
        if not any(extra in line for extra in provider.extras):
            continue
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            continue
        if any(wanted.marker.evaluate({"extra": e}) for e in provider.extras):
            found.append(wanted.name)
    return tuple(found)


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _version(name: str) -> str | None:
    found = _distribution(name)
    return found.version if found else None


@cache
def providers(group: str) -> dict[str, tuple[Provider, ...]]:
    """Every name in an entry-point group, with all who provide it."""
    found: dict[str, list[Provider]] = {}
    for entry in metadata.entry_points(group=group):
        value = entry.value.split("[")[0].strip()
        provider = Provider(group, entry.name, value, tuple(entry.extras), entry.dist)
        found.setdefault(entry.name, []).append(provider)
    return {name: tuple(found[name]) for name in sorted(found)}


def provider(group: str, name: str) -> Provider:
    """The one distribution that provides `name`.

    Raises:
        MissingPlugin: nobody does.
        PluginConflict: several do; the message names each.
    """
    kind = KINDS[group]
    known = providers(group)
    claims = known.get(name, ())
    if not claims:
        close = suggest(name, known)
        have = ", ".join(known) or "none"
        raise MissingPlugin(
            f"no installed plugin provides the {kind} '{name}'{close}", f"installed: {have}"
        )
    if len(claims) > 1:
        who = " and ".join(f"{p} ({p.value})" for p in claims)
        raise PluginConflict(
            f"the {kind} '{name}' is provided by {who}",
            f"uninstall one of them: pip uninstall {claims[-1].distribution}",
        )
    return claims[0]


def family_formats(family: str) -> tuple[str, ...]:
    """The formats that some installed plugin provides for `family`."""
    names = (n.rpartition(".") for n in providers(FAMILIES))
    return tuple(format for name, _, format in names if name == family)
