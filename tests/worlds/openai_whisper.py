"""openai-whisper itself, on the weights, the tokenizer and the spectrogram of a checkpoint folder.

Its constants are those of windows of 30 seconds and its tokenizers those of its own models; both
are replaced for the length of a transcription, and nothing else is. The spectrogram is the one of
the model under test, window by window, so that equal rules give equal results.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # compiling takes longer than it saves

import numpy as np
import torch
import whisper
import whisper.tokenizer
from whisper.model import ModelDimensions, Whisper

from zoo_whisper.torch import TorchWhisper

NAMES = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "self_attn": "attn",
    "encoder_attn": "cross_attn",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "out",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "layers": "blocks",
    "embed_tokens": "token_embedding",
    "embed_positions.weight": "positional_embedding",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
}
HOP = 160


class Encoding:
    """What openai-whisper's `Tokenizer` asks of a tiktoken encoding."""

    def __init__(self, model: TorchWhisper) -> None:
        self._inner = model.vocabulary._tokenizer
        self._words = {}
        for token in range(model.vocabulary.end, model.vocabulary.size):
            name = self._inner.id_to_token(token)
            if name is not None:
                self._words[name] = token
        if "<|nospeech|>" not in self._words:
            self._words["<|nospeech|>"] = model.vocabulary.silent
        self.special_tokens_set = set(self._words)
        self.eot_token = model.vocabulary.end

    def encode_single_token(self, name: str) -> int:
        return self._words[name]

    def encode(self, text: str) -> list[int]:
        return self._inner.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: list[int]) -> str:
        return self._inner.decode(list(tokens), skip_special_tokens=False)


class Peer(Whisper):
    """openai-whisper's model with the languages of a checkpoint and windows of its length."""

    languages = 0

    @property
    def is_multilingual(self) -> bool:
        return self.languages > 0

    @property
    def num_languages(self) -> int:
        return self.languages


class OpenAIWhisper:
    """`transcribe` as openai-whisper does it.

    Args:
        folder: of a checkpoint in Hugging Face's layout.
    """

    def __init__(self, folder: Path) -> None:
        self.model = TorchWhisper(folder)
        config = self.model.config
        self._frames = 2 * config.frames
        self.peer = Peer(
            ModelDimensions(
                config.mels,
                config.frames,
                config.width,
                config.encoder_heads,
                config.encoder_layers,
                config.vocabulary,
                config.context,
                config.width,
                config.decoder_heads,
                config.decoder_layers,
            )
        ).eval()
        self.peer.languages = len(self.model.vocabulary.languages)
        weights = {}
        for name, weight in self.model.module.model.state_dict().items():
            renamed = name
            for ours, theirs in NAMES.items():
                renamed = renamed.replace(ours, theirs)
            weights[renamed] = weight
        self.peer.load_state_dict(weights)
        heads = torch.zeros(config.decoder_layers, config.decoder_heads, dtype=torch.bool)
        for layer, head in config.heads:
            heads[layer, head] = True
        self.peer.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
        self._encode = self.peer.encoder.forward
        self._samples = np.empty(0, np.float32)
        self.peer.encoder.forward = self._encoded

    def _encoded(self, places: torch.Tensor) -> torch.Tensor:
        """The encoder on the samples at numbered frames; 0 stands for what pads a window."""
        numbers = places[0, 0].round().long()
        count = int((numbers > 0).sum())
        start = (int(numbers[0]) - 1) * HOP
        window = np.zeros(self.model.window, np.float32)
        part = self._samples[start : start + count * HOP]
        window[: len(part)] = part
        return self._encode(torch.from_numpy(self.model.features(window)))

    def _numbered(self, samples: Any, mels: int, padding: int) -> torch.Tensor:
        self._samples = np.asarray(samples, np.float32)
        count = len(self._samples) // HOP + padding // HOP
        return torch.arange(1, count + 1, dtype=torch.float64).expand(mels, -1).clone()

    def _settings(self) -> dict[str, Any]:
        """What generation_config.json says, as options."""
        config = self.model.config
        first = 0.0 if config.first_time is None else config.first_time * 0.02
        listed = {} if config.suppress is None else {"suppress_tokens": list(config.suppress)}
        return {"max_initial_timestamp": first, **listed}

    def transcribe(self, samples: np.ndarray, **options: Any) -> dict[str, Any]:
        """openai-whisper's result."""
        seconds = self._frames // 100
        whisper.tokenizer.get_tokenizer.cache_clear()
        encoding = Encoding(self.model)
        codes = {code: code for code in self.model.vocabulary.languages} or {"en": "english"}
        module = whisper.transcribe.__globals__
        decoding = sys.modules["whisper.decoding"].__dict__
        with (
            patch.dict(module, {"N_FRAMES": self._frames, "N_SAMPLES": self._frames * HOP}),
            patch.dict(module, {"log_mel_spectrogram": self._numbered}),
            patch.dict(module, {"pad_or_trim": _exact(module["pad_or_trim"])}),
            patch.dict(decoding, {"CHUNK_LENGTH": seconds}),
            patch.object(whisper.tokenizer, "get_encoding", lambda **_: encoding),
            patch.dict(whisper.tokenizer.LANGUAGES, codes, clear=True),
            patch.dict(module["LANGUAGES"], codes, clear=True),
        ):
            given = {"fp16": False, "temperature": 0.0, **self._settings(), **options}
            result: dict[str, Any] = whisper.transcribe(self.peer, samples, **given)
        whisper.tokenizer.get_tokenizer.cache_clear()
        return result


def _exact(pad_or_trim: Any) -> Any:
    """Padding that leaves the numbers of frames in float64 until they are read."""

    class Kept:
        def __init__(self, found: torch.Tensor) -> None:
            self._found = found

        def to(self, *_: Any) -> Any:
            return self if not isinstance(_[0], torch.dtype) else self._found

    return lambda *given: Kept(pad_or_trim(*given))
