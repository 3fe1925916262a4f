"""A decoder with grouped-query attention, rotary positions and SwiGLU, in NumPy."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo.formats import Sampler, read_json
from zoo.tasks import Tokenizer


class NpzModel(zoo.TextModel):
    def __init__(self, folder: Path, recipe: zoo.Recipe) -> None:
        super().__init__(Tokenizer(folder), context=recipe.context, chat=recipe.chat)
        self.config = read_json(folder / "config.json")
        self.weights = dict(np.load(folder / "weights.npz"))

    def tokens(self, prompt: Sequence[int], sampling: zoo.Sampling) -> Iterator[int]:
        choose, written = Sampler(sampling), list(prompt)
        for _ in range(sampling.max_tokens):
            written.append(choose(self.logits(written)[-1]))
            yield written[-1]

    def logits(self, tokens: Sequence[int]) -> Any:
        self.require_open()
        x = self.weights["model.embed_tokens.weight"][np.asarray(tokens)]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            x = x + self._attention(self._norm(x, prefix + "input_layernorm"), prefix)
            y = self._norm(x, prefix + "post_attention_layernorm")
            gate = self._linear(y, prefix + "mlp.gate_proj")
            up = gate / (1 + np.exp(-gate)) * self._linear(y, prefix + "mlp.up_proj")
            x = x + self._linear(up, prefix + "mlp.down_proj")
        return self._linear(self._norm(x, "model.norm"), "lm_head").astype(np.float32)

    def close(self) -> None:
        super().close()
        self.weights = {}

    def _attention(self, x: Any, prefix: str) -> Any:
        size, count = self.config["head_dim"], len(x)
        q, k, v = (
            self._linear(x, f"{prefix}self_attn.{p}_proj").reshape(count, -1, size) for p in "qkv"
        )
        q, k = self._rotated(q), self._rotated(k)
        k, v = (np.repeat(a, q.shape[1] // k.shape[1], axis=1) for a in (k, v))
        q, k, v = (a.swapaxes(0, 1) for a in (q, k, v))
        scores = q @ k.swapaxes(1, 2) * size**-0.5
        scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        return self._linear(mixed.swapaxes(0, 1).reshape(count, -1), prefix + "self_attn.o_proj")

    def _rotated(self, x: Any) -> Any:
        half = x.shape[-1] // 2
        speed = self.config["rope_theta"] ** (-np.arange(half, dtype=np.float32) / half)
        angle = (np.arange(len(x), dtype=np.float32)[:, None] * speed)[:, None]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate(
            [a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1
        )

    def _norm(self, x: Any, name: str) -> Any:
        size = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / size * self.weights[name + ".weight"]

    def _linear(self, x: Any, name: str) -> Any:
        return x @ self.weights[name + ".weight"].T
