"""Everything known about a model, on a screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.catalogs.languages import language_names
from zoo.cli import compression, facts, output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled, is_terminal
from zoo.words import count, human

FILES = (Column("FILE", wrap=True), Column("SIZE", right=True), Column("SHA256"))
BUILDS = (
    Column("BUILD"), Column("BITS", right=True), Column("DISK", right=True),
    Column("MEMORY", right=True), Column("FITS"), Column("MINIMUM OS", wrap=True, drop=2),
    Column("CHECK"), Column("LINT", drop=4), Column("OPTIMIZATIONS", wrap=True, drop=3),
)  # fmt: skip
LINT = (
    Column("RULE"), Column("EFFECT"), Column("PLACES", right=True),
    Column("LINT FOUND", wrap=True), Column("ACCEPTED BECAUSE", drop=1),
)  # fmt: skip
FIGURES = (
    Column("ADAPTER"), Column("FIGURE"), Column("VALUE", right=True), Column("LIMIT"),
    Column("MEANING", wrap=True),
)  # fmt: skip
FOR = {
    "gpu": "for GPU and CPU",
    "mac-gpu": "for a Mac's GPU",
    "iphone-neural-engine": "for the Neural Engine",
}
"""What a build is for, by the target of its lint."""

COLORS = {"passed": "green", "failed": "red"}
HASH = 12
"""Hex digits of a SHA-256 on a terminal; a pipe and JSON get all 64."""

FEW = 10
"""Files that are listed on a terminal; of more, the largest."""


def show(data: dict[str, Any], asked_for: str | None) -> None:
    """The document of a model to stdout.

    Args:
        data: see `model_document.describe`.
        asked_for: the build that is looked at closely, if any.
    """
    output.paragraph(f"{data['title']} ({data['ref']})", "bold")
    output.paragraph(data["summary"])
    print()
    output.facts(_facts(data))
    _files(data)
    output.heading("Builds")
    output.table(BUILDS, [_build_row(build) for build in data["builds"]])
    output.paragraph("* runs by default here; sizes are estimates (~) until a build is installed",
                     "dim")  # fmt: skip
    for message in data["refused"].values():
        output.warn(f"warning: {output.one_line(message)}")
    _checks(data)
    for build in data["builds"]:
        if build["compression"]:
            compression.show(build["compression"])
        if build["lint"] and build["name"] == asked_for:
            _lint(build["lint"])
    _commands(data["commands"])


def origin(source: dict[str, Any]) -> str:
    """Where a source comes from, and whether it is pinned."""
    if source["folder"] is not None:
        return f"folder {source['folder']}" + (" (pinned)" if source["pinned"] else "")
    if source["url"] is not None:
        return f"{source['url']}" + (" (pinned)" if source["pinned"] else "")
    if source["revision"] is None:
        return f"{source['repo']}@{source['branch']} (UNPINNED until the first pull)"
    how = "pinned" if source["branch"] is None else f"{source['branch']}, locked by the first pull"
    return f"{source['repo']}@{source['revision']} ({how})"


def _facts(data: dict[str, Any]) -> Iterator[tuple[str, object]]:
    source, terms = data["source"], data["terms"]
    yield "task", data["task"]
    yield "family", data["family"]
    style = {"yes": "green", "no": "yellow"}.get(terms["commercial"], "")
    yield "license", Styled(f"{data['license']} - {terms['answer']}", style, terms["url"] or "")
    yield "", terms["words"]
    if data["gated"]:
        repo = source["repo"]
        at = f" at https://huggingface.co/{repo}" if repo else ""
        yield "gated", Styled(f"accept the authors' terms first{at}", "yellow")
    yield "languages", language_names(tuple(data["languages"]))
    yield "parameters", count(data["parameters"]) + _types(data["dtypes"])
    yield "context", f"{data['context']:,} tokens" if data["context"] else None
    unpinned = not source["pinned"] and source["revision"] is None
    yield "source", Styled(origin(source), "yellow" if unpinned else "", data["url"] or "")
    if data["tokenizer"]:
        yield "tokenizer", origin(data["tokenizer"])
    for name, adapter in data["adapters"].items():
        yield f"adapter {name}", origin(adapter)
    estimated = "" if source["exact"] else "~"
    yield "download", f"{estimated}{human(source['bytes'])}"


def _types(dtypes: dict[str, int] | None) -> str:
    """The types that weights are stored in, the most frequent first."""
    names = sorted(dtypes or {}, key=lambda name: -(dtypes or {})[name])
    return f" ({', '.join(names)})" if names else ""


def _files(data: dict[str, Any]) -> None:
    files = data["source"]["files"] + (data["tokenizer"] or {}).get("files", [])
    if not files:
        return
    output.heading("Files")
    shown = files
    if is_terminal() and len(files) > FEW:
        shown = sorted(files, key=lambda file: -(file["size"] or 0))[:FEW]
    output.table(FILES, map(_file_row, shown))
    if len(shown) < len(files):
        output.paragraph(f"and {len(files) - len(shown)} more: zoo show --json", "dim")


def _file_row(file: dict[str, Any]) -> tuple[object, ...]:
    digest = file["sha256"]
    size = "at the first pull" if file["size"] is None else human(file["size"])
    short = digest[:HASH] if digest and is_terminal() else digest
    return file["path"], size, short or "at the first pull"


def _build_row(build: dict[str, Any]) -> tuple[object, ...]:
    name = Styled(f"{build['name']} *", "bold") if build["default"] else build["name"]
    size = build["stored_bytes"]
    status = (build["check"] or {}).get("status", "not run")
    return (
        name,
        f"{build['bits_per_weight']:.4g}",
        f"~{human(build['bytes'])}" if size is None else human(size),
        f"~{human(build['memory_bytes'])}",
        Styled("yes", "green") if build["fits"] else Styled("no", "red"),
        build["minimum_os"] or "any",
        Styled(status, COLORS.get(status, "")),
        facts.lint(build["check"]),
        ", ".join(_notes(build)) or "-",
    )


def _notes(build: dict[str, Any]) -> Iterator[str]:
    if build["words"]:
        yield build["words"]
    if build["target"] in FOR:
        yield FOR[build["target"]]
    if build["offered_by"]:
        yield f"by {build['offered_by']}"


def _checks(data: dict[str, Any]) -> None:
    """How builds are measured, by which limits, and what was measured of those in the store."""
    check = data["check"]
    if check is None:
        return
    output.heading("Checks")
    output.facts(
        [
            ("measured on", ", ".join(check["inputs"])),
            *_limits(data),
            ("of the source", ", ".join(f"{k} {v:g}" for k, v in check["recorded"].items())),
        ]
    )
    for name, metric in data["metrics"].items():
        output.paragraph(f"{name}: {metric['meaning']}", "dim", indent=2)
    for build in data["builds"]:
        if build["check"] and build["check"].get("metrics"):
            _verdict(build, data["metrics"])


def _limits(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The limits, with the builds that they are for; those without passes share the first line."""
    by_words: dict[str, list[str]] = {}
    for build in data["builds"]:
        if words := _limit_words(build["limits"], data["metrics"]):
            by_words.setdefault(words, []).append(build["name"])
    for number, (words, builds) in enumerate(by_words.items()):
        whose = "" if len(by_words) == 1 else f" ({', '.join(builds)})"
        yield ("" if number else "limits"), f"{words}{whose}"


