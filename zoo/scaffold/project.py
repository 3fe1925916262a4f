"""Write the project of a new plugin: a family, a task or a format, with tests that pass."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from zoo.catalogs.names import NAME
from zoo.errors import MissingExtra, NotFound, UsageError, ZooError
from zoo.registry.discovery import FAMILIES, FORMATS, TASKS, providers
from zoo.scaffold.families import declaration
from zoo.words import suggest

DECODER_FORMATS = {"torch": "torchonly", "mlx": "mlxonly", "coreml": "coremlonly"}
"""The formats of a family of decoders, and the extra of zoo that each needs beside `text`."""


def new_plugin(name: str, family: str, formats: Sequence[str], target: Path) -> None:
    """Write the plugin of a family of decoders.

    Args:
        name: of the plugin, without `zoo-`.
        family: the model type in transformers, such as `llama`.
        formats: of `DECODER_FORMATS`.
        target: the folder of the project.

    Raises:
        UsageError: a name or format that cannot be, a family that is installed already, or whose
            models are of another kind.
        MissingExtra: transformers and PyTorch are not installed, which make the tiny checkpoint.
    """
    for format in formats:
        if format not in DECODER_FORMATS:
            close = suggest(format, DECODER_FORMATS)
            raise UsageError(
                f"a family of decoders has no format '{format}'{close}",
                f"formats: {', '.join(DECODER_FORMATS)}",
            )
        if claims := providers(FAMILIES).get(f"{family}.{format}"):
            raise UsageError(f"'{family}.{format}' is provided by {claims[0]} already")
    architecture = _architecture(family)
    imports, traits = declaration(family, architecture)
    module = _module(name)
    extras = [f'{f} = ["zoo-ml[{DECODER_FORMATS[f]},text]"]' for f in formats]
    if "torch" not in formats:
        extras.append(f'torch = ["zoo-ml[{DECODER_FORMATS["torch"]},text]"]')
    entries = [f'"{family}.{f}" = "zoo_{module}:{f} [{f}]"' for f in formats]
    tests = [
        f"\nclass Test{f.capitalize()}(zoo.testing.FamilyContract):\n"
        f'    family, format = "{family}", "{f}"\n'
        for f in formats
    ]
    words = {
        "FAMILY": family,
        "FORMATS": ", ".join(formats),
        "FIRST": formats[0],
        "ARCHITECTURE": architecture,
        "IMPORTS": imports,
        "TRAITS": traits,
        "EXTRAS": "\n".join(extras),
        "ENTRIES": "\n".join(entries),
        "TESTS": "\n".join(tests).rstrip(),
    }
    _write("plugin", name, target, words)
    _with_a_tiny_model(family, formats, target / f"zoo_{module}")


def new_task(name: str, target: Path) -> None:
    """Write the plugin of a task, with a first model of it.

    Args:
        name: of the task, such as `sentence-embedding`.
        target: the folder of the project.

    Raises:
        UsageError: a name that cannot be, or is taken.
    """
    _write_unless_taken("task", TASKS, name, target)


def new_format(name: str, target: Path) -> None:
    """Write the plugin of a format, with builds for every language model of transformers.

    Args:
        name: of the format.
        target: the folder of the project.

    Raises:
        UsageError: a name that cannot be, or is taken.
    """
    _write_unless_taken("format", FORMATS, name, target)


def _write_unless_taken(kind: str, group: str, name: str, target: Path) -> None:
    if claims := providers(group).get(name):
        raise UsageError(f"the {kind} '{name}' is provided by {claims[0]} already")
    _write(kind, name, target, {})


def _with_a_tiny_model(family: str, formats: Sequence[str], package: Path) -> None:
    """A tiny checkpoint and its recipe, once the family is known to be of this kind."""
    from zoo.decoders import DecoderFamily
    from zoo.scaffold.recipe import describe_folder, recipe_text
    from zoo.testing.checkpoints.tiny import tiny

    namespace: dict[str, object] = {}
    exec((package / "__init__.py").read_text(encoding="utf-8"), namespace)
    made = namespace["FAMILY"]
    assert isinstance(made, DecoderFamily)
    folder = tiny(family, package / "recipes" / "tiny")
    try:
        made.read(folder)
    except ZooError as error:
        raise UsageError(
            f"'{family}' is not a family of decoders like Llama's: {error.message}",
            "write the hooks yourself: docs/plugins.md, or zoo new format for one to begin with",
        ) from error
    recipe = describe_folder(folder, family, "text-generation", "tiny")
    text = recipe_text(recipe, dict.fromkeys(formats, ()))
    (package / "recipes" / "tiny.toml").write_text(text, encoding="utf-8")


def _architecture(family: str) -> str:
    """The class of a model type's causal language models.

    Raises:
        MissingExtra: transformers or PyTorch is not installed.
        NotFound: transformers has no such model type.
    """
    try:
        import torch  # noqa: F401
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    except ImportError as error:
        raise MissingExtra(
            f"the tiny model of a new plugin requires packages that are missing: {error}",
            "pip install 'zoo-ml[torch]'",
        ) from error
    if family not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        close = suggest(family, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        raise NotFound(f"transformers has no causal language model of the type '{family}'{close}")
    return str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family])


def _write(kind: str, name: str, target: Path, words: Mapping[str, str]) -> None:
    """Write the templates of a kind of project, with words put in.

    Raises:
        UsageError: the name cannot be one, or the folder is not empty.
    """
    from importlib.metadata import version

    if not re.fullmatch(NAME, name) or "." in name or "_" in name:
        raise UsageError(
            f"'{name}' cannot be the name of a {kind}",
            "take lower-case letters, digits and hyphens, such as sentence-embedding",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists already", "choose another folder with --to")
    title = name.replace("-", " ").capitalize()
    templates = files("zoo.scaffold").joinpath("templates", kind)
    all_words = {
        "NAME": name,
        "MODULE": _module(name),
        "CLASS": _class_name(kind, title, "\n".join(_texts(templates))),
        "TITLE": title,
        "VERSION": version("zoo-ml"),
        **words,
    }
    _copy(templates, target, all_words)


def _class_name(kind: str, title: str, templates: str) -> str:
    """A name for the class of a project, which Python takes and its templates do not have."""
    name = title.title().replace(" ", "")
    taken = not name.isidentifier() or keyword.iskeyword(name)
    if taken or re.search(rf"\b{name}\b", templates):
        return f"{kind.capitalize()}{name}"
    return name


def _texts(source: Traversable) -> Iterator[str]:
    for entry in source.iterdir():
        if entry.is_dir():
            yield from _texts(entry)
        elif entry.name.endswith(".py.in"):
            yield entry.read_text(encoding="utf-8")


def _copy(source: Traversable, target: Path, words: Mapping[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        name = entry.name.replace("MODULE", words["MODULE"])
        if entry.is_dir():
            _copy(entry, target / name, words)
        elif name.endswith(".in"):
            text = entry.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            (target / name.removesuffix(".in")).write_text(text, encoding="utf-8")


def _module(name: str) -> str:
    return name.replace("-", "_")
