"""Causal language models of `transformers`, behind zoo's `TextModel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Self

from zoo.formats.sampling import LEAST_TEMPERATURE
from zoo.formats.torch.device import best_device
from zoo.formats.torch.inference import computing
from zoo.formats.torch.loading import make_module
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.tasks.text.tokenizer import Tokenizer

CHUNK = 2048
"""Tokens of a prompt that go through the model at once."""


class TorchTextModel(TextModel):
    """A causal language model in PyTorch.

    For architectures in transformers, call `of` with the values of the config. A family with a
    module of its own overrides `forward` and calls the class.

    Args:
        module: the PyTorch module, on the device where it runs.
        tokenizer: as for `zoo.TextModel`.
        context: as for `zoo.TextModel`.
        chat: as for `zoo.TextModel`.
    """

    def __init__(
        self, module: Any, tokenizer: Tokenizer, *, context: int | None, chat: bool | None = False
    ) -> None:
        super().__init__(tokenizer, context=context, chat=chat)
        self.module, self.device = module, next(module.parameters()).device

    @classmethod
    def of(
        cls,
        values: Mapping[str, Any],
        folder: Path,
        *,
        context: int | None = None,
        chat: bool | None = False,
    ) -> Self:
        """Load a model of transformers with the weights in a folder.

        Args:
            values: `model_type` and the arguments of its config class. The family has validated
                them, and they match the weights; the folder's own `config.json` is not read.
            folder: a checkpoint folder in the Hugging Face layout.
            context: as for `zoo.TextModel`.
            chat: as for `zoo.TextModel`.

        Raises:
            IntegrityError: weights are missing from the folder or unknown to the module.
            NotFound: the folder has no tokenizer.
        """
        from zoo.formats.tensors import Tensors

        tokenizer = Tokenizer(folder, chat=chat)
        made = make_module(values, Tensors(folder), best_device())
        return cls(made, tokenizer, context=context, chat=chat)

    @property
    def vocabulary(self) -> int | None:
        embedding = getattr(self.module, "get_input_embeddings", lambda: None)()
        return None if embedding is None else int(embedding.num_embeddings)

    _branches: Any = None

    def add_adapters(self, folders: Mapping[str, Path]) -> Self:
        """Add LoRA adapters, which `use` selects.

        Args:
            folders: adapter to its folder.

        Returns: the model.

        Raises:
            IntegrityError: an adapter is damaged, or for another model.
        """
        from zoo.formats.adapters import read_adapters
        from zoo.formats.torch.branches import Branches

        shapes = {name: tuple(weight.shape) for name, weight in self.module.named_parameters()}
        self._branches = Branches(self.module, read_adapters(folders, shapes))
        self.adapters = tuple(folders)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        if self._branches is not None:
            self._branches.use(weights)

    def close(self) -> None:
        super().close()
        self.module = None

    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        self.require_open()
        self.require_tokens(prompt)
        import torch

        choose = _sampler(torch, sampling, self.device)
        cache, last = None, None
        for chunk in _chunks(prompt):
            last, cache = self._next(chunk, cache, 1)
        for written in range(1, sampling.max_tokens + 1):
            token = choose(last)
            yield token
            if written < sampling.max_tokens:
                last, cache = self._next([token], cache, 1)

    def logits(self, tokens: Sequence[int]) -> Any:
        self.require_open()
        self.require_tokens(tokens)
        import torch

        found, cache = [], None
        for chunk in _chunks(tokens):
            logits, cache = self._next(chunk, cache, 0)
            found.append(logits.float().cpu())
        return torch.cat(found).numpy()

    def _next(self, ids: Sequence[int], cache: Any, keep: int) -> tuple[Any, Any]:
        with computing(self.module):
            return self.forward(ids, cache, keep)

    def forward(self, ids: Sequence[int], cache: Any, keep: int) -> tuple[Any, Any]:
        """Run the module on the next tokens.

        Args:
            ids: token ids that follow those in `cache`.
            cache: the cache that the last call returned, or `None` at the start.
            keep: number of last positions to return logits of; 0 for all.

        Returns: logits of shape (positions, vocabulary), and the cache with the new tokens.
        """
        import torch

        given = torch.tensor([list(ids)], device=self.device)
        name = cache_name(self.module)
        out = self.module(given, **{name: cache}, use_cache=True, logits_to_keep=keep)
        return out.logits[0], out[name]


def cache_name(module: Any) -> str:
    """Return the name of the cache argument of a transformers module, which versions differ in."""
    return "cache" if "cache" in signature(module.forward).parameters else "past_key_values"


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _sampler(torch: Any, sampling: Sampling, device: Any) -> Any:
    """A function from logits of shape (1, vocabulary) to the token chosen."""
    if sampling.temperature == 0:
        return lambda logits: int(logits[-1].argmax())
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    warpers = LogitsProcessorList()
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    if sampling.top_k > 0:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    warpers.append(TemperatureLogitsWarper(max(float(sampling.temperature), LEAST_TEMPERATURE)))
    generator = torch.Generator(device)
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)

    def choose(logits: Any) -> int:
        scores = warpers(None, logits[-1:].float())
        return int(torch.multinomial(scores.softmax(-1), 1, generator=generator))

    return choose
