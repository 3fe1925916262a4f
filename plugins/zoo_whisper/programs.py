"""Whisper as three programs, spectrogram, encoder and decoder: what formats write and run alike.

The decoder's own keys and values are states; those of cross-attention are computed once for a
window, by the encoder's program, and given to each call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import zoo
from zoo.formats import copy_text_files
from zoo.formats.coreml import Program, causal_mask
from zoo_whisper.config import read_whisper_config
from zoo_whisper.model import WhisperModel, feature_extractor
from zoo_whisper.weights import HEAD, Weights

SPECTROGRAM, ENCODER, DECODER = "spectrogram", "encoder", "decoder"
STATES = "keyCache", "valueCache"
ATTENTION = "crossAttention"
"""What the decoder calls the cross-attention of its alignment heads."""

MOST = 32
"""Tokens that go through the decoder at once."""


class WhisperPrograms(WhisperModel):
    """A build that is three programs beside the checkpoint's config and tokenizer.

    Args:
        folder: a finished build.
        suffix: of the programs' files.
        opened: opens the program at a path.
    """

    def __init__(self, folder: Path, suffix: str, opened: Callable[[Path], Program]) -> None:
        super().__init__(folder)
        self.most = MOST
        self.spectrogram, self.encoder, self.decoder = (
            opened(folder / f"{name}{suffix}") for name in (SPECTROGRAM, ENCODER, DECODER)
        )

    @abstractmethod
    def copied(self, state: Any) -> Any:
        """A state of the decoder with the same numbers, which goes its own way."""

    def decode(
        self, tokens: Sequence[int], length: int, encoded: Mapping[str, Any], state: Any
    ) -> Mapping[str, Any]:
        """The decoder's outputs, `logits` and perhaps `crossAttention`, for up to `most` tokens.

        Args:
            tokens: those that go in.
            length: number of tokens up to the last of them.
            encoded: the encoder's outputs.
            state: of the decoder, which is updated.
        """
        import numpy as np

        given = {
            "tokens": np.array([tokens], np.int32),
            "mask": causal_mask(len(tokens), length),
            "keys": encoded["keys"],
            "values": encoded["values"],
        }
        return self.decoder.predict(given, state)

    def features(self, samples: Any) -> Any:
        return self.spectrogram.predict({"samples": samples[None]})["mel"]

    def listen(self, samples: Any) -> _Window:
        return _Window(self, self.encoder.predict({"mel": self.features(samples)}))

    def encoded(self, samples: Any) -> Any:
        import numpy as np

        self.require_open()
        return np.asarray(self.listen(samples).encoded["hidden"][0], np.float32)

    def close(self) -> None:
        super().close()
        self.drop("spectrogram", "encoder", "decoder")


class _Window:
    """One window of audio, encoded."""

    def __init__(self, model: WhisperPrograms, encoded: Mapping[str, Any]) -> None:
        self.model, self.encoded = model, encoded

    def begin(self) -> _Writing:
        return _Writing(self, self.model.decoder.make_state(), 0)

    def attention(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        writing = self.begin()
        writing.go_on(tokens)
        return np.asarray(np.concatenate(writing.attention, axis=2)[0], np.float32)


class _Writing:
    """A decoder that remembers the tokens that it was given."""

    def __init__(self, window: _Window, state: Any, length: int) -> None:
        self.window, self.state, self.length = window, state, length
        self.attention: list[Any] = []

    def go_on(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        found, self.attention = [], []
        model, encoded = self.window.model, self.window.encoded
        for start in range(0, len(tokens), model.most):
            part = list(tokens[start : start + model.most])
            self.length += len(part)
            out = model.decode(part, self.length, encoded, self.state)
            found.append(np.asarray(out["logits"][0], np.float32))
            if ATTENTION in out:
                self.attention.append(out[ATTENTION])
        return np.concatenate(found)

    def fork(self) -> Self:
        return type(self)(self.window, self.window.model.copied(self.state), self.length)


class Flexible(NamedTuple):
    """An axis of any length up to `most`, and the length that it has in an example."""

    name: str
    most: int
    example: int


Shape = tuple[int | Flexible, ...]


class Conversion(ABC):
    """The conversion of one checkpoint.

    Args:
        source: its folder.
        workdir: where the programs go.
    """

    counted = "programs"
    """What progress counts."""

    def __init__(self, source: Path, workdir: Path) -> None:
        self.source, self.workdir = source, workdir
        self.config = read_whisper_config(source)

    @abstractmethod
    def write(
        self,
        module: Any,
        inputs: Mapping[str, Shape],
        outputs: Sequence[str],
        name: str,
        states: Sequence[str] = (),
    ) -> None:
        """Write one program.

        Args:
            module: in PyTorch, in float32.
            inputs: the shapes of its arguments, by the names to give them.
            outputs: the names to give to what it returns.
            name: of the program.
            states: the names of its buffers that become states.
        """

    def make_decoder(self) -> Any:
        """The decoder, without weights."""
        from zoo_whisper.module import Decoder

        return Decoder(self.config)

    def run(self, progress: zoo.Progress) -> None:
        """Write every program.

        Raises:
            zoo.IntegrityError: the weights are not those of the config.
        """
        import torch

        from zoo_whisper.module import Encoder, Spectrogram

        config = self.config
        encoder, decoder = Encoder(config), self.make_decoder()
        self._load(encoder, decoder)
        spectrogram = Spectrogram(torch.from_numpy(feature_extractor(config).mel_filters))
        self.write(spectrogram, {"samples": (1, config.window)}, ["mel"], SPECTROGRAM)
        progress.update(1, 3, self.counted)
        self.write_encoder(encoder, decoder)
        progress.update(2, 3, self.counted)
        self.write_decoder(decoder)
        progress.update(3, 3, self.counted)
        copy_text_files(self.source, self.workdir, left_out=())

    def write_encoder(self, encoder: Any, decoder: Any) -> None:
        """The encoder, with the keys and values of the decoder's cross-attention."""
        from zoo_whisper.module import Memory

        mel = {"mel": (1, self.config.mels, 2 * self.config.frames)}
        self.write(Memory(encoder, decoder), mel, ["hidden", "keys", "values"], ENCODER)

    def write_decoder(self, decoder: Any) -> None:
        """The decoder, for any number of tokens up to `MOST`."""
        config = self.config
        given = Flexible("given", min(MOST, config.context), 3)
        end = Flexible("end", config.context, 7)
        heads = config.decoder_heads
        memory = config.decoder_layers, heads, config.frames, config.width // heads
        inputs: dict[str, Shape] = {
            "tokens": (1, given),
            "mask": (1, 1, given, end),
            "keys": memory,
            "values": memory,
        }
        outputs = ["logits", ATTENTION] if config.heads else ["logits"]
        self.write(decoder, inputs, outputs, DECODER, STATES)

    def _load(self, encoder: Any, decoder: Any) -> None:
        """Fill the modules with the checkpoint's weights."""
        import torch

        tensors = Weights(self.source, self.config).all()
        weights = {name: torch.from_numpy(array) for name, array in tensors.items()}
        if not self.config.tied:
            weights[f"decoder.{HEAD}"] = weights.pop(HEAD)
        both = torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        both.load_state_dict(weights, strict=True, assign=True)


def example_of(inputs: Mapping[str, Shape], kind: Any) -> list[Any]:
    """A tensor of its own for each input, of the type `kind`, save for tokens."""
    import torch

    return [
        torch.zeros(
            [axis.example if isinstance(axis, Flexible) else axis for axis in shape],
            dtype=torch.int32 if name == "tokens" else kind,
        )
        for name, shape in inputs.items()
    ]
