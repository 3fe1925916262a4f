"""Run a chat template in a process of its own, with limits: `python render.py`, JSON in and out.

A template is a program of the model's maker. It runs in Jinja's sandbox, and here, where a limit
of memory and of time can end it. This file is started by its path and imports nothing of zoo.

In: {template, values}. Out: {text} or {error}.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import jinja2  # noqa: TID253 - a program of its own
from jinja2.ext import Extension, loopcontrols  # noqa: TID253
from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: TID253

MOST_BYTES = 1 << 30
MOST_SECONDS = 10
MOST_TEXT = 4_000_000


class Refused(Exception):
    """The template refuses the messages, or writes too much."""


def main() -> None:
    limit()
    given = json.load(sys.stdin)
    try:
        answer = {"text": render(given["template"], given["values"])}
    except MemoryError:
        answer = {"error": "it takes too much memory"}
    except RecursionError:
        answer = {"error": "it calls itself too often"}
    except Exception as error:
        kind = "" if isinstance(error, Refused) else f"{type(error).__name__}: "
        answer = {"error": f"{kind}{' '.join(str(error).split())[:300]}"}
    json.dump(answer, sys.stdout)


def limit() -> None:
    """Bound memory and time, as far as the system can."""
    try:
        import resource
    except ImportError:  # Windows; the caller's time limit remains
        return
    for kind, most in ((resource.RLIMIT_AS, MOST_BYTES), (resource.RLIMIT_CPU, MOST_SECONDS)):
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):  # macOS knows no limit of the address space
            continue


def render(template: str, values: dict[str, Any]) -> str:
    """The text of a template, with what transformers offers to one.

    https://huggingface.co/docs/transformers/chat_templating_writing
    """

    class Generation(Extension):
        """The block `generation`, which marks the assistant's own words for training."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: object) -> None:
        raise Refused(str(message))

    def tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, **more: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **more)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    written, pieces = 0, []
    try:
        for piece in environment.from_string(template).generate(**values):
            written += len(piece)
            if written > MOST_TEXT:
                raise Refused(f"it writes over {MOST_TEXT:,} characters")
            pieces.append(piece)
    except jinja2.TemplateSyntaxError as error:
        raise Refused(f"it cannot be read: {error.message}") from error
    return "".join(pieces)


if __name__ == "__main__":
    main()
