"""The model zoo for Apple platforms: one name becomes a running model.

    import zoo
    model = zoo.load("mistral")
    print(model.generate("Name three animals."))

`zoo.load` downloads, converts, optimizes and checks a model on first use. `zoo.catalog`,
`zoo.show` and `zoo.plan` describe models and builds without a download. Plugins use `zoo.hookimpl`
and the classes below. Importing `zoo` imports no heavy package, such as PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import build as build
    from zoo.api import catalog as catalog
    from zoo.api import check as check
    from zoo.api import cost as cost
    from zoo.api import lint as lint
    from zoo.api import load as load
    from zoo.api import plan as plan
    from zoo.api import pull as pull
    from zoo.api import show as show
    from zoo.catalogs.catalog import Catalog as Catalog
    from zoo.catalogs.recipe import Build as Build
    from zoo.catalogs.recipe import Check as Check
    from zoo.catalogs.recipe import Optimization as Optimization
    from zoo.catalogs.recipe import Recipe as Recipe
    from zoo.catalogs.source import File as File
    from zoo.catalogs.source import Source as Source
    from zoo.errors import AmbiguousName as AmbiguousName
    from zoo.errors import BrokenPlugin as BrokenPlugin
    from zoo.errors import CheckFailed as CheckFailed
    from zoo.errors import DoesNotFit as DoesNotFit
    from zoo.errors import Gated as Gated
    from zoo.errors import InputError as InputError
    from zoo.errors import IntegrityError as IntegrityError
    from zoo.errors import InUse as InUse
    from zoo.errors import MissingExtra as MissingExtra
    from zoo.errors import MissingPlugin as MissingPlugin
    from zoo.errors import NoRoom as NoRoom
    from zoo.errors import NotFound as NotFound
    from zoo.errors import Offline as Offline
    from zoo.errors import PluginConflict as PluginConflict
    from zoo.errors import PluginError as PluginError
    from zoo.errors import RecipeError as RecipeError
    from zoo.errors import StepError as StepError
    from zoo.errors import UsageError as UsageError
    from zoo.errors import ZooError as ZooError
    from zoo.hookspecs import hookimpl as hookimpl
    from zoo.pipeline.plan import Plan as Plan
    from zoo.progress import Event as Event
    from zoo.progress import Progress as Progress
    from zoo.reports.costs import Cost as Cost
    from zoo.reports.costs import Operation as Operation
    from zoo.reports.findings import Finding as Finding
    from zoo.reports.findings import LintReport as LintReport
    from zoo.reports.findings import Place as Place
    from zoo.reports.findings import Placement as Placement
    from zoo.store.store import Artifact as Artifact
    from zoo.store.store import Store as Store
    from zoo.tasks.model import Model as Model
    from zoo.tasks.options import CallOptions as CallOptions
    from zoo.tasks.pictures.model import DenoisingStep as DenoisingStep
    from zoo.tasks.pictures.model import ImageModel as ImageModel
    from zoo.tasks.pictures.options import ImageOptions as ImageOptions
    from zoo.tasks.speech.model import SpeechModel as SpeechModel
    from zoo.tasks.speech.options import TranscribeOptions as TranscribeOptions
    from zoo.tasks.speech.transcript import Segment as Segment
    from zoo.tasks.speech.transcript import Transcript as Transcript
    from zoo.tasks.speech.transcript import Word as Word
    from zoo.tasks.task import Metric as Metric
    from zoo.tasks.task import Task as Task
    from zoo.tasks.text.model import TextModel as TextModel
    from zoo.tasks.text.options import Sampling as Sampling
    from zoo.tasks.verdict import Verdict as Verdict

_HOME = {
    "AmbiguousName": "zoo.errors",
    "Artifact": "zoo.store.store",
    "BrokenPlugin": "zoo.errors",
    "Build": "zoo.catalogs.recipe",
    "CallOptions": "zoo.tasks.options",
    "Catalog": "zoo.catalogs.catalog",
    "Check": "zoo.catalogs.recipe",
    "CheckFailed": "zoo.errors",
    "Cost": "zoo.reports.costs",
    "DenoisingStep": "zoo.tasks.pictures.model",
    "DoesNotFit": "zoo.errors",
    "Event": "zoo.progress",
    "File": "zoo.catalogs.source",
    "Finding": "zoo.reports.findings",
    "Gated": "zoo.errors",
    "ImageModel": "zoo.tasks.pictures.model",
    "ImageOptions": "zoo.tasks.pictures.options",
    "InUse": "zoo.errors",
    "InputError": "zoo.errors",
    "IntegrityError": "zoo.errors",
    "LintReport": "zoo.reports.findings",
    "Metric": "zoo.tasks.task",
    "MissingExtra": "zoo.errors",
    "MissingPlugin": "zoo.errors",
    "Model": "zoo.tasks.model",
    "NoRoom": "zoo.errors",
    "NotFound": "zoo.errors",
    "Offline": "zoo.errors",
    "Operation": "zoo.reports.costs",
    "Optimization": "zoo.catalogs.recipe",
    "Place": "zoo.reports.findings",
    "Placement": "zoo.reports.findings",
    "Plan": "zoo.pipeline.plan",
    "PluginConflict": "zoo.errors",
    "PluginError": "zoo.errors",
    "Progress": "zoo.progress",
    "Recipe": "zoo.catalogs.recipe",
    "RecipeError": "zoo.errors",
    "Sampling": "zoo.tasks.text.options",
    "Segment": "zoo.tasks.speech.transcript",
    "Source": "zoo.catalogs.source",
    "SpeechModel": "zoo.tasks.speech.model",
    "StepError": "zoo.errors",
    "Store": "zoo.store.store",
    "Task": "zoo.tasks.task",
    "TextModel": "zoo.tasks.text.model",
    "TranscribeOptions": "zoo.tasks.speech.options",
    "Transcript": "zoo.tasks.speech.transcript",
    "UsageError": "zoo.errors",
    "Verdict": "zoo.tasks.verdict",
    "Word": "zoo.tasks.speech.transcript",
    "ZooError": "zoo.errors",
    "build": "zoo.api",
    "catalog": "zoo.api",
    "check": "zoo.api",
    "cost": "zoo.api",
    "hookimpl": "zoo.hookspecs",
    "lint": "zoo.api",
    "load": "zoo.api",
    "plan": "zoo.api",
    "pull": "zoo.api",
    "show": "zoo.api",
}
"""Where each public name lives; it is imported at its first use."""

__all__ = [
    "AmbiguousName",
    "Artifact",
    "BrokenPlugin",
    "Build",
    "CallOptions",
    "Catalog",
    "Check",
    "CheckFailed",
    "Cost",
    "DenoisingStep",
    "DoesNotFit",
    "Event",
    "File",
    "Finding",
    "Gated",
    "ImageModel",
    "ImageOptions",
    "InUse",
    "InputError",
    "IntegrityError",
    "LintReport",
    "Metric",
    "MissingExtra",
    "MissingPlugin",
    "Model",
    "NoRoom",
    "NotFound",
    "Offline",
    "Operation",
    "Optimization",
    "Place",
    "Placement",
    "Plan",
    "PluginConflict",
    "PluginError",
    "Progress",
    "Recipe",
    "RecipeError",
    "Sampling",
    "Segment",
    "Source",
    "SpeechModel",
    "StepError",
    "Store",
    "Task",
    "TextModel",
    "TranscribeOptions",
    "Transcript",
    "UsageError",
    "Verdict",
    "Word",
    "ZooError",
    "build",
    "catalog",
    "check",
    "cost",
    "hookimpl",
    "lint",
    "load",
    "plan",
    "pull",
    "show",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from zoo.registry.distributions import version

        return version("zoo-ml")
    if name not in _HOME:
        raise AttributeError(f"module 'zoo' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
