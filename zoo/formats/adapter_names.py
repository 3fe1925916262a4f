"""The names that tools give the parts of a LoRA for a pipeline of diffusion.

- diffusers: `unet.MODULE.lora_A.weight`, with `lora.down`, `lora_linear_layer.down` and
  `processor.to_q_lora.down` in files of 2023; the text encoders begin with `text_encoder`.
- kohya's scripts, which A1111's web UI reads too: `lora_unet_MODULE.lora_down.weight` with `_` in
  place of `.`, `lora_te_` for the text encoder (`lora_te1_` and `lora_te2_` of SDXL), and `.alpha`
  beside them. For SDXL the blocks are counted as its makers did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Half = Literal["a", "b", "alpha"]

PARTS = ("unet", "text_encoder", "text_encoder_2")
"""The components of a pipeline that adapters change."""

KOHYA = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
HALVES: dict[str, Half] = {"lora_down.weight": "a", "lora_up.weight": "b", "alpha": "alpha"}

DIFFUSERS = re.compile(
    r"(?:(?P<part>unet|text_encoder|text_encoder_2)\.)?(?P<module>.+)"
    r"\.lora(?:_linear_layer)?(?:_|\.)(?P<half>[AB]|down|up)(?:\.default)?\.weight"
)
PROCESSOR = re.compile(
    r"(?:(?P<part>unet|text_encoder|text_encoder_2)\.)?(?P<module>.+?)(?:\.processor)?"
    r"\.(?P<layer>to_[qkv]|to_out)_lora\.(?P<half>down|up)\.weight"
)
TEXT_LAYERS = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}

BLOCK = re.compile(r"(?P<side>input|output)_blocks_(?P<number>\d+)_(?P<inner>\d)_(?P<rest>.+)")
FIRST = "down_blocks.0.resnets."
MIDDLE = {"0_": "resnets_0_", "1_": "attentions_0_", "2_": "resnets_1_"}
RESNET = {
    "emb_layers_1": "time_emb_proj",
    "in_layers_2": "conv1",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}


class Names:
    """The modules of one component of a pipeline, by the names in adapters.

    Args:
        part: the component, of `PARTS`.
        weights: the names of its weights.
    """

    def __init__(self, part: str, weights: Iterable[str]) -> None:
        self.part = part
        modules = {name.removesuffix(".weight"): name for name in weights}
        self._plain = {_bare(module): weight for module, weight in modules.items()}
        self._joined = {name.replace(".", "_"): weight for name, weight in self._plain.items()}
        resnets = {name.split(".")[3] for name in modules if name.startswith(FIRST)}
        self._layers = len(resnets) or 2

    def find(self, tensor: str) -> tuple[str, str, Half] | None:
        """The component, the weight and the half that a tensor of an adapter is of.

        Returns: the weight by its name in the component, or by the tensor's own where it has none;
            `None` for a tensor that is no part of a LoRA.
        """
        for prefix, part in KOHYA.items():
            if tensor.startswith(prefix):
                module, _, kind = tensor.removeprefix(prefix).partition(".")
                if (half := HALVES.get(kind)) is None:
                    return None
                return part, self._of_kohya(module), half
        if match := PROCESSOR.fullmatch(tensor):
            module = f"{match['module']}.{self._layer(match['part'] or 'unet', match['layer'])}"
        elif match := DIFFUSERS.fullmatch(tensor):
            module = match["module"]
        else:
            return None
        half = "a" if match["half"] in ("A", "down") else "b"
        weight = self._plain.get(_bare(module), f"{module}.weight")
        return match["part"] or "unet", weight, half

    def _of_kohya(self, module: str) -> str:
        name = module.removeprefix("text_model_")
        found = self._joined.get(name) or self._joined.get(self._renamed(name))
        return found or f"{module}.weight"

    def _layer(self, part: str, layer: str) -> str:
        if part != "unet":
            return TEXT_LAYERS[layer]
        return "to_out.0" if layer == "to_out" else layer

    def _renamed(self, name: str) -> str:
        """The name of a module of SDXL, whose blocks its makers count one after another."""
        if name.startswith("middle_block_"):
            rest = name.removeprefix("middle_block_")
            return f"mid_block_{_resnet(MIDDLE.get(rest[:2], rest[:2]) + rest[2:])}"
        if not (match := BLOCK.fullmatch(name)):
            return name
        down = match["side"] == "input"
        block, layer = divmod(int(match["number"]) - down, self._layers + 1)
        kind = "attentions" if match["inner"] == "1" else "resnets"
        start = "down" if down else "up"
        return f"{start}_blocks_{block}_{kind}_{layer}_{_resnet(match['rest'])}"


def _bare(module: str) -> str:
    return module.removeprefix("text_model.")


def _resnet(name: str) -> str:
    for given, called in RESNET.items():
        if name.endswith(given):
            return name.removesuffix(given) + called
    return name
