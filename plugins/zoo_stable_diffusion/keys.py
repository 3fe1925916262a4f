"""Every key that the configs of a pipeline may have, and the values that zoo knows.

What a config says is done, is known to change nothing, or is refused by its name: a key that is
passed over would change the picture without a word. The keys are those of diffusers 0.42 and of
transformers 5 (a test compares), and those that earlier versions wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import zoo

Rule = tuple[Any, ...] | Callable[[Any], bool]
"""The values that are known, or whether one is."""


MOST_LAYERS = 200
"""In one block; the deepest encoders of prompts have 32."""


def anything(value: Any) -> bool:
    return True


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    return is_number(value) and 0 < value < float("inf")


def is_side(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) == 2 and all(map(is_count, value))
    return is_count(value)


def is_counts(value: Any) -> bool:
    """Whether it is a number of things, or a list of such, for each stage, block or layer."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(is_counts, value))
    return is_count(value) or value == 0


def is_widths(value: Any) -> bool:
    """Whether it is a number of channels or heads, or a list of such; none is 0."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(is_widths, value))
    return is_count(value)


def is_depths(value: Any) -> bool:
    """Whether it is a number of layers, or a list of such, that a library may be asked to make."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(is_depths, value))
    return is_counts(value) and value <= MOST_LAYERS


def is_numbers(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list | tuple) and all(map(is_number, value))


def is_flags(value: Any) -> bool:
    return isinstance(value, bool) or (
        isinstance(value, list | tuple) and all(isinstance(one, bool) for one in value)
    )


def are(*known: str) -> Callable[[Any], bool]:
    """Whether all names of a list are known."""
    return lambda value: isinstance(value, list | tuple) and all(one in known for one in value)


def or_none(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


UNET: dict[str, Rule] = {
    "sample_size": is_side,
    "in_channels": is_count,
    "out_channels": is_count,
    "center_input_sample": (False, True),
    "flip_sin_to_cos": (False, True),
    "freq_shift": is_number,
    "down_block_types": are("DownBlock2D", "CrossAttnDownBlock2D"),
    "mid_block_type": ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None),
    "up_block_types": are("UpBlock2D", "CrossAttnUpBlock2D"),
    "only_cross_attention": is_flags,
    "block_out_channels": is_widths,
    "layers_per_block": is_depths,
    "downsample_padding": is_counts,
    "mid_block_scale_factor": is_positive,
    "dropout": anything,
    "act_fn": ("silu", "swish", "mish", "gelu", "relu"),
    "norm_num_groups": is_count,
    "norm_eps": is_number,
    "cross_attention_dim": is_widths,
    "transformer_layers_per_block": is_depths,
    "reverse_transformer_layers_per_block": or_none(is_depths),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "attention_head_dim": is_widths,
    "num_attention_heads": (None,),
    "dual_cross_attention": (False,),
    "use_linear_projection": (False, True),
    "class_embed_type": (None,),
    "addition_embed_type": (None, "text_time"),
    "addition_time_embed_dim": or_none(is_count),
    "num_class_embeds": (None,),
    "upcast_attention": (False, True, None),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "resnet_skip_time_act": (False, True),
    "resnet_out_scale_factor": is_positive,
    "time_embedding_type": ("positional",),
    "time_embedding_dim": or_none(is_count),
    "time_embedding_act_fn": (None, "silu", "swish", "mish", "gelu", "relu"),
    "timestep_post_act": (None, "silu", "swish", "mish", "gelu", "relu"),
    "time_cond_proj_dim": or_none(is_count),
    "conv_in_kernel": is_count,
    "conv_out_kernel": is_count,
    "projection_class_embeddings_input_dim": or_none(is_count),
    "attention_type": ("default",),
    "class_embeddings_concat": (False,),
    "mid_block_only_cross_attention": (None, False),
    "cross_attention_norm": (None,),
    "addition_embed_type_num_heads": anything,
    "quantization": anything,
}
"""Of `UNet2DConditionModel`; `quantization` is what a build of zoo in MLX adds."""

VAE: dict[str, Rule] = {
    "in_channels": (3,),
    "out_channels": (3,),
    "down_block_types": are("DownEncoderBlock2D"),
    "up_block_types": are("UpDecoderBlock2D"),
    "block_out_channels": is_widths,
    "layers_per_block": is_depths,
    "act_fn": ("silu", "swish", "mish", "gelu", "relu"),
    "latent_channels": is_count,
    "norm_num_groups": is_count,
    "sample_size": anything,
    "scaling_factor": is_positive,
    "shift_factor": (None, 0, 0.0),
    "latents_mean": is_numbers,
    "latents_std": is_numbers,
    "force_upcast": (False, True),
    "use_quant_conv": (False, True),
    "use_post_quant_conv": (False, True),
    "mid_block_add_attention": (False, True),
}
"""Of `AutoencoderKL`. `force_upcast` says that float16 is too narrow for it."""

