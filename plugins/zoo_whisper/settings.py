"""Which keys of a checkpoint's config files are known, so that none is read over.

A key is read by `zoo_whisper.config`, changes nothing of what a transcript is, is right at its
neutral value alone, or is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zoo


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARCHITECTURE = _keys(
    "model_type vocab_size num_mel_bins d_model encoder_layers encoder_attention_heads "
    "encoder_ffn_dim decoder_layers decoder_attention_heads decoder_ffn_dim max_source_positions "
    "max_target_positions activation_function tie_word_embeddings median_filter_width "
    "suppress_tokens begin_suppress_tokens forced_decoder_ids num_hidden_layers hidden_size "
    "num_attention_heads num_key_value_heads"
)
"""Keys of config.json that are read."""

DECODING = _keys(
    "alignment_heads suppress_tokens begin_suppress_tokens is_multilingual language task "
    "forced_decoder_ids max_initial_timestamp_index eos_token_id decoder_start_token_id "
    "no_timestamps_token_id prev_sot_token_id median_filter_width lang_to_id task_to_id"
)
"""Keys of generation_config.json that are read."""

AUDIO = _keys("feature_size sampling_rate hop_length chunk_length n_fft padding_value")
"""Keys of the feature extractor that are read."""

HARMLESS = _keys(
    # what training, other tasks and bookkeeping need
    "architectures transformers_version dtype torch_dtype _name_or_path _attn_implementation "
    "_attn_implementation_autoset _commit_hash name_or_path attn_implementation use_cache "
    "dropout attention_dropout activation_dropout encoder_layerdrop decoder_layerdrop init_std "
    "apply_spec_augment mask_time_prob mask_time_length mask_time_min_masks mask_feature_prob "
    "mask_feature_length mask_feature_min_masks classifier_proj_size use_weighted_layer_sum "
    "id2label label2id problem_type finetuning_task task_specific_params tokenizer_class "
    "output_attentions output_hidden_states output_scores output_logits return_dict "
    "return_dict_in_generate use_return_dict torchscript use_bfloat16 tf_legacy_loss "
    "chunk_size_feed_forward gradient_checkpointing keys_to_ignore_at_inference "
    # computed by transformers, but never applied
    "scale_embedding "
    # ids that the tokenizer tells
    "bos_token_id pad_token_id sep_token_id eos_token_id decoder_start_token_id "
    # of transformers' own loop, for which this package has openai-whisper's
    "max_length max_new_tokens min_length min_new_tokens temperature top_k top_p typical_p "
    "epsilon_cutoff eta_cutoff return_timestamps _from_model_config condition_on_prev_tokens "
    "prompt_condition_type logprob_threshold compression_ratio_threshold no_speech_threshold "
    "early_stopping length_penalty num_return_sequences cache_implementation cache_config "
    "max_time num_assistant_tokens num_assistant_tokens_schedule assistant_confidence_threshold "
    "is_assistant prompt_lookup_num_tokens max_matching_ngram_size assistant_early_exit "
    "assistant_lookbehind target_lookbehind disable_compile compile_config low_memory "
    "use_model_defaults token_healing trust_remote_code custom_generate "
    "feature_extractor_type image_processor_type processor_class return_attention_mask "
    "padding_side nb_max_frames n_samples mel_filters"
)

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "add_cross_attention": (False, True),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "prefix": (None, ""),
    "bad_words_ids": (None,),
    "do_sample": (False, None),
    "num_beams": (1, None),
    "num_beam_groups": (1, None),
    "diversity_penalty": (0.0, None),
    "repetition_penalty": (1.0, None),
    "encoder_repetition_penalty": (1.0, None),
    "no_repeat_ngram_size": (0, None),
    "encoder_no_repeat_ngram_size": (0, None),
    "exponential_decay_length_penalty": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "remove_invalid_values": (False, None),
    "renormalize_logits": (False, None),
    "guidance_scale": (None, 1, 1.0),
    "sequence_bias": (None,),
    "constraints": (None,),
    "force_words_ids": (None,),
    "penalty_alpha": (None,),
    "dola_layers": (None,),
    "min_p": (None,),
    "top_h": (None,),
    "stop_strings": (None,),
    "watermarking_config": (None,),
    "dither": (0, 0.0),
    "do_normalize": (False, None),
}
"""Keys that would change a transcript, and the values at which they do not."""


def require_known(path: Path, data: Mapping[str, Any], read: frozenset[str]) -> None:
    """Refuse keys of a config file that would change the result and are not implemented.

    Raises:
        zoo.IntegrityError: naming the first such keys.
    """
    if data.get("quantization_config") is not None:
        method = data["quantization_config"]
        kind = method.get("quant_method", "?") if isinstance(method, Mapping) else "?"
        raise zoo.IntegrityError(
            f"{path}: the weights are quantized already ({kind})",
            "give the checkpoint from which they were made; zoo quantizes it",
        )
    faults = []
    for key, value in data.items():
        if key in read or key in HARMLESS or key == "quantization_config":
            continue
        if key in NEUTRAL:
            if value not in NEUTRAL[key]:
                faults.append(f"{key} = {str(value)[:60]}")
        else:
            faults.append(f"{key} = {str(value)[:60]} (unknown)")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise zoo.IntegrityError(
            f"{path} uses options that zoo does not implement for Whisper: "
            f"{', '.join(faults[:3])}{more}",
            "remove the key if the model was trained without it",
        )
