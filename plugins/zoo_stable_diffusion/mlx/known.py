"""What the modules in MLX know of the configs of diffusers and transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_stable_diffusion.keys import TABLES, Rule, require_values

SILU = ("silu", "swish")


NARROWER: dict[str, dict[str, Rule]] = {
    "unet": {
        "act_fn": SILU,
        "conv_in_kernel": (3,),
        "conv_out_kernel": (3,),
        "downsample_padding": (1,),
        "mid_block_scale_factor": (1,),
        "only_cross_attention": (False,),
        "resnet_out_scale_factor": (1,),
        "resnet_skip_time_act": (False,),
        "resnet_time_scale_shift": ("default",),
        "time_embedding_act_fn": (None,),
        "timestep_post_act": (None,),
    },
    "vae": {"act_fn": SILU},
    "text_encoder": {
        "hidden_act": ("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", *SILU)
    },
}
"""The values that these modules know, where diffusers and transformers know more."""


def require_known(component: str, config: Mapping[str, Any], where: Any) -> None:
    """Refuse a config whose values these modules do not have.

    Raises:
        IntegrityError: with the key and its value.
    """
    narrower = NARROWER["text_encoder" if component.startswith("text") else component]
    require_values({**TABLES[component], **narrower}, config, where, "zoo in MLX")
