"""What is installed, read from package metadata; no plugin code is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.display.interrupt import let_through
from zoo.display.streams import diverted
from zoo.errors import BrokenPlugin, MissingExtra, MissingPlugin, PluginConflict, said
from zoo.files.trust import confined
from zoo.registry.distributions import Distribution, EntryPoint, damage, installed, normalized
from zoo.registry.import_path import import_path_kept
from zoo.registry.preferences import FILE, VARIABLE, preferences
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.registry.requirements import Need

CATALOGS, FAMILIES, FORMATS = "zoo.catalogs", "zoo.families", "zoo.formats"
TASKS, SCORERS, BUILDS = "zoo.tasks", "zoo.scorers", "zoo.builds"
DESCRIPTIONS = "zoo.format_descriptions"
TINY = "zoo.tiny"
KINDS = {
    CATALOGS: "catalog",
    FAMILIES: "family",
    FORMATS: "format",
    DESCRIPTIONS: "format description",
    TASKS: "task",
    SCORERS: "scorer",
    BUILDS: "builds",
    TINY: "tiny checkpoint",
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
    dist: Distribution | None = field(repr=False, compare=False)

    @property
    def distribution(self) -> str:
        return _name(self.dist) if self.dist else "an unknown distribution"

    @property
    def version(self) -> str:
        return _version_of(self.dist) if self.dist else "?"

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
            BrokenPlugin: it is made for another zoo, cannot be imported, or has no such name.
        """
        self.require_version()
        module, _, attribute = self.value.partition(":")
        try:
            with diverted(), import_path_kept():
                loaded = import_module(module)
                return getattr(loaded, attribute) if attribute else loaded
        except BaseException as error:  # SystemExit too: the program does not end for it
            let_through(error)
            if (known := damage(error)) is not None:
                raise known from error
            raise BrokenPlugin(
                f"the plugin '{self.name}' of {self} cannot be loaded: "
                f"{type(error).__name__}: {said(error)}",
                f"report it to its maker, or remove it: pip uninstall {self.distribution}",
            ) from error

    def file(self) -> Path:
        """The file that an entry point such as `zoo_acme:catalog.toml` names; nothing is imported.

        Raises:
            BrokenPlugin: it names no file of an installed package.
        """
        import importlib.util

        package, _, file = self.value.partition(":")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations or not confined(file):
            raise BrokenPlugin(
                f"the {KINDS[self.group]} '{self.name}' of {self} is declared as '{self.value}', "
                "which is not 'package:file.toml'"
            )
        return Path(spec.submodule_search_locations[0]) / file

    def requirements(self) -> dict[str, str | None]:
        """The packages that the plugin needs, each with its installed version or `None`."""
        return {need.name: need.version for need in self._needs()}

    def missing(self) -> list[str]:
        """The packages that this plugin needs and that are not installed, or too old or new."""
        return [str(need) for need in self._needs() if not need.met]

    def _needs(self) -> tuple[Need, ...]:
        from zoo.registry.requirements import needs_of

        return () if self.dist is None else needs_of(self.dist, self.extras)

    def require_version(self) -> None:
        """Refuse a plugin that says that it is made for another zoo.

        Raises:
            BrokenPlugin: the versions that it is made for.
        """
        from zoo.registry.requirements import made_for

        if self.dist is not None and (need := made_for(self.dist)) is not None:
            raise BrokenPlugin(
                f"{self} is made for {need.name}{need.wanted}, and this is {need.version}",
                f"pip install -U {need.name} {self.distribution}",
            )

    def require(self) -> None:
        """Refuse to go on without the packages needed.

        Raises:
            MissingExtra: with the command that installs them.
        """
        self.require_version()
        if missing := self.missing():
            packages = " and ".join(missing)
            be = "is" if len(missing) == 1 else "are"
            raise MissingExtra(
                f"'{self.name}' needs {packages}, which {be} not installed", self.install
            )


@cache
def providers(group: str) -> dict[str, tuple[Provider, ...]]:
    """Every name in an entry-point group, with all who provide it.

    Entry points that cannot be read are left out, see `unreadable`; so are plugins that the user
    does without, and those beside the one that the user prefers.
    """
    wanted = preferences()
    found: dict[str, tuple[Provider, ...]] = {}
    for name, claims in declared(group).items():
        kept = [p for p in claims if normalized(p.distribution) not in wanted.off]
        first = [p for p in kept if normalized(p.distribution) == wanted.prefer.get(name)]
        if first or kept:
            found[name] = tuple(first or kept)
    return found


@cache
def declared(group: str) -> dict[str, tuple[Provider, ...]]:
    """Every name in an entry-point group, with all who declare it, wanted or not."""
    found: dict[str, list[Provider]] = {}
    for entry in _entry_points(group):
        if isinstance(made := _provider(group, entry), Provider):
            found.setdefault(entry.name, []).append(made)
    return {name: tuple(found[name]) for name in sorted(found)}


def unreadable() -> list[str]:
    """What is wrong with entry points and distributions that cannot be read, a sentence each."""
    said_of = [
        made
        for group in KINDS
        for entry in _entry_points(group)
        if isinstance(made := _provider(group, entry), str)
    ]
    unknown = [
        f"the entry point '{entry.name}' of {_name(entry.dist)} is in the group "
        f"'{entry.group}', which zoo does not know{suggest(entry.group, KINDS)}"
        for entry in _all_entry_points()[0]
        if entry.group not in KINDS
    ]
    problem = preferences().problem
    return [*said_of, *unknown, *_all_entry_points()[1], *([problem] if problem else [])]


def _provider(group: str, entry: EntryPoint) -> Provider | str:
    """The provider that an entry point declares, or what is wrong with it."""
    if (extras := entry.extras) is None:
        who = _name(entry.dist)
        return f"the {KINDS[group]} '{entry.name}' of {who} is declared as {entry.value!r}"
    if group == FAMILIES and not all(entry.name.rpartition(".")[::2]):
        return (
            f"the family '{entry.name}' of {_name(entry.dist)} names no format: "
            f"call the entry point '{entry.name.strip('.')}.FORMAT'"
        )
    return Provider(group, entry.name, entry.value.split("[")[0].strip(), extras, entry.dist)


def _entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group; a distribution that cannot be read keeps back only its own."""
    return [entry for entry in _all_entry_points()[0] if entry.group == group]


@cache
def _all_entry_points() -> tuple[list[EntryPoint], list[str]]:
    """The entry points of all groups, and what is wrong with distributions that have none."""
    found: list[EntryPoint] = []
    broken = []
    for dist in installed().values():
        try:
            found += list(dist.entry_points())
        except Exception as error:
            broken.append(f"entry_points.txt of {_name(dist)} cannot be read: {said(error)}")
    return found, broken


@cache
def _version_of(dist: Distribution) -> str:
    """The version of a distribution."""
    try:
        return dist.version or "?"
    except Exception:  # its metadata is no text
        return "?"


@cache
def _name(dist: Distribution) -> str:
    try:
        return dist.name or "a distribution without a name"
    except Exception:  # its metadata is no text
        return "a distribution that cannot be read"


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
            f"choose one: {VARIABLE}={claims[-1].distribution}, prefer one in {FILE} in your "
            f"configuration folder, or pip uninstall {claims[-1].distribution}",
        )
    return claims[0]


def family_formats(family: str) -> tuple[str, ...]:
    """The formats that some installed plugin provides for `family`."""
    names = (n.rpartition(".") for n in providers(FAMILIES))
    return tuple(format for name, _, format in names if name == family)
