"""The weights of a Whisper checkpoint, checked against its config before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zoo
from zoo.formats import Tensors
from zoo_whisper.config import WhisperConfig

PREFIX = "model."
"""What names begin with, except in a checkpoint of the model without its output layer."""

HEAD = "proj_out.weight"

WRAPPERS = ("module.", "_orig_mod.", "base_model.model.")
"""What DistributedDataParallel, torch.compile and PEFT put before the names."""


class Weights:
    """The tensors of the checkpoint in `folder`, by their names without `model.`.

    Raises:
        zoo.IntegrityError: tensors are missing, unknown, or of another shape than the config's.
    """

    def __init__(self, folder: Path, config: WhisperConfig) -> None:
        self._tensors = Tensors(folder)
        found = self._tensors.shapes
        for wrapper in WRAPPERS:
            if any(name.startswith(wrapper) for name in found):
                raise zoo.IntegrityError(
                    f"the names of the weights in {folder} begin with '{wrapper}', which a wrapper "
                    "of the model in training put before them",
                    f"save the model within the wrapper, or take '{wrapper}' off the names",
                )
        bare = any(name.startswith(("encoder.", "decoder.")) for name in found)
        self._prefix = "" if bare else PREFIX
        shapes = {f"{self._prefix}{name}": shape for name, shape in shapes_of(config).items()}
        ignored: tuple[str, ...] = ()
        if config.tied:
            ignored = (HEAD,)
        else:
            shapes[HEAD] = (config.vocabulary, config.width)
        self._tensors.require(shapes, ignored)
        self.names = tuple(name for name in shapes if name != HEAD)
        self.tied = config.tied

    def read(self, name: str) -> Any:
        """A tensor in float32."""
        return self._tensors.read(f"{self._prefix}{name}")

    def all(self) -> dict[str, Any]:
        """Every tensor in float32; the output layer is `proj_out.weight` where it is not tied."""
        found = {name.removeprefix(self._prefix): self._tensors.read(name) for name in self.names}
        return found if self.tied else {**found, HEAD: self._tensors.read(HEAD)}


def shapes_of(config: WhisperConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor but the output layer's."""
    width = config.width
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (width, config.mels, 3),
        "encoder.conv1.bias": (width,),
        "encoder.conv2.weight": (width, width, 3),
        "encoder.conv2.bias": (width,),
        "encoder.embed_positions.weight": (config.frames, width),
        "decoder.embed_tokens.weight": (config.vocabulary, width),
        "decoder.embed_positions.weight": (config.context, width),
    }
    sides = (
        ("encoder", config.encoder_layers, config.encoder_inner, ("self_attn",)),
        ("decoder", config.decoder_layers, config.decoder_inner, ("self_attn", "encoder_attn")),
    )
    for side, layers, inner, attentions in sides:
        shapes |= _norm(f"{side}.layer_norm", width)
        for number in range(layers):
            layer = f"{side}.layers.{number}"
            for attention in attentions:
                shapes |= _norm(f"{layer}.{attention}_layer_norm", width)
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    shapes[f"{layer}.{attention}.{part}.weight"] = (width, width)
                    if part != "k_proj":
                        shapes[f"{layer}.{attention}.{part}.bias"] = (width,)
            shapes |= _norm(f"{layer}.final_layer_norm", width)
            shapes |= {
                f"{layer}.fc1.weight": (inner, width),
                f"{layer}.fc1.bias": (inner,),
                f"{layer}.fc2.weight": (width, inner),
                f"{layer}.fc2.bias": (width,),
            }
    return shapes


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
