"""Claims about text-to-image models."""

from __future__ import annotations

from typing import cast

from zoo.tasks.pictures.model import ImageModel
from zoo.testing.contract.claim import Claims, require
from zoo.testing.contract.model import fingerprint
from zoo.testing.contract.subject import Subject

PICTURES = Claims()
PROMPT = "a red circle"


@PICTURES.claim
def components_are_float32(subject: Subject) -> None:
    """Outputs of components are float32 and finite."""
    import numpy as np

    found = _model(subject).component_outputs(PROMPT)
    require(found, "there are no components")
    for name, array in found.items():
        require(array.dtype == np.float32, f"{name} is {array.dtype}, not float32")
        require(np.isfinite(array).all(), f"{name} holds NaN or infinity")


@PICTURES.claim
def seeds_choose(subject: Subject) -> None:
    """The same seed generates the same image, and another seed another image."""
    model = _model(subject)
    first, second, other = (
        fingerprint(model.generate(PROMPT, seed=seed, steps=2)) for seed in (1, 1, 2)
    )
    require(first == second, "the same seed generates another picture")
    require(first != other, "another seed generates the same picture")


@PICTURES.claim
def steps_are_counted(subject: Subject) -> None:
    """Steps are numbered from 1 to the total, and each can decode its image."""
    steps = list(_model(subject).stream(PROMPT, seed=1, steps=2))
    numbers = [(step.number, step.total) for step in steps]
    wanted = [(number + 1, len(steps)) for number in range(len(steps))]
    require(numbers == wanted, f"steps are numbered {numbers}")
    (picture,) = steps[-1].pictures()
    require(picture.mode == "RGB", f"a picture is in the mode {picture.mode}")


@PICTURES.claim
def abandoned_stream(subject: Subject) -> None:
    """A generation that is stopped early does not change later images."""
    model = _model(subject)
    whole = fingerprint(model.generate(PROMPT, seed=1, steps=2))
    left = iter(model.stream("a blue square", seed=3, steps=2))
    next(left)
    again = fingerprint(model.generate(PROMPT, seed=1, steps=2))
    require(again == whole, "beside an open stream, a picture changes")


def _model(subject: Subject) -> ImageModel:
    return cast("ImageModel", subject.model)
