"""What a Whisper checkpoint folder says about itself.

Read are the layouts of today's transformers (processor_config.json), of 2023 (generation_config
and preprocessor_config.json), and of 2022 (all of decoding in config.json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json
from zoo_whisper.settings import ARCHITECTURE, AUDIO, DECODING, require_known

FRAMES_PER_SECOND = 50
"""Of the encoder's output; two frames of the spectrogram make one."""

RATE, FFT, HOP = 16_000, 400, 160
"""Samples in a second, in a Fourier transform, and from one frame of the spectrogram to the next:
one of the encoder's output is 20 ms, which is what a timestamp counts."""

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "swish")

ALIASES = {
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
    "num_key_value_heads": "encoder_attention_heads",
    "hidden_size": "d_model",
}
"""Other names that transformers has for a key."""

FIRST_TIME = 50
"""The default of the largest first timestamp: one second."""

MULTILINGUAL = 51_865
"""Tokens from which a vocabulary has languages."""

LARGEST = 1 << 20
"""No size in a config is larger."""


@dataclass(frozen=True)
class WhisperConfig:
    """The architecture and the settings of one checkpoint.

    Attributes:
        width: of every layer.
        mels: bands of the spectrogram.
        encoder_inner, decoder_inner: widths within the feed-forward parts.
        activation: within these, transformers' name of it.
        tied: whether the output layer is the embedding.
        frames: that the encoder gives for a window.
        context: most tokens of the decoder, prompt and all.
        rate: samples in a second.
        window: samples that go in at once.
        multilingual: whether language and task are among the prompt's tokens.
        language, task: that the checkpoint is made for, when it says so; the language is a name,
            a code, or a token with its number.
        suppress: tokens that are never written; `None` where the checkpoint does not say.
        begin_suppress: tokens that are not written first.
        first_time: the largest timestamp that a text may begin with, in steps of 20 ms.
        heads: of cross-attention, those that show where a word is said: (layer, head).
        smoothed: frames over which the median of these is taken.
        ends: the token that ends a text, when the checkpoint says so.
    """

    vocabulary: int
    width: int
    mels: int
    encoder_layers: int
    encoder_heads: int
    encoder_inner: int
    decoder_layers: int
    decoder_heads: int
    decoder_inner: int
    activation: str
    tied: bool
    frames: int
    context: int
    rate: int
    window: int
    multilingual: bool
    language: str | int | None
    task: str | int | None
    suppress: tuple[int, ...] | None
    begin_suppress: tuple[int, ...]
    first_time: int | None
    heads: tuple[tuple[int, int], ...]
    smoothed: int
    ends: tuple[int, ...]


