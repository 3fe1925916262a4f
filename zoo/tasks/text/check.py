"""The check of language models: how far a build diverges from its source on the same text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.errors import StepError, ZooError
from zoo.tasks.examples import Example, collected, keep

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.text.model import TextModel

LONG, SHORT, POSITIONS = 768, 64, 1024
OPENING, TOKENS = 12, 48
"""Words of the text that an example continues, and tokens that it adds."""


def measure_text(
    inputs: list[Path], source: Callable[[], Model], build: Callable[[], Model]
) -> dict[str, float]:
    """Agreement of two language models, position by position, on the same text.

    Both see the same tokens at every position (teacher forcing), so one differing choice does
    not spoil what follows. A long window comes first, then short ones, 1,024 positions in all.

    Returns:
        top1: share of positions where both find the same token likeliest.
        kl: mean Kullback-Leibler divergence from source to build, in nats.
        perplexity, source_perplexity: on the text itself.
        perplexity_ratio: the first over the second.
        positions: how many were compared.
    """
    import numpy as np

    with cast("TextModel", source()) as reference:
        text = "\n\n".join(path.read_text(encoding="utf-8") for path in inputs)
        windows = list(_windows(reference.encode(text), reference.context))
        expected = [_log_probabilities(_logits(reference, window)) for window in windows]
    agree, divergence, surprise, source_surprise = [], [], [], []
    with cast("TextModel", build()) as model:
        for window, wanted in zip(windows, expected, strict=True):
            found = _log_probabilities(_logits(model, window, wanted.shape[1]))
            agree.append(found.argmax(-1) == wanted.argmax(-1))
            divergence.append((np.exp(wanted) * (wanted - found)).sum(-1))
            following = np.arange(len(window) - 1), np.asarray(window[1:])
            surprise.append(-found[following])
            source_surprise.append(-wanted[following])
        _keep_example(model, text)
    perplexity = float(np.exp(np.concatenate(surprise).mean()))
    source_perplexity = float(np.exp(np.concatenate(source_surprise).mean()))
    return {
        "top1": float(np.concatenate(agree).mean()),
        "kl": float(np.concatenate(divergence).mean()),
        "perplexity_ratio": perplexity / source_perplexity,
        "perplexity": perplexity,
        "source_perplexity": source_perplexity,
        "positions": float(sum(map(len, windows))),
    }


def _logits(model: TextModel, tokens: list[int], vocabulary: int | None = None) -> Any:
    """The logits of a model, which are of the shape that they must have.

    Raises:
        StepError: they are not; the message names the class.
    """
    import numpy as np

    found = np.asarray(model.logits(tokens))
    wide = vocabulary or (found.shape[1] if found.ndim == 2 else None)
    if found.shape != (len(tokens), wide):
        made_by = f"{type(model).__module__}.{type(model).__name__}"
        raise StepError(
            f"the logits of {made_by} have the shape {found.shape}, and must have "
            f"({len(tokens)}, {wide or 'vocabulary'})"
        )
    return found


def _keep_example(model: TextModel, text: str) -> None:
    """Keep what the build writes after the opening of the text, where somebody wants it."""
    opening = " ".join(text.split()[:OPENING])
    if collected() and opening:
        with suppress(ZooError):  # such as a context that is too short for it
            written = model.generate(opening, chat=False, max_tokens=TOKENS, temperature=0)
            keep(Example(opening, written))


def _windows(tokens: list[int], context: int | None) -> Iterator[list[int]]:
    start = 0
    while start < min(POSITIONS, len(tokens)):
        longest = LONG if start == 0 else SHORT
        length = min(longest, context or longest, POSITIONS - start)
        if len(window := tokens[start : start + length]) > 1:
            yield window
        start += length


def _log_probabilities(logits: Any) -> Any:
    import numpy as np

    wide = np.asarray(logits, dtype=np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))
