"""A model as the catalog's table and documents show it, on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from zoo import machine
from zoo.catalogs.licenses import license_of
from zoo.cli.lookup import stored_builds

if TYPE_CHECKING:
    from zoo.catalogs.listing import Listing
    from zoo.store.store import Artifact

Stored = Mapping[str, Mapping[str, "Artifact"]]


class Line:
    """A model that can be read, with what this machine has of it.

    Attributes:
        listing, facts: the model.
        build: the build that suits this machine.
        license: what is known of its license.
        installed: by build, the artifacts that would be made the same now.
        fits: whether `build` fits the memory of this machine.
    """

    __slots__ = ("build", "facts", "fits", "installed", "license", "listing")

    def __init__(self, listing: Listing, memory: int, stored: Stored) -> None:
        self.listing, self.facts = listing, listing.known
        self.build = self.facts.build
        self.license = license_of(self.facts.license)
        self.fits = self.build.memory_bytes <= memory
        self.installed = _installed(listing, stored) if stored else {}

    @property
    def short_name(self) -> str | None:
        """The name without a variant, of a default variant."""
        return self.listing.name if self.listing.default else None

    @property
    def checked(self) -> list[str]:
        """The builds in the store whose check passed."""
        return sorted(
            name
            for name, artifact in self.installed.items()
            if (artifact.manifest.check or {}).get("status") == "passed"
        )

    def document(self) -> dict[str, Any]:
        """The model as `zoo list --json` has it."""
        facts, build = self.facts, self.build
        return {
            "ref": self.listing.ref,
            "name": self.short_name,
            "aliases": list(self.listing.aliases),
            "title": facts.title,
            "summary": facts.summary,
            "task": facts.task,
            "family": facts.family,
            "license": facts.license,
            "license_name": self.license.name,
            "commercial": self.license.commercial,
            "gated": facts.gated,
            "pinned": facts.pinned,
            "parameters": facts.parameters,
            "context": facts.context or None,
            "languages": list(facts.languages),
            "tags": list(facts.tags),
            "download_bytes": facts.download_bytes,
            "download_exact": facts.download_exact,
            "default_build": build.name,
            "disk_bytes": build.bytes,
            "memory_bytes": build.memory_bytes,
            "fits": self.fits,
            "formats": list(facts.formats),
            "installed": sorted(self.installed),
            "checked": self.checked,
        }


def lines_of(listings: Iterable[Listing]) -> list[Line]:
    """The lines of models whose recipes are valid."""
    memory, stored = machine.memory(), stored_builds()
    return [Line(listing, memory, stored) for listing in listings]


def _installed(listing: Listing, stored: Stored) -> dict[str, Artifact]:
    if not (of_it := stored.get(listing.ref)):
        return {}
    from zoo.pipeline.installed import installed

    return installed(listing.read(), of_it)
