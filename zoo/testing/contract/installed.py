"""Claims about an installed plugin: its distribution, its hooks and its import."""

from __future__ import annotations

from zoo.errors import BrokenPlugin, PluginConflict
from zoo.family import Family
from zoo.registry.discovery import FAMILIES, FORMATS, Provider, providers
from zoo.testing.contract.claim import Claims, require
from zoo.testing.contract.imports import heavy_imports, imported
from zoo.testing.contract.subject import Subject

INSTALLED = Claims()


@INSTALLED.claim
def one_distribution(subject: Subject) -> None:
    """Exactly one installed distribution provides the pair, and one its format."""
    found = _claims(subject)
    require(found, f"no installed distribution provides '{subject.pair}' or its format")
    for claims in (_of(FAMILIES, subject.pair), _of(FORMATS, subject.format)):
        who = " and ".join(sorted(map(str, claims)))
        require(len(claims) < 2, f"'{claims and claims[0].name}' is provided by {who}")


@INSTALLED.claim
def light_import(subject: Subject) -> None:
    """Importing the plugin imports no framework, which would slow down browsing."""
    heavy = heavy_imports(*_modules(subject))
    require(not heavy, f"importing it imports {', '.join(heavy)}; import them inside the hooks")


@INSTALLED.claim
def signatures(subject: Subject) -> None:
    """The hooks have names and arguments that zoo knows."""
    try:
        Family(subject.family_name, subject.format)
    except (BrokenPlugin, PluginConflict) as error:
        require(False, error.message)


@INSTALLED.claim
def quiet_import(subject: Subject) -> None:
    """Importing the plugin prints nothing to stdout."""
    printed, _ = imported(*_modules(subject))
    require(not printed, f"importing it printed {printed[:60]!r}")


def _of(group: str, name: str) -> tuple[Provider, ...]:
    return providers(group).get(name, ())


def _claims(subject: Subject) -> tuple[Provider, ...]:
    return (*_of(FAMILIES, subject.pair), *_of(FORMATS, subject.format))


def _modules(subject: Subject) -> list[str]:
    return sorted({origin.value.partition(":")[0] for origin in _claims(subject)})
