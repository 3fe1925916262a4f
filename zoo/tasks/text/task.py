"""Text generation as a task."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from zoo.progress import Event
from zoo.tasks.task import HIGHER, LOWER, Given, Metric, Scorer, Task

if TYPE_CHECKING:
    import click

    from zoo.progress import Listener
    from zoo.tasks.model import Model
    from zoo.tasks.text.model import TextModel
    from zoo.tasks.text.options import Sampling


LONGEST_ECHO = 2_000
"""Letters of a prompt that is shown with its answer."""


class TextGeneration(Task):
    """A language model continues a text, or answers in a chat."""

    title = "Text generation"
    label = "text"
    synonyms = ("llm", "language-model", "chat", "completion", "gpt")
    input = "the prompt"
    example = '"Once upon a time"'
    python_example = 'print(model.generate("Once upon a time"))'
    metrics: ClassVar[Mapping[str, Metric]] = {
        "top1": Metric("share of positions where both rank the same token first", HIGHER),
        "kl": Metric("mean KL divergence from the source, in nats", LOWER),
        "perplexity_ratio": Metric(
            "the perplexity of the build over that of the source", LOWER, adapters=False
        ),
        "perplexity": Metric("of the build, on the text of the check", adapters=False),
        "source_perplexity": Metric("of the source, on the text of the check", adapters=False),
        "positions": Metric("number of positions", adapters=False),
    }
    faithful: ClassVar[Mapping[str, float]] = {"kl": 0.05}

    def model(self) -> type[TextModel]:
        from zoo.tasks.text.model import TextModel

        return TextModel

    def options(self) -> type[Sampling]:
        from zoo.tasks.text.options import Sampling

        return Sampling

    def measure(
        self,
        inputs: Sequence[Path],
        source: Callable[[], Model],
        build: Callable[[], Model],
        scorer: Scorer | None = None,
    ) -> dict[str, float]:
        from zoo.tasks.text.check import measure_text

        return measure_text(list(inputs), source, build)

    def flags(self) -> Sequence[click.Option]:
        import click

        chat = "A turn of a chat, or text to continue."
        return (click.Option(["--chat/--raw"], default=None, help=chat),)

    def run(
        self, model: Model, given: Given, options: dict[str, Any], listener: Listener
    ) -> Generator[str, None, dict[str, Any]]:
        """The continuation or answer, piece by piece."""
        text = cast("TextModel", model)
        if text.chat_by_template and options.get("chat") is None:
            said = "the tokenizer has a chat template: the prompt is a turn of a chat"
            listener(Event("run", "note", message=f"{said}; --raw continues the prompt instead"))
        pieces = []
        for piece in text.stream(given.text, **options):
            pieces.append(piece)
            yield piece
        took = text.last.to_dict() if text.last else None
        return {"text": "".join(pieces), "statistics": took}

    def echo(self, model: Model, given: Given, options: Mapping[str, Any]) -> str:
        """A prompt that was typed, on a line of its own in a chat."""
        if given.argument is None or len(given.argument) > LONGEST_ECHO:
            return ""
        chat = options.get("chat")
        answered = cast("TextModel", model).chat_by_template if chat is None else chat
        return f"{given.argument}\n" if answered else given.argument


TASK = TextGeneration()
