"""The folders of the store, also those whose manifest cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import NotFound, ZooError
from zoo.files.system import explain
from zoo.store.store import Artifact, Manifest, Store


@dataclass(frozen=True)
class Entry:
    """A folder of the store: its artifact, or why that cannot be read."""

    folder: Path
    artifact: Artifact | None
    failed: bool = False
    problem: str = ""

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def manifest(self) -> Manifest | None:
        return self.artifact.manifest if self.artifact else None

    @property
    def status(self) -> str:
        """ok or corrupt for what cannot be checked, else the verdict of its check."""
        if self.manifest is None:
            return "corrupt"
        if self.manifest.step != "build":
            return ""
        return "failed" if self.failed else str((self.manifest.check or {}).get("status", ""))

    @property
    def name(self) -> str:
        """What a person types for it: the reference, with the build of a finished one."""
        if self.manifest is None:
            return self.key
        build = f"/{self.manifest.build}" if self.manifest.step == "build" else ""
        return f"{self.manifest.ref}{build}"

    def described(self) -> dict[str, Any]:
        """The entry for a JSON document."""
        manifest = self.manifest
        return {
            "key": self.key,
            "name": self.name if manifest else None,
            "ref": manifest and manifest.ref,
            "step": manifest and manifest.step,
            "build": manifest and manifest.build,
            "format": manifest and manifest.format,
            "bytes": manifest and manifest.size,
            "created": manifest and manifest.created,
            "path": str(self.artifact.path) if self.artifact else None,
            "failed": self.failed,
            "check": manifest and manifest.check,
            "problem": self.problem or None,
        }

    def answers_to(self, name: str) -> bool:
        """Whether `name` is this entry's key, its reference, or its reference and build."""
        if name == self.key:
            return True
        if self.manifest is None:
            return False
        ref, build = self.manifest.ref, self.manifest.build
        return name == ref or (self.manifest.step == "build" and name == f"{ref}/{build}")


def published(store: Store) -> list[Entry]:
    """The artifacts in the store."""
    return [_entry(store, folder, False) for folder in store.entries()]


def everything(store: Store) -> list[Entry]:
    """The artifacts in the store and the builds that failed their check."""
    return published(store) + [_entry(store, folder, True) for folder in store.rejected()]


def choose(entries: list[Entry], names: Iterable[str]) -> list[Entry]:
    """The entries that keys or references name, each once.

    Raises:
        NotFound: nothing here is called so.
    """
    chosen: dict[Path, Entry] = {}
    for name in names:
        hits = [e for e in entries if e.answers_to(name)]
        if not hits and (full := _full_name(name)):
            hits = [e for e in entries if e.answers_to(full)]
        if not hits:
            from zoo.words import suggest

            known = {e.key for e in entries} | {e.manifest.ref for e in entries if e.manifest}
            raise NotFound(
                f"nothing on this disk is called '{name}'{suggest(name, known)}",
                "zoo ls shows what there is",
            )
        chosen.update({e.folder: e for e in hits})
    return list(chosen.values())


def with_dependents(chosen: list[Entry], entries: list[Entry]) -> list[Entry]:
    """The chosen entries and those whose files lie inside one of them."""
    folders = [e.folder.resolve() for e in chosen]
    more = [
        e
        for e in entries
        if e not in chosen
        and e.artifact
        and any(e.artifact.path.is_relative_to(folder) for folder in folders)
    ]
    return [*chosen, *more]


def _full_name(name: str) -> str | None:
    """What a shorthand such as `mistral` means in the catalog, or `./folder` on this disk."""
    from zoo.catalogs.catalog import open_catalog
    from zoo.catalogs.reference import Reference

    try:
        reference = Reference.parse(name)
        if reference.kind != "catalog":
            return str(reference)
        recipe, build = open_catalog().resolve(name)
    except ZooError:
        return None
    return f"{recipe.ref}/{build}" if build else recipe.ref


def _entry(store: Store, folder: Path, failed: bool) -> Entry:
    try:
        artifact = store.read(folder)
        if artifact is None:
            return Entry(folder, None, failed, "it has no manifest")
        Entry(folder, artifact, failed).described()
        return Entry(folder, artifact, failed)
    except ZooError as error:
        return Entry(folder, None, failed, error.message)
    except OSError as error:  # it must be listed and removable all the same
        return Entry(folder, None, failed, explain(error).message)
