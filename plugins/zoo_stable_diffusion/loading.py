"""Load what the files of a pipeline hold, and say what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zoo
from zoo.formats import read_json
from zoo_stable_diffusion.config import tensor_names, weights_of
from zoo_stable_diffusion.schedulers import said

OUTDATED = "position_ids"
"""What old checkpoints of CLIP hold besides weights."""

TOKENS, VOCABULARY = 77, 49408
"""Of CLIP, where a config is silent: tokens of a prompt, and tokens that are known."""

AT_ONCE = 32
"""Weights that are read before the file is opened again."""


def load_module(kind: Any, folder: Path, component: str) -> Any:
    """A component in PyTorch, in float32.

    Args:
        kind: its class in diffusers or transformers.
        folder: of the pipeline.
        component: the name of its folder.

    Raises:
        IntegrityError: weights are missing, too many, damaged, pickled, or of another shape than
            the config says.
    """
    files = weights_of(folder, component)
    where = files[0] if len(files) == 1 else files[0].parent
    config = read_json(folder / component / "config.json")
    load = _load_by_parts if component == "unet" else _load
    try:
        with quiet():
            made, missing, extra = load(kind, config, files)
    except Exception as error:  # safetensors' own is a bare Exception
        raise zoo.IntegrityError(
            f"{where} cannot be loaded by its config: {said(error)}",
            "it is damaged, or of another model: fetch it again",
        ) from error
    extra = [name for name in extra if not name.endswith(OUTDATED)]
    if missing:
        raise zoo.IntegrityError(
            f"{where} lacks {listed(sorted(missing))}, which its config describes"
        )
    if extra:
        raise zoo.IntegrityError(
            f"{where} has {listed(sorted(extra))}, which its config does not describe"
        )
    return made.eval()


def _load(kind: Any, config: dict[str, Any], files: list[Path]) -> tuple[Any, list[str], list[str]]:
    """The module of some files, the names that are missing, and those too many."""
    import torch

    with TemporaryDirectory() as place:
        _stage(Path(place), config, files)
        made, report = kind.from_pretrained(
            place,
            torch_dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    return made, list(report["missing_keys"]), list(report["unexpected_keys"])


def _stage(place: Path, config: dict[str, Any], files: list[Path]) -> None:
    """Lay out a component as its library finds it: these files and no others."""
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    stem = "diffusion_pytorch_model" if "_class_name" in config else "model"
    if len(files) == 1:
        (place / f"{stem}.safetensors").symlink_to(files[0].resolve())
        return
    weights: dict[str, str] = {}
    for number, path in enumerate(files, 1):
        name = f"{stem}-{number:05}-of-{len(files):05}.safetensors"
        (place / name).symlink_to(path.resolve())
        weights |= dict.fromkeys(tensor_names(path), name)
    size = sum(path.stat().st_size for path in files)
    index = {"metadata": {"total_size": size}, "weight_map": weights}
    (place / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _load_by_parts(
    kind: Any, config: dict[str, Any], files: list[Path]
) -> tuple[Any, list[str], list[str]]:
    """As `_load`, for a U-Net: some weights at a time, so that no file is in memory beside."""
    import torch
    from safetensors import safe_open

    with torch.device("meta"):
        made = kind.from_config(config)
    wanted = made.state_dict()
    found: list[str] = []
    for path in files:
        names = tensor_names(path)
        found += names
        known = [name for name in names if name in wanted]
        for start in range(0, len(known), AT_ONCE):
            with safe_open(path, "pt") as file:  # closing it gives back the memory that it maps
                part = {
                    name: file.get_tensor(name).to(torch.float32, copy=True)
                    for name in known[start : start + AT_ONCE]
                }
            made.load_state_dict(part, strict=False, assign=True)
    return made, list(wanted.keys() - set(found)), [name for name in found if name not in wanted]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the logs and progress bars of the libraries off stderr: what they tell is raised."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    both = of_diffusers, of_transformers
    before = [each.get_verbosity() for each in both]
    shown = [each.is_progress_bar_enabled() for each in both]
    try:
        for each in both:
            each.set_verbosity_error()
            each.disable_progress_bar()
        yield
    finally:
        for each, verbosity, bar in zip(both, before, shown, strict=True):
            each.set_verbosity(verbosity)
            if bar:
                each.enable_progress_bar()


def load_tokenizer(folder: Path, encoder: str) -> Any:
    """The tokenizer of a text encoder.

    Raises:
        IntegrityError: its files are missing or damaged.
    """
    from transformers import CLIPTokenizer

    path = folder / encoder.replace("text_encoder", "tokenizer")
    if not path.is_dir():
        raise zoo.IntegrityError(f"{folder} has no folder '{path.name}'", "fetch it again")
    try:
        made = CLIPTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # the tokenizer's own is a bare Exception
        raise zoo.IntegrityError(
            f"the tokenizer in {path} cannot be read: {said(error)}"
        ) from error
    config = read_json(folder / encoder / "config.json")
    room = int(config.get("max_position_embeddings", TOKENS))
    made.model_max_length = min(made.model_max_length, room)  # huge where its files give none
    if len(made) > (known := int(config.get("vocab_size", VOCABULARY))):
        raise zoo.IntegrityError(
            f"the tokenizer in {path} has {len(made)} tokens, but {folder / encoder} "
            f"has embeddings for {known}",
            "a textual inversion adds its tokens to both: save the whole pipeline with it",
        )
    return made


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
