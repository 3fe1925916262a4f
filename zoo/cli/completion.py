"""What a shell offers to complete: names, builds, families, formats, adapters, artifacts.

Click asks these functions while the user types, so they read the catalog's index and nothing else.
Whatever goes wrong there, there is nothing to complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from zoo.cli.output import one_line
from zoo.errors import Exit, ZooError

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe

VARIABLE = "_ZOO_COMPLETE"
LONGEST = 60
"""Letters of a title beside a name."""

Items = list[CompletionItem[Any]]

BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' line word value cut type
    line="${COMP_LINE:0:COMP_POINT}"
    word="${line##*[[:space:]]}"
    cut=""
    [[ "$word" == *:* && "$COMP_WORDBREAKS" == *:* ]] && cut="${word%%:*}:"
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ "$type" == dir ]]; then
            compopt -o dirnames
        elif [[ "$type" == file ]]; then
            compopt -o default
        elif [[ -n "$value" ]]; then
            COMPREPLY+=("${value#"$cut"}")
        fi
    done < <(env COMP_LINE="$line" %(complete_var)s=bash_complete "$1")
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
"""Bash takes a colon for the end of a word (`COMP_WORDBREAKS`), and names have colons: the line
itself is completed, and what stands before the last colon of its last word is cut off again."""


class Bash(BashComplete):
    """Completion for bash, of words with colons too."""

    source_template: ClassVar[str] = BASH

    @staticmethod
    def _check_version() -> None:
        """Ask no shell for its version: associative arrays and the like are not used."""

    def get_completion_args(self) -> tuple[list[str], str]:
        from click.shell_completion import split_arg_string

        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        return words[1:], incomplete


def register() -> None:
    """Make click use these classes."""
    add_completion_class(Bash)


def answer(command: click.Command) -> int:
    """Answer the shell that asks by `VARIABLE`; the exit code."""
    from click.shell_completion import shell_complete

    register()
    try:
        return shell_complete(command, {}, "zoo", VARIABLE, os.environ[VARIABLE])
    except (click.ClickException, ZooError):  # such as a verb that there is not
        return Exit.NEGATIVE


def quietly(find: Callable[[click.Context, str], Iterable[CompletionItem[Any]]]) -> Any:
    """The callback of a parameter, from a function of the context and the unfinished word."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        try:
            return list(find(ctx, incomplete))
        except (ZooError, OSError, ValueError):  # a shell has no place for an error
            return []

    return complete


def _names(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[Any]]:
    """Names of models, and after `name:variant/` its builds."""
    from zoo.catalogs.catalog import open_catalog

    catalog = open_catalog()
    stem, slash, _ = incomplete.rpartition("/")
    models = {name for layer in catalog.layers for name in layer.models}
    builds = slash and (":" in stem or stem in models)
    for listing in catalog:
        if listing.facts is None:
            continue
        title = _help(listing.title)
        if builds:
            if stem in (listing.ref, listing.name, *listing.aliases):
                for build in listing.builds:
                    name = f"{stem}/{build.name}"
                    if name.startswith(incomplete):
                        yield CompletionItem(name, help=f"{build.format}, {title}"[:LONGEST])
            continue
        full = (listing.name, listing.ref, *listing.aliases)
        short = (name.rpartition("/")[2] for name in full)  # as it may be written while unique
        for name in dict.fromkeys((*full, *short)):
            if name.startswith(incomplete):
                yield CompletionItem(name, help=title)


def _of_model(what: str) -> Callable[[click.Context, str], Iterator[CompletionItem[Any]]]:
    def find(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[Any]]:
        recipe = _named(ctx)
        if recipe is None:
            return
        names = {
            "build": recipe.build,
            "format": recipe.formats,
            "adapter": recipe.adapter,
        }[what]
        yield from (CompletionItem(name) for name in names if name.startswith(incomplete))

    return find


def _named(ctx: click.Context) -> Recipe | None:
    """The model on the line: click gives up on it where the option before it lacks its value."""
    from click.shell_completion import split_arg_string

    from zoo.catalogs.catalog import open_catalog

    line = os.environ.get("COMP_LINE") or os.environ.get("COMP_WORDS", "")
    given = ctx.params.get("name")
    for word in [given] if given else split_arg_string(line)[2:]:
        with suppress(ZooError):
            return open_catalog().resolve(word)[0]
    return None


def _facts(what: str) -> Callable[[click.Context, str], Iterator[CompletionItem[Any]]]:
    def find(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[Any]]:
        from zoo.catalogs.catalog import open_catalog

        found: dict[str, None] = {}
        for listing in open_catalog():
            if listing.facts:
                value = getattr(listing.facts, what)
                found |= dict.fromkeys((value,) if isinstance(value, str) else value)
        yield from (CompletionItem(name) for name in found if name.startswith(incomplete))

    return find


def _licenses(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[Any]]:
    yield from (CompletionItem(n) for n in ("permissive", "commercial") if n.startswith(incomplete))
    yield from _facts("license")(ctx, incomplete)


def _artifacts(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[Any]]:
    from zoo import machine
    from zoo.cli.entries import everything
    from zoo.store.store import Store

    entries = everything(Store(machine.home()))
    for name in dict.fromkeys(n for entry in entries for n in (entry.name, entry.key)):
        if name.startswith(incomplete):
            yield CompletionItem(one_line(name))


def _help(title: str) -> str:
    return one_line(title)[:LONGEST]


names = quietly(_names)
builds = quietly(_of_model("build"))
formats = quietly(_of_model("format"))
adapters = quietly(_of_model("adapter"))
families = quietly(_facts("family"))
tasks = quietly(_facts("label"))
all_formats = quietly(_facts("formats"))
licenses = quietly(_licenses)
artifacts = quietly(_artifacts)