def read_whisper_config(folder: Path) -> WhisperConfig:
    """The config of the checkpoint in `folder`.

    Raises:
        zoo.IntegrityError: it is unreadable, incomplete, of another architecture, or sets what is
            not implemented.
    """
    path = folder / "config.json"
    config = read_json(path)
    if config.get("model_type") != "whisper":
        raise zoo.IntegrityError(
            f"{path}: model_type is {config.get('model_type')!r}, not 'whisper'"
        )
    own = {"quantization"} if "quantization" in config else set()
    require_known(path, config, ARCHITECTURE | own)
    generation = _generation(folder)
    legacy = {} if generation else config
    settings = {**legacy, **generation}
    for alias, key in ALIASES.items():
        if config.get(alias, config.get(key)) != config.get(key):
            raise zoo.IntegrityError(
                f"{path}: {alias} = {str(config[alias])[:60]} contradicts {key} = "
                f"{str(config.get(key))[:60]}, of which it is an alias"
            )
    try:
        frames = _size(config, "max_source_positions", 1500)
        heads = _size(config, "decoder_attention_heads")
        layers = _size(config, "decoder_layers")
        language, task = _made_for(config, generation)
        found = WhisperConfig(
            vocabulary=_size(config, "vocab_size"),
            width=_size(config, "d_model"),
            mels=_size(config, "num_mel_bins", 80),
            encoder_layers=_size(config, "encoder_layers"),
            encoder_heads=_size(config, "encoder_attention_heads"),
            encoder_inner=_size(config, "encoder_ffn_dim"),
            decoder_layers=layers,
            decoder_heads=heads,
            decoder_inner=_size(config, "decoder_ffn_dim"),
            activation=config.get("activation_function", "gelu"),
            tied=bool(config.get("tie_word_embeddings", True)),
            frames=frames,
            context=_size(config, "max_target_positions", 448),
            rate=RATE,
            window=frames * RATE // FRAMES_PER_SECOND,
            multilingual=bool(
                settings.get("is_multilingual", config["vocab_size"] >= MULTILINGUAL)
            ),
            language=language,
            task=task,
            suppress=_tokens(settings, "suppress_tokens"),
            begin_suppress=_tokens(settings, "begin_suppress_tokens") or (),
            first_time=_first_time(settings),
            heads=_alignment_heads(settings.get("alignment_heads"), layers, heads),
            smoothed=int(settings.get("median_filter_width", config.get("median_filter_width", 7))),
            ends=_ends(generation.get("eos_token_id")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise zoo.IntegrityError(
            f"{folder}: the config has a missing or invalid value: {str(error)[:200]}"
        ) from error
    _require_audio(folder, found)
    _require_consistent(path, found)
    return found


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    if not path.is_file():
        return {}
    generation = read_json(path)
    require_known(path, generation, DECODING)
    return generation


def _require_audio(folder: Path, config: WhisperConfig) -> None:
    """Refuse another spectrogram than Whisper's."""
    path = folder / "preprocessor_config.json"
    if path.is_file():
        audio = read_json(path)
    elif (path := folder / "processor_config.json").is_file():
        audio = read_json(path).get("feature_extractor") or {}
        if not isinstance(audio, dict):
            raise zoo.IntegrityError(f"{path}: feature_extractor must be a JSON object")
    else:
        raise zoo.IntegrityError(
            f"{folder} has neither preprocessor_config.json nor processor_config.json",
            "save them by WhisperFeatureExtractor.from_pretrained(...).save_pretrained(...)",
        )
    require_known(path, audio, AUDIO)
    wanted: dict[str, tuple[float, float]] = {
        "feature_size": (config.mels, 80),
        "sampling_rate": (RATE, RATE),
        "hop_length": (HOP, HOP),
        "n_fft": (FFT, FFT),
        "padding_value": (0, 0),
        "chunk_length": (config.frames / FRAMES_PER_SECOND, 30),
    }
    for key, (value, default) in wanted.items():
        if audio.get(key, default) != value:
            raise zoo.IntegrityError(
                f"{path} has {key} = {str(audio.get(key, default))[:60]}, and the model in "
                f"config.json takes {value:g}"
            )


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config[key] if default is None else config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST:
        raise ValueError(f"{key} = {str(value)[:60]}")
    return value


def _tokens(settings: Mapping[str, Any], key: str) -> tuple[int, ...] | None:
    if key not in settings:
        return None
    found = tuple(settings[key] or ())
    if not all(isinstance(token, int) for token in found):
        raise ValueError(f"{key}, which must be a list of numbers")
    return found


def _ends(value: Any) -> tuple[int, ...]:
    return () if value is None else tuple(value) if isinstance(value, list) else (int(value),)


def _first_time(settings: Mapping[str, Any]) -> int | None:
    value = settings.get("max_initial_timestamp_index", FIRST_TIME)
    return None if value is None else int(value)


def _alignment_heads(given: Any, layers: int, heads: int) -> tuple[tuple[int, int], ...]:
    """The heads of the checkpoint; where these are missing or another model's, openai-whisper's
    default: all heads of the upper half of the layers."""
    found = tuple((int(layer), int(head)) for layer, head in given or ())
    if found and all(0 <= layer < layers and 0 <= head < heads for layer, head in found):
        return found
    return tuple((layer, head) for layer in range(layers // 2, layers) for head in range(heads))


def _made_for(
    config: Mapping[str, Any], generation: Mapping[str, Any]
) -> tuple[str | int | None, str | int | None]:
    """Language and task of a fine-tune, as transformers goes by them."""
    language, task = generation.get("language"), generation.get("task")
    if language is not None or task is not None:
        return language, task
    forced: Sequence[Sequence[Any]] = (
        generation.get("forced_decoder_ids") or config.get("forced_decoder_ids") or ()
    )
    places = {int(place): token for place, token in forced}
    return places.get(1), places.get(2)


def _require_consistent(path: Path, config: WhisperConfig) -> None:
    faults = []
    if config.activation not in ACTIVATIONS:
        faults.append(f"activation_function {config.activation!r} is not one of {ACTIVATIONS}")
    for name, heads in (("encoder", config.encoder_heads), ("decoder", config.decoder_heads)):
        if config.width % heads:
            faults.append(
                f"d_model {config.width} is not a multiple of {name}_attention_heads {heads}"
            )
    if config.smoothed < 1 or not config.smoothed % 2:
        faults.append(f"median_filter_width {config.smoothed} is not odd")
    if faults:
        raise zoo.IntegrityError(f"{path}: {'; '.join(faults)}")
