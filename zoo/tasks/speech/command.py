"""Speech to text on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import click

from zoo.progress import Listener
from zoo.tasks.model import Model
from zoo.tasks.speech.model import SpeechModel
from zoo.tasks.task import Given


def speech(
    model: Model, given: Given, options: dict[str, Any], listener: Listener
) -> Iterator[str]:
    """Speech to text: a line for each segment, or a document of them all."""
    from io import BytesIO

    speaker = cast(SpeechModel, model)
    sound = given.argument if given.argument is not None else BytesIO(given.piped)
    form = options.pop("transcript", "text")
    if form == "text":
        for segment in speaker.stream(sound, listener=listener, **options):
            yield segment.text.strip() + "\n"
        return
    transcript = speaker.transcribe(sound, listener=listener, **options)
    if form == "json":
        yield transcript.to_json() + "\n"
    else:
        yield transcript.to_srt() if form == "srt" else transcript.to_vtt()


SPEECH_OPTIONS = (
    click.option(
        "--transcript",
        type=click.Choice(["text", "srt", "vtt", "json"]),
        help="Speech: how to write it.",
    ),
    click.option("--language", help="Speech: its language, such as en; found when not given."),
    click.option(
        "--task", type=click.Choice(["transcribe", "translate"]), help="Speech: into English?"
    ),
    click.option("--prompt", help="Speech: a text that comes before, for names and spellings."),
    click.option("--words", is_flag=True, default=None, help="Speech: when each word is said."),
    click.option("--beams", type=click.IntRange(1, 32), help="Speech: texts followed at once."),
)
