"""A model as Markdown. Every field of a recipe is text: what would be markup in it is escaped."""

from __future__ import annotations

import re
from typing import Any

from zoo.catalogs.languages import language_names
from zoo.cli import facts
from zoo.cli.model_page import origin
from zoo.words import count, human

MARKUP = re.compile(r"([\\`*_{}\[\]<>|#])")


def markdown(data: dict[str, Any]) -> str:
    """The document of a model, see `model_document.describe`, as Markdown."""
    lines = [f"# {_plain(data['title'])}", "", _plain(data["summary"]), "", *_table(data), ""]
    lines += ["## License", "", f"**{_plain(data['terms']['answer'])}.** "
              f"{_plain(data['terms']['words'])}", "", *_builds(data), *_checks(data)]  # fmt: skip
    lines += ["## Use it"]
    for language, key in (("sh", "shell"), ("python", "python"), ("swift", "swift")):
        if text := data["commands"][key]:
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            lines += ["", f"{fence}{language}", text, fence]
    return "\n".join(lines)


def _table(data: dict[str, Any]) -> list[str]:
    source, terms = data["source"], data["terms"]
    size = ("" if source["exact"] else "about ") + human(source["bytes"])
    name = _plain(terms["name"])
    rows = {
        "reference": f"`{data['ref']}`",
        "task": _plain(data["task"]),
        "family": _plain(data["family"]),
        "license": f"[{name}]({terms['url']})" if terms["url"] else name,
        "gated": "yes: accept the authors' terms first" if data["gated"] else "no",
        "languages": _plain(language_names(tuple(data["languages"]))),
        "parameters": count(data["parameters"]),
        "context": f"{data['context']:,} tokens" if data["context"] else "",
        "source": _link(_plain(origin(source)), data["url"]),
        "download": size,
    }
    shown = [f"| {name} | {value} |" for name, value in rows.items() if value]
    return ["| | |", "|---|---|", *shown]


def _builds(data: dict[str, Any]) -> list[str]:
    lines = ["## Builds", "", "| build | bits | disk | memory | minimum OS | check |",
             "|---|--:|--:|--:|---|---|"]  # fmt: skip
    for build in data["builds"]:
        size = build["stored_bytes"]
        disk = f"about {human(build['bytes'])}" if size is None else human(size)
        status = (build["check"] or {}).get("status", "not run")
        lines.append(
            f"| `{build['name']}` | {build['bits_per_weight']:.4g} | {disk} | "
            f"about {human(build['memory_bytes'])} | {_plain(build['minimum_os'] or 'any')} | "
            f"{_plain(status)} |"
        )
    return [*lines, ""]


def _checks(data: dict[str, Any]) -> list[str]:
    if data["check"] is None:
        return []
    lines = ["## Checks", ""]
    for name, metric in data["metrics"].items():
        lines.append(f"- `{name}`: {_plain(metric['meaning'])}")
    for build in data["builds"]:
        limits = facts.limits(build["limits"], data["task"])
        figures = (build["check"] or {}).get("metrics") or {}
        measured = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        lines.append(f"- **{build['name']}**: limits {_plain(limits) or 'none'}; "
                     f"{_plain(measured) or 'not run'}")  # fmt: skip
    return [*lines, ""]


def _plain(text: str) -> str:
    return MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def _link(text: str, url: str | None) -> str:
    return f"[{text}]({url})" if url else text
