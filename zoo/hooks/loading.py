"""From an entry point to a plugin whose hooks keep to the specifications."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pluggy

from zoo import hookspecs
from zoo.display.interrupt import let_through
from zoo.errors import BrokenPlugin, said
from zoo.registry.discovery import SCORERS, Provider, provider
from zoo.words import suggest

HOOKS = ("download", "convert", "optimize", "run", "cost", "lint", "annotate")

WIDER = {
    "Path": {"Path", "PurePath", "PathLike"},
    "Mapping": {"Mapping", "dict", "Dict", "MutableMapping", "Collection", "Iterable", "Sized"},
    "str": {"str", "Sequence", "Collection", "Iterable", "Hashable"},
    "int": {"int", "float", "complex", "Integral", "Real", "Number"},
    "None": {"None", "NoneType", "Optional"},
}
"""What a parameter may be annotated as, beside its own class, for what a hook passes."""

KNOWN = {name for names in WIDER.values() for name in names} | {
    "bytes", "bool", "list", "List", "tuple", "Tuple", "set", "Set", "Recipe", "Build", "Progress",
}  # fmt: skip
"""Annotations that are sure to mean what they say; others may be aliases of anything."""


def load_plugin(origin: Provider) -> Any:
    """The module or object of hooks that an entry point names; a class is made an object.

    Raises:
        BrokenPlugin: it cannot be imported or made, or has no hooks.
    """
    plugin = origin.load()
    if isinstance(plugin, type):
        try:
            plugin = plugin()
        except BaseException as error:
            let_through(error)
            raise BrokenPlugin(
                f"the plugin '{origin.name}' of {origin} names the class {origin.value}, which "
                f"cannot be made without arguments: {said(error)}",
                "name a module of hooks, or an object that has them",
            ) from error
    if not any(_is_hook(getattr(plugin, name, None)) for name in dir(plugin)):
        raise BrokenPlugin(
            f"the plugin '{origin.name}' of {origin} has no hooks",
            f"mark its functions with @zoo.hookimpl; the hooks are {', '.join(HOOKS)}",
        )
    return plugin


def register(manager: pluggy.PluginManager, plugin: Any, origin: str) -> list[str]:
    """Add a plugin to a manager; returns the hooks that it has.

    Raises:
        BrokenPlugin: it has a hook, or an argument, that there is not, or a function of a hook's
            name that is not marked as one.
    """
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise BrokenPlugin(_explain(plugin, origin, error)) from error
    found = []
    for hook in HOOKS:
        implementation: Any = getattr(plugin, hook, None)
        if _is_hook(implementation):
            _check_annotations(hook, implementation, origin)
            found.append(hook)
        elif _looks_like_a_hook(plugin, hook, implementation):
            raise BrokenPlugin(
                f"'{plugin.__name__}' of {origin} has a function '{hook}' that is not marked as "
                "the hook of that name",
                f"put @zoo.hookimpl above it, or call it _{hook}",
            )
    return found


def load_scorer(name: str) -> Callable[[Any, str], bool]:
    """The function that some plugin's entry point in `zoo.scorers` names.

    Raises:
        MissingPlugin, PluginConflict: nobody provides it, or several do.
        MissingExtra, BrokenPlugin: it cannot be loaded, and why.
    """
    origin = provider(SCORERS, name)
    origin.require()
    scorer: Callable[[Any, str], bool] = origin.load()
    if not callable(scorer):
        raise BrokenPlugin(
            f"the scorer '{name}' of {origin} is {type(scorer).__name__}, which cannot be called"
        )
    return scorer


def _is_hook(implementation: Any) -> bool:
    return hasattr(implementation, "zoo_impl")


def _looks_like_a_hook(plugin: Any, hook: str, implementation: Any) -> bool:
    """Whether it is a function of the plugin's own that takes what a hook offers."""
    if not inspect.isfunction(implementation) or implementation.__module__ != getattr(
        plugin, "__name__", None
    ):
        return False
    offered = inspect.signature(getattr(hookspecs, hook)).parameters
    return set(inspect.signature(implementation).parameters) <= set(offered)


def _explain(plugin: Any, origin: str, error: pluggy.PluginValidationError) -> str:
    name = getattr(plugin, "__name__", repr(plugin))
    for attribute in dir(plugin):
        implementation: Any = getattr(plugin, attribute, None)
        if not _is_hook(implementation):
            continue
        if attribute not in HOOKS:
            close = suggest(attribute, HOOKS)
            return f"'{name}' of {origin} implements '{attribute}', which is not a hook{close}"
        allowed = inspect.signature(getattr(hookspecs, attribute)).parameters
        for argument in inspect.signature(implementation).parameters:
            if argument not in allowed:
                close = suggest(argument, allowed)
                return (
                    f"'{attribute}' in '{name}' of {origin} takes '{argument}', "
                    f"which the hook does not offer{close or ':'} it has {', '.join(allowed)}"
                )
    return f"'{name}' of {origin} does not keep to the hooks: {error}"


def _check_annotations(hook: str, implementation: Any, origin: str) -> None:
    """Refuse an annotation that contradicts the hook's; a wider one, or none at all, is fine."""
    promised = inspect.signature(getattr(hookspecs, hook)).parameters
    for name, parameter in inspect.signature(implementation).parameters.items():
        if name not in promised or parameter.annotation is inspect.Parameter.empty:
            continue
        said_of, meant = _types(parameter.annotation), _types(promised[name].annotation)
        if said_of <= KNOWN and any(not said_of & WIDER.get(m, {m}) for m in meant):
            raise BrokenPlugin(
                f"'{hook}' of {origin} declares '{name}' as {' | '.join(sorted(said_of))}, but "
                f"the hook passes {' | '.join(sorted(meant))}"
            )


def _types(annotation: Any) -> set[str]:
    """The names of the classes in an annotation: `{"int", "None"}` of `Optional[int]`."""
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return {annotation.__name__.replace("NoneType", "None")}
    text = (annotation if isinstance(annotation, str) else str(annotation)).replace(" ", "")
    text = text.strip("'\"")
    if wrapped := re.fullmatch(r"(?:\w+\.)*(Optional|Union)\[(.*)\]", text):
        parts = {"None"} if wrapped[1] == "Optional" else set()
        return parts.union(*(_types(part) for part in _split(wrapped[2], ",")))
    if len(parts_of := _split(text, "|")) > 1:
        return set().union(*(_types(part) for part in parts_of))
    return {text.partition("[")[0].rpartition(".")[2].replace("NoneType", "None")}


def _split(text: str, at: str) -> list[str]:
    """The parts of a text between separators that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == at and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
