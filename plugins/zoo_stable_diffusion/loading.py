"""Load what the files of a pipeline hold, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zoo
from zoo_stable_diffusion.config import weights_of

OUTDATED = "position_ids"
"""What old checkpoints of CLIP hold besides weights."""

AT_ONCE = 32
"""Weights that are read before the file is opened anew."""


def load_module(kind: Any, folder: Path, component: str) -> Any:
    """A component in PyTorch, in float32.

    Args:
        kind: its class in diffusers or transformers.
        folder: of the pipeline.
        component: the name of its folder.

    Raises:
        IntegrityError: weights are missing, damaged, pickled, or of another shape than the config
            says.
    """
    path = weights_of(folder, component)
    load = _load_by_parts if component == "unet" else _load
    try:
        made, missing, extra = load(kind, path)
    except Exception as error:  # safetensors' own is a bare Exception
        text = " ".join(str(error).split())
        raise zoo.IntegrityError(
            f"{path} cannot be loaded by its config: {text}",
            "it is damaged, or of another model: fetch it again",
        ) from error
    extra = [name for name in extra if not name.endswith(OUTDATED)]
    if missing:
        raise zoo.IntegrityError(
            f"{path} lacks {listed(sorted(missing))}, which its config tells of"
        )
    if extra:
        raise zoo.IntegrityError(
            f"{path} has {listed(sorted(extra))}, of which its config tells nothing"
        )
    return made.eval()


def _load(kind: Any, path: Path) -> tuple[Any, list[str], list[str]]:
    """The module of the weights at a path, the names that are missing, and those too many."""
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging

    for each in (logging, diffusers_logging):  # what they would tell is raised by the caller
        each.set_verbosity_error()
    logging.disable_progress_bar()
    made, told = kind.from_pretrained(
        path.parent,
        variant="fp16" if path.name.count(".") > 1 else None,
        torch_dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    return made, list(told["missing_keys"]), list(told["unexpected_keys"])


def _load_by_parts(kind: Any, path: Path) -> tuple[Any, list[str], list[str]]:
    """As `_load`, for a U-Net: some weights at a time, so that the file is not in memory beside."""
    import torch
    from safetensors import safe_open

    with torch.device("meta"):
        made = kind.from_config(kind.load_config(path.parent, local_files_only=True))
    wanted = made.state_dict()
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    known = [name for name in names if name in wanted]
    for start in range(0, len(known), AT_ONCE):
        with safe_open(path, "pt") as file:  # closing it gives back the memory that it maps
            part = {
                name: file.get_tensor(name).to(torch.float32, copy=True)
                for name in known[start : start + AT_ONCE]
            }
        made.load_state_dict(part, strict=False, assign=True)
    return made, list(wanted.keys() - known), [name for name in names if name not in wanted]


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
        return CLIPTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # the tokenizer's own is a bare Exception
        text = " ".join(str(error).split())
        raise zoo.IntegrityError(f"the tokenizer in {path} cannot be read: {text}") from error


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
