"""The model zoo for Apple platforms: one name becomes a running model.

    import zoo
    model = zoo.load("mistral")
    print(model.generate("Name three animals."))

`zoo.load` downloads, converts, optimizes and checks what is not there yet. `zoo.catalog`,
`zoo.show` and `zoo.plan` say what there is before anything is fetched. A plugin author needs
`zoo.hookimpl` and the classes below. Importing `zoo` imports none of the heavy packages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import build, catalog, check, cost, load, plan, pull, show
    from zoo.catalogs import Catalog
    from zoo.checks import Verdict
    from zoo.costs import Cost, Operation
    from zoo.errors import (
        AmbiguousName,
        BrokenPlugin,
        CheckFailed,
        DoesNotFit,
        Gated,
        InputError,
        IntegrityError,
        InUse,
        MissingExtra,
        MissingPlugin,
        NoRoom,
        NotFound,
        Offline,
        PluginConflict,
        PluginError,
        RecipeError,
        StepError,
        UsageError,
        ZooError,
    )
    from zoo.hookspecs import hookimpl
    from zoo.images import Drawing, ImageModel, Step
    from zoo.models import Hearing, Model, Sampling, SpeechModel, TextModel
    from zoo.plans import Plan
    from zoo.progress import Event, Progress
    from zoo.recipe import Build, Check, File, Optimization, Recipe, Source
    from zoo.speech import Segment, Transcript, Word
    from zoo.store import Artifact, Store

_HOME = {
    "zoo.api": "build catalog check cost load plan pull show",
    "zoo.catalogs": "Catalog",
    "zoo.checks": "Verdict",
    "zoo.costs": "Cost Operation",
    "zoo.errors": "AmbiguousName BrokenPlugin CheckFailed DoesNotFit Gated InputError InUse "
    "IntegrityError MissingExtra MissingPlugin NoRoom NotFound Offline PluginConflict "
    "PluginError RecipeError StepError UsageError ZooError",
    "zoo.hookspecs": "hookimpl",
    "zoo.images": "Drawing ImageModel Step",
    "zoo.models": "Hearing Model Sampling SpeechModel TextModel",
    "zoo.plans": "Plan",
    "zoo.progress": "Event Progress",
    "zoo.recipe": "Build Check File Optimization Recipe Source",
    "zoo.speech": "Segment Transcript Word",
    "zoo.store": "Artifact Store",
}
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("zoo-ml")
    if name not in _WHERE:
        raise AttributeError(f"module 'zoo' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
