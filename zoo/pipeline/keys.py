"""What each step of a build is made from, and the key in the store that follows from it."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.catalogs.formats import format_of
from zoo.catalogs.pairs import runner
from zoo.catalogs.recipe import Build, Recipe
from zoo.catalogs.source import Source
from zoo.files.digests import sha256
from zoo.files.trust import confined
from zoo.pipeline import code
from zoo.registry.discovery import FORMATS, Provider, provider, providers
from zoo.store.store import key_of


class Keys:
    """The keys of one build, each found once.

    Args:
        recipe: as it was written.
        name: of the build.
        pinned: the recipe, with what `zoo.lock` knows of its sources.
    """

    def __init__(self, recipe: Recipe, name: str, pinned: Recipe) -> None:
        self.recipe, self.name, self.pinned = recipe, name, pinned
        self.build: Build = recipe.build[name]

    @cached_property
    def source_inputs(self) -> dict[str, Any]:
        """What is asked for; `zoo.lock` sees to it that it stays the same bytes."""
        inputs = self._asked(self.recipe.source)
        if self.recipe.tokenizer is not None:
            inputs["tokenizer"] = self._asked(self.recipe.tokenizer)
        return inputs

    @cached_property
    def convert_inputs(self) -> dict[str, Any]:
        """The source, what converts it, and the adapters where the format writes them."""
        format = self.build.format
        adapters = {
            name: {**self._asked(source), "commit": self.pinned.adapter[name].revision}
            for name, source in self.recipe.adapter.items()
            if format_of(format).writes_adapters
        }
        return {
            **self.source_inputs,
            **({"adapters": adapters} if adapters else {}),
            "commits": [source.revision for source in self.pinned.sources],
            "family": self.recipe.family,
            "format": format,
            "options": self.build.options,
            "minimum_os": self.build.minimum_os,
            "made_by": {
                "zoo": code.of_zoo(),
                "family": code.of_plugin(runner(self.recipe.family, format)),
                "format": code.of_plugin(format_provider(format)),
            },
        }

    @cached_property
    def build_inputs(self) -> dict[str, Any]:
        """The conversion, and the passes over it, with the files that they read."""
        read = self._read_by_passes()
        return {
            **self.convert_inputs,
            "optimize": [asdict(step) for step in self.build.optimize],
            **({"read": read} if read else {}),
        }

    @cached_property
    def source(self) -> str:
        """The key of the source."""
        return key_of(f"{self.recipe.ref} source", self.source_inputs)

    @cached_property
    def converted(self) -> str:
        """The key of the conversion before the passes over it."""
        return key_of(f"{self.recipe.ref} {self.build.format} converted", self.convert_inputs)

    @cached_property
    def finished(self) -> str:
        """The key of the finished build."""
        return key_of(f"{self.recipe.ref} {self.name}", self.build_inputs)

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """The keys of finished builds that are this build's conversion: those without passes."""
        if not format_of(self.build.format).shares_conversion(self.recipe, self.build):
            return ()
        others = (Keys(self.recipe, n, self.pinned) for n, b in self.recipe.build.items()
                  if b.format == self.build.format and not b.optimize)  # fmt: skip
        return tuple(k.finished for k in others if k.convert_inputs == self.convert_inputs)

    def _read_by_passes(self) -> dict[str, str]:
        """The sha256 of each file beside the recipe that a pass names, such as a calibration."""
        options = [option for step in self.build.optimize for option in step.options.values()]
        paths = {option: self.recipe.home / option for option in options if isinstance(option, str)}
        return {
            name: sha256(path)
            for name, path in sorted(paths.items())
            if confined(name) and path.is_file()
        }

    def _asked(self, source: Source) -> dict[str, Any]:
        place = source.place(self.recipe.home)
        if place is None:
            wanted = source.revision or source.branch
            return {
                "source": source.url or source.repo,
                "wanted": wanted,
                "files": [f.path for f in source.files],
            }
        place = place.resolve()
        files: list[Any] = [asdict(file) for file in source.files]
        if not all(file.sha256 for file in source.files) or not files:
            if source.archive is not None:
                files += _stats(place.parent, {place.name})
            else:
                files += _stats(place, {file.path for file in source.files})
        inside = source.archive[1] if source.archive else ""
        return {"source": str(place), "files": files, **({"inside": inside} if inside else {})}


def of_adapter(recipe: Recipe, name: str) -> Recipe:
    """The recipe whose source is an adapter of `recipe`."""
    source = recipe.adapter[name]
    return replace(recipe, ref=f"{recipe.ref}+{name}", source=source, tokenizer=None, adapter={})


def format_provider(format: str) -> Provider | None:
    """The plugin of a format, if it has one of its own."""
    return provider(FORMATS, format) if format in providers(FORMATS) else None


def _stats(folder: Path, names: set[str]) -> list[tuple[str, int, int]]:
    """What tells one state of a user's files from another, without reading them; of all by default.

    Those that are not there are left out: the download says which.
    """
    paths = [folder / name for name in names] or folder.rglob("*")
    return sorted(
        (p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns)
        for p in paths
        if p.is_file()
    )
