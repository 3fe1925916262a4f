"""Language models of mlx-lm, behind zoo's `TextModel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

from zoo.formats.mlx.loading import computes_on_cpu, open_model
from zoo.formats.mlx.sampling import make_sampler
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.tasks.text.tokenizer import Tokenizer

CHUNK = 2048
"""Tokens that go through the model at once when logits are asked for."""


class MLXTextModel(TextModel):
    """A causal language model in MLX, run by mlx-lm.

    Args:
        tokenizer: as for `zoo.TextModel`.
        context: as for `zoo.TextModel`.
        chat: as for `zoo.TextModel`.
    """

    @classmethod
    def load(cls, folder: Path, *, context: int | None, chat: bool | None = False) -> Self:
        """Load the model of an MLX checkpoint.

        A GPU (Apple or CUDA) computes in the type of the build. A CPU computes in float32, its
        fastest type, and widens the scales of quantized weights to it.

        Args:
            folder: the folder of the checkpoint.
            context: as for `zoo.TextModel`.
            chat: as for `zoo.TextModel`.

        Raises:
            IntegrityError: there are no safetensors, or the model requires code of its own.
        """
        import mlx.core as mx

        tokenizer = Tokenizer(folder, chat=chat)
        made, config = open_model(folder)
        if computes_on_cpu():
            made.set_dtype(mx.float32)
            mx.eval(made.parameters())
        context = context or config.get("max_position_embeddings")
        model = cls(tokenizer, context=context, chat=chat)
        model._module, model._vocabulary = made, config.get("vocab_size")
        return model

    @property
    def vocabulary(self) -> int | None:
        return self._vocabulary

    _vocabulary: int | None = None
    _module: Any = None
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
        from zoo.formats.mlx.branches import Branches, matrix_shapes

        changes = read_adapters(folders, matrix_shapes(self._module))
        self._branches = Branches(self._module, changes)
        self.adapters = tuple(folders)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        if self._branches is not None:
            self._branches.use(weights)

    def close(self) -> None:
        super().close()
        self._module = None

    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        self.require_open()
        self.require_tokens(prompt)
        import mlx.core as mx
        from mlx_lm.generate import generate_step, generation_stream, wired_limit

        sampler = make_sampler(sampling)
        limit = (
            wired_limit(self._module, [generation_stream])
            if mx.metal.is_available()
            else nullcontext()
        )
        with limit:
            steps = generate_step(
                mx.array(list(prompt)),
                self._module,
                max_tokens=sampling.max_tokens,
                sampler=sampler,
            )
            for token, _ in steps:
                yield int(token)

    def logits(self, tokens: Sequence[int]) -> Any:
        self.require_open()
        self.require_tokens(tokens)
        import mlx.core as mx
        import numpy as np
        from mlx_lm.models.cache import make_prompt_cache

        cache, found = make_prompt_cache(self._module), []
        for start in range(0, len(tokens), CHUNK):
            chunk = mx.array([list(tokens[start : start + CHUNK])])
            logits = self._module(chunk, cache=cache)[0].astype(mx.float32)
            found.append(np.array(logits))
        return np.concatenate(found)
