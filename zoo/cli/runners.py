"""How each kind of model is run from the command line.

A runner takes the loaded model, the input, the options given and a listener that is told how far it
is. It yields pieces as they come, text or bytes of a file, and returns what `--json` prints in
place of the text, if it is not the text. Add one to `RUNNERS` for each class of model.
"""

from __future__ import annotations

from typing import Any, cast

from zoo.errors import InputError
from zoo.progress import Listener
from zoo.tasks.model import Model
from zoo.tasks.pictures.model import ImageModel
from zoo.tasks.speech.command import speech
from zoo.tasks.speech.model import SpeechModel
from zoo.tasks.task import Given, Pieces, Runner
from zoo.tasks.text.command import text
from zoo.tasks.text.model import TextModel


def image(model: Model, given: Given, options: dict[str, Any], listener: Listener) -> Pieces:
    """Text to image: the paths of what was written, or the picture itself."""
    from zoo.tasks.pictures.command import draw

    return (yield from draw(cast(ImageModel, model), given.text, options, listener))


RUNNERS: dict[type[Any], Runner] = {TextModel: text, SpeechModel: speech, ImageModel: image}

LINES = (SpeechModel, ImageModel)
"""Models whose runner yields whole lines, line breaks and all."""


def runner_for(model: Model) -> Runner:
    """The runner of a model's class.

    Raises:
        InputError: the command line cannot run such a model.
    """
    for kind, runner in RUNNERS.items():
        if isinstance(model, kind):
            return runner
    raise InputError(
        f"the command line cannot run a {type(model).__name__}",
        "use it in Python: zoo.load(...)",
    )
