"""What a Whisper checkpoint folder says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import zoo
from zoo.formats import read_json

FRAMES_PER_SECOND = 50
"""Of the encoder's output; two frames of the spectrogram make one."""


@dataclass(frozen=True)
class WhisperConfig:
    """The architecture and the settings of one checkpoint.

    Attributes:
        width: of every layer.
        mels: bands of the spectrogram.
        frames: that the encoder gives for a window.
        context: most tokens of the decoder, prompt and all.
        rate: samples in a second.
        window: samples that go in at once.
        multilingual: whether language and task are among the prompt's tokens.
        suppress, begin_suppress: tokens that are never written, or not as the first.
        first_time: the largest timestamp that a text may begin with, in steps of 20 ms.
        heads: of cross-attention, those that show where a word is said: (layer, head).
    """

    vocabulary: int
    width: int
    mels: int
    encoder_layers: int
    encoder_heads: int
    decoder_layers: int
    decoder_heads: int
    frames: int
    context: int
    rate: int
    window: int
    multilingual: bool
    suppress: tuple[int, ...]
    begin_suppress: tuple[int, ...]
    first_time: int
    heads: tuple[tuple[int, int], ...]


def read_whisper_config(folder: Path) -> WhisperConfig:
    """The config of the checkpoint in `folder`.

    Raises:
        zoo.IntegrityError: it is unreadable, incomplete, or of another architecture.
    """
    config, generation = (
        read_json(folder / "config.json"),
        read_json(folder / "generation_config.json"),
    )
    sound = read_json(folder / "preprocessor_config.json")
    if config.get("model_type") != "whisper":
        raise zoo.IntegrityError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}, not 'whisper'"
        )
    try:
        frames, rate = config["max_source_positions"], sound["sampling_rate"]
        return WhisperConfig(
            vocabulary=config["vocab_size"],
            width=config["d_model"],
            mels=config["num_mel_bins"],
            encoder_layers=config["encoder_layers"],
            encoder_heads=config["encoder_attention_heads"],
            decoder_layers=config["decoder_layers"],
            decoder_heads=config["decoder_attention_heads"],
            frames=frames,
            context=config["max_target_positions"],
            rate=rate,
            window=frames * rate // FRAMES_PER_SECOND,
            multilingual=generation.get("is_multilingual", config["vocab_size"] >= 51865),
            suppress=tuple(generation.get("suppress_tokens") or ()),
            begin_suppress=tuple(generation.get("begin_suppress_tokens") or ()),
            first_time=generation.get("max_initial_timestamp_index") or 50,
            heads=tuple((layer, head) for layer, head in generation.get("alignment_heads") or ()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise zoo.IntegrityError(f"{folder}: the config lacks or garbles {error}") from error
