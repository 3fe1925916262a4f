"""What a name may mean that no catalog has: a repository, a slip of the pen, an idea."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.catalogs.layers import SHIPPED, Layer, Place
from zoo.catalogs.listing import Listing
from zoo.catalogs.names import REPO
from zoo.errors import NotFound
from zoo.words import nearest, suggest

LISTED = "zoo.catalog() lists all models"

if TYPE_CHECKING:
    from zoo.catalogs.catalog import Catalog


def of_repository(catalog: Catalog, name: str) -> Listing | None:
    """The line of the catalog whose source is the repository `owner/name`, if there is one."""
    if not re.fullmatch(REPO, name):
        return None
    wanted = name.lower()
    return next((x for x in catalog if x.facts and x.facts.repo.lower() == wanted), None)


def without_catalog(
    catalog: Catalog, reference: str, first: str, name: str
) -> tuple[Place, str | None]:
    """What `first/name` means where no catalog is called `first`.

    Raises:
        NotFound: nothing; the message says what was meant, perhaps.
    """
    found: tuple[Place, str | None] | None = None
    for layer in catalog.layers:
        if ":" in reference or (hit := layer.find(first)) is None:
            continue
        model, variant = hit
        recipe = layer.recipe(model, variant)
        if name in recipe.build:
            if found is None or layer.name == SHIPPED:
                found = (layer, model, variant), name
        elif name in layer.models[model].variants:
            raise NotFound(
                f"no catalog is called '{first}'; did you mean '{first}:{name}'?",
                "a variant follows a colon, and a build a slash: name:variant/build",
            )
        else:
            raise NotFound(
                f"'{first}' has no build '{name}'{suggest(name, recipe.build)}",
                f"builds of {recipe.ref}: {', '.join(recipe.build)}",
            )
    if found is not None:
        return found
    if (listing := of_repository(catalog, reference)) is not None:
        return listing.place, None
    names = [layer.name for layer in catalog.layers]
    raise NotFound(
        f"no catalog is called '{first}'{suggest(first, names)}",
        f"for the repository of the Hub write hf:{reference}; catalogs: {', '.join(names)}",
    )


def not_found(layers: Sequence[Layer], name: str) -> NotFound:
    """The error for a name that nothing has, with what is near to it."""
    known: list[str] = []
    for layer in layers:
        known += [*layer.models, *layer.aliases]
        known += [alias for entry in layer.models.values() for alias in entry.aliases]
    refs = [
        layer.ref(model, variant)
        for layer in layers
        for model, entry in layer.models.items()
        for variant in entry.variants
    ]
    if close := suggest(name, known):
        return NotFound(
            f"no model is called '{name}'{close}", "zoo list shows all models", in_python=LISTED
        )
    plain = re.sub(r"[^a-z0-9]", "", name)
    inside = [ref for ref in refs if plain and plain in re.sub(r"[^a-z0-9]", "", ref)]
    if found := inside[:1] or nearest(name, [ref.partition(":")[2] for ref in refs]):
        meant = next(ref for ref in refs if ref == found[0] or ref.endswith(f":{found[0]}"))
        return NotFound(
            f"no model is called '{name}', did you mean '{meant}'?",
            "zoo list shows all models",
            in_python=LISTED,
        )
    return NotFound(
        f"no model is called '{name}'",
        f"zoo list shows all models; a repository of the Hub is hf:owner/{name}",
        in_python=f"{LISTED}; a repository of the Hub is hf:owner/{name}",
    )
