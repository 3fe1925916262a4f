"""Each key of a config at unusual values: every format agrees with the source's library, or refuses.

Core ML is tested up to the modules that are traced, in both layouts of attention.
"""

from __future__ import annotations

import json
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import zoo
from zoo_stable_diffusion import module as traced
from zoo_stable_diffusion.coreml.split_einsum_module import split_attention
from zoo_stable_diffusion.keys import LIBRARY, TEXT, UNET, VAE, anything, require_known
from zoo_stable_diffusion.loading import load_module
from zoo_stable_diffusion.mlx.weights import load_component

CLOSE = 2e-3
"""Of the largest number of an output, by which float32 in another order may differ."""

UNET_BASE: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [16, 24],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
}
VAE_BASE: dict[str, Any] = {
    "block_out_channels": [4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 2,
}
TEXT_BASE: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 16,
    "intermediate_size": 24,
    "projection_dim": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 9,
    "bos_token_id": 28,
    "eos_token_id": 29,
    "pad_token_id": 29,
}

NAMES = ["mish", "relu", "swish", "quick_gelu", "scale_shift", "gated"]
ODD: list[Any] = [None, True, False, 2, 0.5, [2, 3], "odd", *NAMES]
"""Tried at every key; most are refused by the source's library already."""

ASYMMETRIC = {
    "layers_per_block": 2,
    "transformer_layers_per_block": [1, [2, 1]],
    "reverse_transformer_layers_per_block": [[2, 1, 1], 1],
}
MORE: dict[str, list[dict[str, Any]]] = {
    "unet": [
        {"mid_block_type": "UNetMidBlock2D"},
        {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"},
        {"attention_head_dim": [4, 3], "use_linear_projection": True},
        {"transformer_layers_per_block": [1, 3]},
        ASYMMETRIC,
        {"time_cond_proj_dim": 6},
        {"time_embedding_dim": 48},
        {"only_cross_attention": [True, False]},
        {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"]},
        {"down_block_types": ["DownBlock2D", "SimpleCrossAttnDownBlock2D"]},
        {"up_block_types": ["AttnUpBlock2D", "UpBlock2D"]},
        {"encoder_hid_dim": 12, "encoder_hid_dim_type": "text_proj"},
        {"class_embed_type": "timestep"},
        {"num_class_embeds": 4},
        {"resnet_time_scale_shift": "scale_shift"},
        {"conv_in_kernel": 5},
        {"addition_embed_type": "text"},
    ],
    "vae": [
        {"layers_per_block": 2},
        {"use_quant_conv": False, "use_post_quant_conv": False},
        {"mid_block_add_attention": False},
        {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"]},
    ],
    "text_encoder_2": [
        {"eos_token_id": 2},
        {"layer_norm_eps": 0.1},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "gelu"},
        {"num_hidden_layers": 1},
    ],
}
BASES = {"unet": UNET_BASE, "vae": VAE_BASE, "text_encoder_2": TEXT_BASE}
ELSEWHERE = ("quantization", "vocab_size", "max_position_embeddings", "cross_attention_dim")
"""Keys that are compared with other files of the pipeline: see `test_faults`."""

KEYS = {"unet": UNET, "vae": VAE, "text_encoder_2": TEXT}
CASES = [
    (component, {key: value})
    for component, keys in KEYS.items()
    for key in keys
    for value in (["odd"] if keys[key] is anything else ODD)
    if key not in ELSEWHERE and value != BASES[component].get(key)
] + [(component, changes) for component, several in MORE.items() for changes in several]


def source(component: str, config: dict[str, Any]) -> Any:
    """The module of the source's library, or `None` if it refuses the config itself."""
    torch.manual_seed(3)
    try:
        if component == "text_encoder_2":
            made = CLIPTextModelWithProjection(CLIPTextConfig(**config))
        else:
            kind = UNet2DConditionModel if component == "unet" else AutoencoderKL
            made = kind.from_config(config)
        for weight in made.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        return made.eval()
    except Exception:  # any kind: the case asks for nonsense
        return None


def inputs(component: str, config: dict[str, Any]) -> list[torch.Tensor]:
    torch.manual_seed(4)
    if component == "text_encoder_2":
        return [torch.tensor([[28, 3, 4, 29, 29, 29, 29, 29, 29]])]
    if component == "vae":
        return [torch.randn(1, config.get("latent_channels", 4), 4, 6)]
    rows = [
        torch.randn(2, config.get("in_channels", 4), 8, 12),
        torch.tensor([501.0]),
        torch.randn(2, 9, 12),
    ]
    if width := config.get("time_cond_proj_dim"):
        rows.append(torch.randn(2, width))
    return rows


def asked(component: str, module: Any, given: list[torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        if component == "text_encoder_2":
            found = module(given[0], output_hidden_states=True)
            return torch.cat([found.hidden_states[-2].flatten(), found.text_embeds.flatten()])
        if component == "vae":
            return module.decode(given[0]).sample
        sample, time, told, *guidance = given
        return module(sample, time, told, timestep_cond=guidance[0] if guidance else None).sample


def in_mlx(component: str, folder: Path, given: list[torch.Tensor]) -> Any:
    module = load_component(folder, component)
    arrays = [mx.array(tensor.numpy()) for tensor in given]
    if component == "text_encoder_2":
        _, before, pooled = module(arrays[0].astype(mx.int32))
        return np.concatenate([np.array(before).ravel(), np.array(pooled).ravel()])
    if component == "vae":
        return np.array(module.decode(arrays[0].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    sample, time, told, *guidance = arrays
    more = (None, None, guidance[0]) if guidance else ()
    return np.array(module(sample.transpose(0, 2, 3, 1), time, told, *more).transpose(0, 3, 1, 2))


def in_core_ml(component: str, made: Any, given: list[torch.Tensor], split: bool) -> Any:
    with torch.no_grad():
        if component == "text_encoder_2":
            hidden, pooled = traced.TextEncoder(made, True)(given[0].float())
            return torch.cat([hidden.flatten(), pooled.flatten()])
        if component == "vae":
            return traced.Decoder(made)(given[0])
        if split:
            split_attention(made)
        sample, time, told, *guidance = given
        hidden = told.transpose(1, 2)[:, :, None]
        return traced.UNet(made)(sample, time.expand(2), hidden, *guidance)


def agrees(found: Any, wanted: Any) -> bool:
    one, other = np.asarray(found, float), np.asarray(wanted, float)
    return one.shape == other.shape and bool(
        np.abs(one - other).max() <= CLOSE * max(np.abs(other).max(), 1e-6)
    )


KINDS: dict[str, Any] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder_2": CLIPTextModelWithProjection,
}


def wanted_of(component: str, module: Any, given: list[torch.Tensor]) -> Any:
    """What the source's library computes; `None` if it fails, or asks for more inputs."""
    try:
        return asked(component, module, given)
    except Exception:  # of any kind, as the library does not check its configs
        return None


def runs_of(component: str, folder: Path, made: Any, given: list[torch.Tensor]) -> dict[str, Any]:
    """For each format, what computes the component from its folder."""
    copied = deepcopy(made)
    runs = {
        "torch": lambda: asked(component, load_module(KINDS[component], folder, component), given),
        "mlx": lambda: in_mlx(component, folder, given),
        "coreml": lambda: in_core_ml(component, copied, given, False),
    }
    if component == "unet":
        runs["coreml, split"] = lambda: in_core_ml(component, made, given, True)
    return runs


def verdict(run: Any, wanted: Any, may_fail: bool) -> str:
    try:
        found = run()
    except zoo.IntegrityError:
        return "refused"
    except Exception as error:
        return "failed" if wanted is None and may_fail else repr(error)[:200]
    return "agrees" if wanted is not None and agrees(found, wanted) else "differs"


@pytest.mark.parametrize(
    "component",
    [pytest.param(name, marks=pytest.mark.long if name == "unet" else ()) for name in BASES],
)
def test_every_key_at_unusual_values_agrees_or_is_refused(tmp_path: Path, component: str):
    """One test for all keys, as each takes no time; it tells all that are wrong."""
    wrong, verdicts = [], []
    for number, (of, changes) in enumerate(CASES):
        config = {**BASES[component], **changes}
        if of != component:
            continue
        try:
            require_known(component, config, "config.json")
        except zoo.IntegrityError:
            verdicts.append("refused")
            continue
        if (made := source(component, config)) is None:
            continue
        given = inputs(component, config)
        wanted = wanted_of(component, made, given)
        made.save_pretrained(tmp_path / str(number) / component)
        path = tmp_path / str(number) / component / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        for format, run in runs_of(component, path.parent.parent, made, given).items():
            found = verdict(run, wanted, may_fail=format != "mlx")
            verdicts.append(found)
            if found not in ("agrees", "refused", "failed"):
                wrong.append((format, changes, found))
    assert not wrong, "\n".join(map(str, wrong))
    assert verdicts.count("agrees") > 15
    assert verdicts.count("refused") > 50


@pytest.mark.parametrize(("kind", "keys"), [(UNet2DConditionModel, UNET), (AutoencoderKL, VAE)])
def test_the_keys_are_those_of_diffusers(kind: Any, keys: dict[str, Any]):
    assert set(signature(kind.__init__).parameters) - {"self"} <= set(keys)


def test_the_keys_are_those_of_transformers():
    model = CLIPTextModel(CLIPTextConfig(**TEXT_BASE))
    require_known("text_encoder", model.config.to_dict(), "config.json")
    assert set(model.config.to_dict()) - {"_name_or_path"} <= {*LIBRARY, *TEXT}


@pytest.mark.parametrize("component", BASES)
def test_a_key_of_another_version_is_refused_by_its_name(component: str):
    with pytest.raises(zoo.IntegrityError, match="has the key 'sharpness'"):
        require_known(component, {**BASES[component], "sharpness": 2}, "config.json")
