"""Whisper by PyTorch: the source itself, run by transformers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import read_adapters
from zoo.formats.torch import Branches, best_device, cache_name, computing
from zoo_whisper.config import WhisperConfig
from zoo_whisper.model import WhisperModel
from zoo_whisper.weights import HEAD, PREFIX, Weights


class TorchWhisper(WhisperModel):
    """A checkpoint folder in the Hugging Face layout.

    Attributes:
        memory: what this release of transformers calls the decoder's keys and values.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = best_device()
        made = load_module(folder, self.config)
        self.module = made.to(self.device).eval()
        self.memory = cache_name(made.model.decoder)

    def listen(self, samples: Any) -> _Window:
        import torch

        with computing(self.module):
            features = torch.from_numpy(self.features(samples)).to(self.device)
            return _Window(self, self.module.model.encoder(features).last_hidden_state)

    def encoded(self, samples: Any) -> Any:
        self.require_open()
        return self.listen(samples).hidden[0].cpu().numpy()

    _branches: Any = None

    def add_adapters(self, folders: Mapping[str, Path]) -> Self:
        """Have the LoRA adapters in these folders to choose from; returns the model.

        Raises:
            zoo.IntegrityError: an adapter is damaged, or of another model.
        """
        if folders:
            shapes = {name: tuple(p.shape) for name, p in self.module.named_parameters()}
            self._branches = Branches(self.module, read_adapters(folders, shapes))
            self.adapters = tuple(folders)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        if self._branches is not None:
            self._branches.use(weights)

    def close(self) -> None:
        super().close()
        self.module = None


def load_module(folder: Path, config: WhisperConfig) -> Any:
    """transformers' module with the weights of a folder in float32, all of them and no others.

    Raises:
        zoo.IntegrityError: tensors are missing, unknown, or of another shape than the config's.
    """
    import torch
    from transformers import WhisperConfig as Theirs
    from transformers import WhisperForConditionalGeneration

    weights = Weights(folder, config)
    with torch.device("meta"):
        module = WhisperForConditionalGeneration(
            Theirs(
                vocab_size=config.vocabulary,
                num_mel_bins=config.mels,
                d_model=config.width,
                encoder_layers=config.encoder_layers,
                encoder_attention_heads=config.encoder_heads,
                encoder_ffn_dim=config.encoder_inner,
                decoder_layers=config.decoder_layers,
                decoder_attention_heads=config.decoder_heads,
                decoder_ffn_dim=config.decoder_inner,
                activation_function=config.activation,
                max_source_positions=config.frames,
                max_target_positions=config.context,
                tie_word_embeddings=config.tied,
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
                decoder_start_token_id=0,
                begin_suppress_tokens=None,
            )
        )
    state = {
        name if name == HEAD else f"{PREFIX}{name}": torch.from_numpy(array)
        for name, array in weights.all().items()
    }
    if config.tied:
        state[HEAD] = state[f"{PREFIX}decoder.embed_tokens.weight"]
    module.load_state_dict(state, strict=True, assign=True)
    module.tie_weights()
    return module


class _Window:
    def __init__(self, model: TorchWhisper, hidden: Any) -> None:
        self.model, self.hidden = model, hidden

    def begin(self) -> _Writing:
        return _Writing(self, None)

    def attention(self, tokens: Sequence[int]) -> Any:
        import torch

        module = self.model.module
        before = module.config._attn_implementation
        module.set_attn_implementation("eager")
        try:
            with computing(module):
                found = module.model.decoder(
                    input_ids=torch.tensor([list(tokens)], device=self.model.device),
                    encoder_hidden_states=self.hidden,
                    output_attentions=True,
                ).cross_attentions
        finally:
            module.set_attn_implementation(before)
        heads = [found[layer][0, head] for layer, head in self.model.config.heads]
        return torch.stack(heads).cpu().numpy()


class _Writing:
    def __init__(self, window: _Window, cache: Any) -> None:
        self.window, self.cache = window, cache

    def go_on(self, tokens: Sequence[int]) -> Any:
        import torch

        model = self.window.model
        module = model.module
        with computing(module):
            out = module.model.decoder(
                input_ids=torch.tensor([list(tokens)], device=model.device),
                encoder_hidden_states=self.window.hidden,
                use_cache=True,
                **{model.memory: self.cache},
            )
            self.cache = out[model.memory]
            return module.proj_out(out.last_hidden_state)[0].float().cpu().numpy()

    def fork(self) -> Self:
        return type(self)(self.window, copy.deepcopy(self.cache))


@zoo.hookimpl
def run(artifact: Path, adapters: Mapping[str, Path]) -> zoo.SpeechModel:
    return TorchWhisper(artifact).add_adapters(adapters)
