"""Text generation on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import click

from zoo.progress import Listener
from zoo.tasks.model import Model
from zoo.tasks.task import Given
from zoo.tasks.text.model import TextModel


def text(model: Model, given: Given, options: dict[str, Any], listener: Listener) -> Iterator[str]:
    """Text generation: the pieces of the continuation or answer."""
    yield from cast(TextModel, model).stream(given.text, **options)


TEXT_OPTIONS = (
    click.option("--max-tokens", type=click.IntRange(1), help="Stop after so many tokens."),
    click.option("--temperature", type=click.FloatRange(0), help="0 takes the likeliest."),
    click.option("--top-p", type=click.FloatRange(0, 1), help="Least probability mass kept."),
    click.option("--top-k", type=click.IntRange(0), help="Keep the K likeliest tokens."),
    click.option("--min-p", type=click.FloatRange(0, 1), help="Least share of the likeliest."),
    click.option("--seed", type=int, help="Same seed, same answer."),
    click.option("--stop", multiple=True, help="Stop at this text. May be given several times."),
    click.option("--chat/--raw", default=None, help="A turn of a chat, or text to continue."),
)