def _limit_words(limits: dict[str, float], metrics: dict[str, Any]) -> str:
    said = []
    for name, value in limits.items():
        better = (metrics.get(name) or {}).get("better") or ""
        said.append(f"{name} {better} {value:g}".replace("  ", " "))
    return ", ".join(said)


def _verdict(build: dict[str, Any], metrics: dict[str, Any]) -> None:
    check = build["check"]
    tools = ", ".join(f"{name} {v}" for name, v in (check.get("tools") or {}).items() if v)
    print()
    status = check.get("status", "")
    output.paragraph(f"{build['name']}: {status}, made {build['made']}", COLORS.get(status, ""))
    if tools:
        output.paragraph(f"with {tools}", "dim", indent=2)
    rows = []
    alone = "-" if any(":" in figure for figure in check["metrics"]) else ""
    for named, value in check["metrics"].items():
        adapter, _, figure = named.rpartition(":")
        metric = metrics.get(figure) or {}
        limit = (check.get("limits") or {}).get(figure)
        held = "" if limit is None else f"{metric.get('better') or ''} {limit:g}".strip()
        rows.append((adapter or alone, figure, f"{value:.4g}", held, metric.get("meaning", "")))
    output.table(FIGURES, rows)


def _lint(lint: dict[str, Any]) -> None:
    """What the lint of one build found, with the reasons for what was accepted."""
    output.heading("Lint")
    accepted = lint.get("accepted", {})
    if lint.get("findings"):
        rows = [
            (f["id"], f["effect"], f["count"], f["title"], accepted.get(f["id"], "-"))
            for f in lint["findings"]
        ]
        output.table(LINT, rows)
    else:
        output.tell("no known fault")
    output.tell(f"linted for {output.clean(str(lint.get('target')))}")


def _commands(commands: dict[str, str | None]) -> None:
    for title, key in (("Shell", "shell"), ("Python", "python"), ("Swift", "swift")):
        if text := commands[key]:
            output.heading(title)
            for line in text.splitlines():
                output.tell(f"  {line}")
