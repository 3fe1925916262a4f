"""Load what the files of a pipeline hold, and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zoo
from zoo_stable_diffusion.config import weights_of

OUTDATED = "position_ids"
"""What old checkpoints of CLIP hold besides weights."""


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
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging

    for each in (logging, diffusers_logging):  # what they would tell is raised here
        each.set_verbosity_error()
    logging.disable_progress_bar()
    path = weights_of(folder, component)
    try:
        made, told = kind.from_pretrained(
            folder / component,
            variant="fp16" if path.name.count(".") > 1 else None,
            torch_dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors' own is a bare Exception
        text = " ".join(str(error).split())
        raise zoo.IntegrityError(
            f"{path} cannot be loaded by its config: {text}",
            "it is damaged, or of another model: fetch it again",
        ) from error
    missing = sorted(told["missing_keys"])
    extra = sorted(name for name in told["unexpected_keys"] if not name.endswith(OUTDATED))
    if missing:
        raise zoo.IntegrityError(f"{path} lacks {listed(missing)}, which its config tells of")
    if extra:
        raise zoo.IntegrityError(f"{path} has {listed(extra)}, of which its config tells nothing")
    return made.eval()


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