TEXT: dict[str, Rule] = {
    "vocab_size": is_count,
    "hidden_size": is_count,
    "intermediate_size": is_count,
    "projection_dim": is_count,
    "num_hidden_layers": is_depths,
    "num_attention_heads": is_count,
    "max_position_embeddings": is_count,
    "hidden_act": (
        "quick_gelu",
        "gelu",
        "gelu_new",
        "gelu_pytorch_tanh",
        "gelu_fast",
        "relu",
        "silu",
        "swish",
        "tanh",
    ),
    "layer_norm_eps": is_number,
    "attention_dropout": anything,
    "dropout": anything,
    "initializer_range": anything,
    "initializer_factor": anything,
    "pad_token_id": anything,
    "bos_token_id": anything,
    "eos_token_id": lambda value: isinstance(value, int),
    "use_attention_mask": (None, False),
    "quantization": anything,
    "model_type": ("clip_text_model",),
    "architectures": lambda value: value in (None, [], *([name] for name in TEXT_MODELS)),
}
"""Of `CLIPTextConfig`."""

TEXT_MODELS: tuple[str, ...] = ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel")

LIBRARY: dict[str, Rule] = {
    "chunk_size_feed_forward": (0,),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "cross_attention_hidden_size": (None,),
    "auto_map": (None,),
    **dict.fromkeys(
        (
            "transformers_version",
            "torch_dtype",
            "dtype",
            "output_hidden_states",
            "output_attentions",
            "return_dict",
            "id2label",
            "label2id",
            "problem_type",
            "torchscript",
            "use_bfloat16",
            "tf_legacy_loss",
            "tie_word_embeddings",
            "tie_encoder_decoder",
            "gradient_checkpointing",
            "finetuning_task",
            "task_specific_params",
            "tokenizer_class",
            "prefix",
            "sep_token_id",
            "decoder_start_token_id",
            "use_cache",
            "attn_implementation",
            # of generation, which a text encoder does not do
            "max_length",
            "min_length",
            "do_sample",
            "early_stopping",
            "num_beams",
            "num_beam_groups",
            "diversity_penalty",
            "temperature",
            "top_k",
            "top_p",
            "typical_p",
            "repetition_penalty",
            "length_penalty",
            "no_repeat_ngram_size",
            "encoder_no_repeat_ngram_size",
            "bad_words_ids",
            "num_return_sequences",
            "output_scores",
            "return_dict_in_generate",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "remove_invalid_values",
            "exponential_decay_length_penalty",
            "suppress_tokens",
            "begin_suppress_tokens",
        ),
        anything,
    ),
}
"""What any config of transformers may say, now or in 2022."""

CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}

TABLES: dict[str, dict[str, Rule]] = {
    "unet": UNET,
    "vae": VAE,
    "text_encoder": {**LIBRARY, **TEXT},
    "text_encoder_2": {**LIBRARY, **TEXT},
}


def require_known(component: str, config: Mapping[str, Any], where: Any) -> None:
    """Refuse a config that says what no format does.

    Args:
        component: the name of its folder.
        config: what it says; keys that begin with an underscore are of the library's own.
        where: the file, for messages.

    Raises:
        IntegrityError: with the key, its value, and what the value may be.
    """
    if (kind := config.get("_class_name", CLASSES.get(component))) != CLASSES.get(component):
        raise zoo.IntegrityError(
            f"{where} has the class '{kind}'; it must be {CLASSES.get(component)}"
        )
    require_values(TABLES[component], config, where, "zoo")


def require_values(
    table: Mapping[str, Rule], config: Mapping[str, Any], where: Any, who: str
) -> None:
    """Refuse keys that are not in a table, and values that its rules do not allow."""
    for key, value in config.items():
        if key.startswith("_"):
            continue
        if key not in table:
            raise zoo.IntegrityError(
                f"{where} has the key '{key}' ({shown(value)}), which {who} does not support",
                "it may be of a newer version, or of another model",
            )
        if not _is_allowed(table[key], value):
            raise zoo.IntegrityError(
                f"{where} has {key} = {shown(value)}, which {who} does not support"
                + _known(table[key])
            )


def _is_allowed(rule: Rule, value: Any) -> bool:
    if callable(rule):
        return bool(rule(value))
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in rule)


def _known(rule: Rule) -> str:
    if callable(rule):
        return ""
    return f"; it knows {', '.join(map(shown, rule))}"


def shown(value: Any) -> str:
    """A value of a config, as JSON has it, cut to a few words."""
    import json

    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."
