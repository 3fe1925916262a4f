"""Which models a person wants to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoo.catalogs import search
from zoo.catalogs.licenses import LICENSES, license_of
from zoo.catalogs.listing import Listing
from zoo.errors import PluginError, UsageError
from zoo.words import nearest, suggest

Test = Callable[[Any], bool]


class Wanted:
    """The words and the license that are asked for."""

    def __init__(self, query: Sequence[str], license_is: Test) -> None:
        self.query = [word for text in query for word in text.split()]
        self.license_is = license_is

    def holds(self, listing: Listing) -> bool:
        """Whether a model has all words, and the license."""
        return self.license_is(listing) and search.matches(listing, self.query)

    def named(self, listing: Listing) -> bool:
        """Whether a name alone has all words: all that is known of an invalid recipe."""
        return search.matches(listing, self.query)

    def near(self, listings: Iterable[Listing]) -> str:
        """`, did you mean ...?` for the words that no model has."""
        texts = [search.text_of(listing) for listing in listings]
        unknown = [w for w in self.query if not any(search.has(text, w) for text in texts)]
        if not unknown:
            return "" if len(self.query) < 2 else ": no model has all of these words"
        known = search.vocabulary(listings)
        close = [(word, nearest(word.lower(), known)) for word in unknown]
        said = [f"'{found[0]}' for '{word}'" for word, found in close if found]
        return f", did you mean {' and '.join(said)}?" if said else ""


def license_holds(wanted: str | None, listings: Iterable[Listing]) -> Test:
    """The test of `--license`.

    Raises:
        UsageError: no model has it, and it is no license that is known.
    """
    if wanted is None:
        return lambda listing: True
    if wanted.lower() == "permissive":
        return lambda listing: license_of(listing.license).permissive
    if wanted.lower() == "commercial":
        return lambda listing: license_of(listing.license).commercial in ("yes", "terms")
    plain = _plain(wanted)
    ids = {x.license for x in listings if x.facts} | {known.id for known in LICENSES.values()}
    meant = {id for id in ids if plain in (_plain(id), _plain(license_of(id).name))}
    if not meant:
        names = sorted({license_of(id).name for id in ids})
        known = {name.lower(): name for name in [*ids, *names]}
        close = nearest(wanted.lower(), known)
        meant_by = f", did you mean '{known[close[0]]}'?" if close else ""
        raise UsageError(
            f"no license is called '{wanted}'{meant_by}",
            f"give permissive, commercial, an SPDX identifier, or one of: {', '.join(names)}",
        )
    return lambda listing: listing.license in meant


def task_holds(wanted: str | None, listings: Iterable[Listing]) -> Test:
    """The test of `--task`: its name, its label, a part of its name, or a synonym.

    Raises:
        UsageError: no model has such a task.
    """
    if wanted is None:
        return lambda listing: True
    plain = wanted.lower()
    tasks = {x.facts.task: x.facts for x in listings if x.facts}
    meant = {
        name for name, facts in tasks.items() if plain in (facts.label, *facts.synonyms, name)
    } or {name for name in tasks if plain in name}
    if not meant:
        labels = {facts.label: name for name, facts in tasks.items()}
        known = [*labels, *(s for facts in tasks.values() for s in facts.synonyms), *tasks]
        raise UsageError(
            f"no model has the task '{wanted}'{suggest(plain, known)}",
            f"tasks: {', '.join(f'{label} ({name})' for label, name in labels.items())}",
        )
    return lambda listing: listing.task in meant


def plugin_problems(formats: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Why the descriptions of formats and tasks cannot be used, where they cannot."""
    if not (formats or tasks):
        return {}
    from zoo.catalogs.formats import require_described
    from zoo.tasks.registry import task_of

    found = {}
    for kind, names, load in (("format", formats, require_described), ("task", tasks, task_of)):
        for name in names:
            try:
                load(name)
            except PluginError as error:
                found[f"the {kind} {name}"] = error.message
    return found


def _plain(text: str) -> str:
    return "".join(c for c in text.lower().removeprefix("licenseref-") if c.isalnum() or c == "+")
