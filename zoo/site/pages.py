"""Templates, filled: everything is escaped, and nothing can turn the direction of text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from zoo.words import count, harmless, human

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

ASSETS = ("site.css", "site.js")


def filled(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: the name of a file in the folder `templates`.
        values: what it is filled with.
    """
    return _environment().get_template(template).render(**values)


def asset(name: str) -> str:
    """The text of a file in the folder `assets`."""
    return files("zoo.site").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("zoo.site"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_steering_nothing,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"bytes": human, "count": count, "plain": _plain, "code": _code}
    made.globals |= {"asset": asset}
    return made


def _steering_nothing(value: object) -> object:
    """Text without the characters that turn its direction."""
    return harmless(value) if type(value) is str else value


def _plain(number: float) -> str:
    """A figure for people, in four digits."""
    return f"{number:.4g}"


def _code(text: str) -> Markup:
    """Text whose parts between backticks are code."""
    from markupsafe import Markup

    parts = harmless(text).split("`")
    tagged = (Markup("<code>{}</code>" if n % 2 else "{}").format(p) for n, p in enumerate(parts))
    return Markup("").join(tagged)
