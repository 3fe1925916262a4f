"""Claims about language models: their logits and the tokens that they generate."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any, cast

from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.testing.contract.claim import Claims, require, require_refused
from zoo.testing.contract.model import PROMPT
from zoo.testing.contract.subject import Subject

TEXT = Claims()
TOKENS = 6
NEAR = 0.02
"""Most that logits in float16 differ by how many tokens went through at once, of their range."""


@TEXT.claim
def logits_are_float32(subject: Subject) -> None:
    """Logits are a float32 array of shape (tokens, vocabulary), finite in every entry."""
    import numpy as np

    model, prompt = _model(subject)
    logits: Any = model.logits(prompt)
    require(isinstance(logits, np.ndarray), f"logits are a {type(logits).__name__}, not an array")
    require(logits.dtype == np.float32, f"logits are {logits.dtype}, not float32")
    right = logits.ndim == 2 and len(logits) == len(prompt)
    require(right, f"logits of {len(prompt)} tokens have the shape {logits.shape}")
    size = model.vocabulary
    require(
        size in (None, logits.shape[1]), f"logits are of {logits.shape[1]} tokens, and {size} exist"
    )
    require(np.isfinite(logits).all(), "logits hold NaN or infinity")


@TEXT.claim
def logits_of_a_prefix(subject: Subject) -> None:
    """Later tokens do not change logits: those of a prefix are the first of the whole."""
    import numpy as np

    model, prompt = _model(subject)
    whole, part = model.logits(prompt), model.logits(prompt[: len(prompt) // 2])
    apart = np.abs(whole[: len(part)] - part).max()
    near = NEAR * (whole.max() - whole.min())
    require(apart <= near, f"logits of a prefix differ by {apart:.3g} from those of the whole")


@TEXT.claim
def greedy_is_the_argmax(subject: Subject) -> None:
    """At temperature 0, each token is the most likely one by the logits."""
    model, prompt = _model(subject)
    chosen = list(model.tokens(prompt, Sampling(max_tokens=TOKENS)))
    logits = model.logits([*prompt, *chosen])
    near = NEAR * (logits.max() - logits.min())
    for number, token in enumerate(chosen):
        row = logits[len(prompt) + number - 1]
        require(
            row[token] >= row.max() - near,
            f"token {number} is {token}, and the likeliest one is {row.argmax()}",
        )


@TEXT.claim
def max_tokens_kept(subject: Subject) -> None:
    """At most `max_tokens` tokens are generated, each an int."""
    model, prompt = _model(subject)
    for most in (1, 3):
        found = list(islice(model.tokens(prompt, Sampling(max_tokens=most)), 4 * most))
        require(len(found) <= most, f"max_tokens = {most} writes {len(found)} tokens or more")
        wrong = [t for t in found if type(t) is not int]
        require(not wrong, f"a token is a {type(wrong[0]).__name__}, not an int" if wrong else "")


@TEXT.claim
def seed_repeats(subject: Subject) -> None:
    """The same seed samples the same tokens."""
    model, prompt = _model(subject)
    sampling = Sampling(max_tokens=TOKENS, temperature=1.5, seed=7)
    first, second = (list(model.tokens(prompt, sampling)) for _ in range(2))
    require(first == second, "with temperature, the same seed chose other tokens")


@TEXT.claim
def temperature_samples(subject: Subject) -> None:
    """Above temperature 0, other seeds sample other tokens."""
    model, prompt = _model(subject)
    found = {
        tuple(model.tokens(prompt, Sampling(max_tokens=TOKENS, temperature=4.0, seed=seed)))
        for seed in range(5)
    }
    require(len(found) > 1, "five seeds at a temperature of 4 chose the same tokens")


@TEXT.claim
def no_state_between_calls(subject: Subject) -> None:
    """Earlier calls do not change logits."""
    import numpy as np

    model, prompt = _model(subject)
    before = model.logits(prompt)
    list(model.tokens(prompt, Sampling(max_tokens=TOKENS)))
    model.logits(prompt[::-1])
    require(np.array_equal(before, model.logits(prompt)), "after other calls, logits are others")


@TEXT.claim
def abandoned_stream(subject: Subject) -> None:
    """A generation that is stopped early changes no other, and two can alternate."""
    model, prompt = _model(subject)
    sampling = Sampling(max_tokens=TOKENS)
    whole, other = (list(model.tokens(p, sampling)) for p in (prompt, prompt[:2]))
    left = iter(model.tokens(prompt[:2], sampling))
    first = next(left, None)
    require(list(model.tokens(prompt, sampling)) == whole, "beside an open stream, others change")
    require([first, *left] == other, "read in turns with another one, a stream changes")
    next(iter(model.tokens(prompt[:2], sampling)), None)
    require(list(model.tokens(prompt, sampling)) == whole, "after an abandoned stream, they change")


@TEXT.claim
def strange_tokens_refused(subject: Subject) -> None:
    """Empty input, or a token without an embedding, raises an InputError."""
    model, prompt = _model(subject)
    size = model.logits(prompt[:1]).shape[1]
    for tokens, what in (([], "no tokens at all"), ([prompt[0], size], f"the token {size}")):
        require_refused(partial(model.logits, tokens), what, "is accepted")


def _model(subject: Subject) -> tuple[TextModel, list[int]]:
    """The model, and the tokens of a prompt."""
    model = cast("TextModel", subject.model)
    return model, model.encode(PROMPT)
