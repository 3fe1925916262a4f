"""`zoo plugins --contract`: a pair tried claim by claim, without pytest."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from zoo.cli import output
from zoo.cli.output import Column
from zoo.errors import Exit, UsageError
from zoo.registry.discovery import FAMILIES, FORMATS, provider, providers

if TYPE_CHECKING:
    from zoo.testing.contract.claim import Outcome

COLUMNS = (Column("CLAIM"), Column("STATUS"), Column("REASON", drop=1))


def show_contract(pair: str, recipe: str | None, build: str | None, *, as_json: bool) -> int:
    """Try a pair on a recipe's build, or on a tiny checkpoint; print what came of each claim.

    Args:
        pair: such as `mistral.mlx`.
        recipe: the model; `None` for `zoo.testing.tiny(family)`.
        build: one of its builds; `None` for the first in the format.
        as_json: whether to print one JSON document.

    Raises:
        UsageError: `pair` is not one, or the recipe is of another family.
        MissingPlugin, MissingExtra: nobody provides it, or packages are missing.
    """
    from zoo.testing.contract.claim import outcomes
    from zoo.testing.contract.format import FORMAT
    from zoo.testing.contract.subject import Subject
    from zoo.testing.contract.suites import claims_of_pair

    family, dot, format = pair.rpartition(".")
    if not dot or not family or not format:
        raise UsageError(f"'{pair}' is not a pair", "write FAMILY.FORMAT, such as mistral.mlx")
    if not providers(FORMATS).get(format):
        provider(FAMILIES, pair)
    subject = Subject(family, format, recipe=recipe, build=build)
    try:
        with suppress(SkipTest):  # of a plugin that does not load, which claims tell of
            _ = subject.family
        claims = [*FORMAT, *claims_of_pair(subject.recipe.task)]
        promises = {claim.name: claim.promise for claim in claims}
        found = list(outcomes(claims, subject))
    finally:
        subject.close()
    if as_json:
        output.document({"pair": pair, "claims": [_json(o, promises) for o in found]})
    else:
        output.table(COLUMNS, ((o.claim, o.status, output.one_line(o.reason)) for o in found))
        broken = [outcome for outcome in found if outcome.status == "broken"]
        for outcome in broken:
            output.note(f"{outcome.claim}: {promises[outcome.claim]} But {outcome.reason}.")
    return Exit.PLUGIN if any(o.status == "broken" for o in found) else Exit.OK


def _json(outcome: Outcome, promises: dict[str, str]) -> dict[str, Any]:
    return {
        "claim": outcome.claim,
        "status": outcome.status,
        "reason": outcome.reason,
        "promise": promises[outcome.claim],
    }
