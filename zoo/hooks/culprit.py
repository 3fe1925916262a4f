"""Whose code an exception came out of, when nobody planned for it."""

from __future__ import annotations

from types import FrameType
from typing import Any

from zoo.registry.discovery import FAMILIES, FORMATS, SCORERS, TASKS, Provider, providers
from zoo.tasks.model import Model


def culprit(error: BaseException) -> str | None:
    """The plugin in whose code an exception was raised, or through whose code it passed.

    Where it was raised in zoo's own code at work on a plugin's model, as for logits of a wrong
    shape, it is the plugin of the model.
    """
    modules = _modules()
    found = model = None
    trace = error.__traceback__
    while trace is not None:
        found = _of(str(trace.tb_frame.f_globals.get("__name__", "")), modules) or found
        model = _of_a_model(trace.tb_frame, modules) or model
        trace = trace.tb_next
    found = found or model
    return None if found is None else f"the plugin '{found.name}' of {found}"


def _modules() -> dict[str, Provider]:
    """Each plugin by its package."""
    modules = {}
    for group in (SCORERS, TASKS, FORMATS, FAMILIES):
        for claims in providers(group).values():
            for origin in claims:
                module = origin.value.partition(":")[0]
                modules[module.rpartition(".")[0] or module] = origin
    return {n: origin for n, origin in modules.items() if n != "zoo" and not _is_task_of_zoo(n)}


def _is_task_of_zoo(module: str) -> bool:
    """Whether a module is a task's of zoo itself, which works on the models of others."""
    return module.startswith("zoo.tasks.")


def _of(module: str, modules: dict[str, Provider]) -> Provider | None:
    while module and module not in modules:
        module = module.rpartition(".")[0]
    return modules.get(module)


def _of_a_model(frame: FrameType, modules: dict[str, Provider]) -> Provider | None:
    values: list[Any] = [frame.f_locals.get(name) for name in ("self", "model")]
    found = (_of(type(value).__module__, modules) for value in values if isinstance(value, Model))
    return next(filter(None, found), None)
