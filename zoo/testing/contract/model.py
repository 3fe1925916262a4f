"""Claims about a loaded model of any task."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from zoo.errors import NotFound, ZooError
from zoo.progress import silent
from zoo.tasks.model import Model
from zoo.tasks.task import Given
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.testing.contract.claim import BrokenClaim, Claims, require, require_refused
from zoo.testing.contract.subject import Subject

MODEL = Claims()
PROMPT = "the sun is red"
SHORT: dict[str, Any] = {"sample_rate": 16_000, "temperature": 0, "sample_len": 8}
"""Options by which speech is transcribed quickly, whatever the model makes of it."""


@MODEL.claim
def repeats(subject: Subject) -> None:
    """The same input gives the same output, also after other calls."""
    model = subject.model
    first = fingerprint(call(subject, model))
    call(subject, model, other=True)
    require(fingerprint(call(subject, model)) == first, "the same input gave another output")


@MODEL.claim
def closes_twice(subject: Subject) -> None:
    """A model can be closed twice, and leaving its context closes it."""
    model = subject.load()
    model.close()
    try:
        model.close()
    except Exception as error:
        raise BrokenClaim(f"a second close raises {type(error).__name__}: {error}") from error
    with subject.load() as again:
        pass
    require(again.closed, "the model is open after its context")


@MODEL.claim
def closed_refuses(subject: Subject) -> None:
    """A closed model raises an InputError."""
    model: Any = subject.load()
    tokens = model.encode(PROMPT) if isinstance(model, TextModel) else []
    model.close()
    require_refused(lambda: call(subject, model), "a closed model", "answers")
    if isinstance(model, TextModel):
        require_refused(lambda: model.logits(tokens), "a closed model", "gives logits")
        require_refused(
            lambda: list(model.tokens(tokens, Sampling())), "a closed model", "gives tokens"
        )


@MODEL.claim
def strange_option_refused(subject: Subject) -> None:
    """An unknown option raises an InputError."""
    if not subject.task.options().names():
        raise SkipTest("the task has no options")
    model = subject.model
    require_refused(
        lambda: call(subject, model, no_such_option=1),
        "the option 'no_such_option'",
        "is accepted",
    )


@MODEL.claim
def adapters_there_and_back(subject: Subject) -> None:
    """Adapters change the output, and without one the output is as before."""
    model = subject.model
    if not subject.adapters:
        _refused_adapter(model)
        raise SkipTest("the recipe has no adapter")
    require(
        set(model.adapters) == set(subject.adapters),
        f"the recipe has the adapters {', '.join(subject.adapters)}, and the model "
        f"{', '.join(model.adapters) or 'none'}",
    )
    _refused_adapter(model)
    plain = answer(subject, model)
    for name in subject.adapters:
        model.use(name)
        changed = answer(subject, model)
        model.use(None)
        require(changed != plain, f"the adapter '{name}' changes nothing")
        require(
            answer(subject, model) == plain,
            f"after use(None), the outputs still differ from those before '{name}'",
        )


def _refused_adapter(model: Model) -> None:
    try:
        model.use("no-such-adapter")
    except NotFound:
        return
    except ZooError as error:
        raise BrokenClaim(f"an unknown adapter raises {type(error).__name__}") from error
    raise BrokenClaim("an adapter that it does not have is accepted")


def answer(subject: Subject, model: Model) -> object:
    """Return an output that differs between adapters: logits of text, or an output of a call."""
    if subject.recipe.task == "text-generation":
        text: Any = model
        return fingerprint(text.logits(text.encode(PROMPT)))
    return fingerprint(call(subject, model))


def call(subject: Subject, model: Model, *, other: bool = False, **options: Any) -> Any:
    """Call the model with a short input for its task.

    Args:
        subject: provides the input for tasks that zoo does not include.
        model: the model to call.
        other: whether to use another input.
        options: further options of the call.
    """
    made: Any = model
    if subject.example is not None:
        return made(subject.example, **options)
    match subject.recipe.task:
        case "text-generation":
            prompt = "a cat sat" if other else PROMPT
            return made.generate(prompt, chat=False, max_tokens=4, **options)
        case "automatic-speech-recognition":
            return made.transcribe(tone(300 if other else 200), **SHORT, **options)
        case "text-to-image":
            prompt = "a blue square" if other else "a red circle"
            return made.generate(prompt, seed=1, steps=1, **options)
        case _:
            given = Given(argument="a cat sat" if other else PROMPT)
            return list(subject.task.run(model, given, options, silent))


def tone(pitch: int, seconds: float = 0.5) -> Any:
    """Return a sine tone, float32 of shape (seconds * 16,000,).

    Args:
        pitch: frequency, in Hz.
        seconds: duration, in seconds.
    """
    import numpy as np

    at = np.arange(int(seconds * 16_000)) / 16_000
    return np.sin(2 * np.pi * pitch * at).astype(np.float32) / 4


def fingerprint(value: Any) -> object:
    """Return a value that is equal for equal outputs, and differs for others."""
    if hasattr(value, "tobytes"):
        return (getattr(value, "shape", getattr(value, "size", None)), value.tobytes())
    if isinstance(value, list | tuple):
        return tuple(map(fingerprint, value))
    return repr(value)
