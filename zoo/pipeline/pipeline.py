"""Plan, then execute: source -> convert -> optimize -> check -> publish."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.catalogs.formats import format_of
from zoo.catalogs.licenses import terms_of
from zoo.catalogs.pairs import runner
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Build, Recipe
from zoo.display.streams import diverted
from zoo.errors import CheckFailed, IntegrityError
from zoo.files import room
from zoo.pipeline.checking import cannot_check, reference_format, verdict_again, verdict_on
from zoo.pipeline.checks import limits_of, measure, write_examples
from zoo.pipeline.keys import Keys, of_adapter
from zoo.pipeline.linting import lint_build, with_lint
from zoo.pipeline.locked import record, require_locked
from zoo.pipeline.plan import Plan
from zoo.pipeline.planning import plan_build
from zoo.pipeline.space import require_room
from zoo.pipeline.steps import Step, Workshop
from zoo.progress import Event, Listener, Progress
from zoo.store.reports import Reports
from zoo.store.store import Artifact, Store
from zoo.tasks.verdict import Verdict

if TYPE_CHECKING:
    from zoo.family import Family
    from zoo.tasks.examples import Example
    from zoo.tasks.model import Model
    from zoo.tasks.task import Scorer


class Pipeline:
    """The way of one build of one recipe through the store."""

    def __init__(
        self, recipe: Recipe, name: str, store: Store, lock: Lock, listener: Listener
    ) -> None:
        self.recipe, self.name, self.build = recipe, name, recipe.build[name]
        self.store, self.lock, self.listener = store, lock, listener
        self.pinned = lock.pin_recipe(recipe)
        self._families: dict[str, Family] = {}
        self._keys: Keys | None = None
        self._workshop = Workshop(recipe, self.pinned, name, store, listener, self._tools)

    def plan(self) -> Plan:
        """What is done and what is left to do.

        Raises:
            MissingPlugin, PluginConflict: nobody, or several, provide the family in this format.
        """
        return plan_build(self.pinned, self.name, self.keys, self.store)

    @room.explained()
    def fetch(self) -> Artifact:
        """The source, downloaded and verified."""
        family = self.family(complete=False)

        def work(workdir: Path, progress: Progress) -> Path:
            if terms := terms_of(self.recipe):
                progress.note(terms)
            return family.download(self.pinned, workdir, progress)

        keys = self.keys
        source = self._workshop.do(
            Step("download", "download", keys.source, keys.source_inputs, work)
        )
        self._workshop.fetched = source
        require_locked(self.pinned, source, self.lock)
        record(self.recipe, source, self.lock)
        self.pinned = self._workshop.pinned = self.lock.pin_recipe(self.recipe)
        return source

    def adapters(self) -> dict[str, Path]:
        """The folder of each adapter of the recipe, downloaded and verified."""
        return {name: self.store.view(part.fetch()) for name, part in self._adapter_parts.items()}

    @room.explained()
    def make(self, check: bool = True, *, again: bool = False, forced: bool = False) -> Artifact:
        """The finished build, made from what is missing and checked before it is published.

        Args:
            check: whether a build that is made now is compared with its source.
            again: convert and optimize even if the store has the build.
            forced: compare it even if its source may not fit in memory.

        Raises:
            CheckFailed: the build differs too much from its source; it is quarantined.
            InUse: it is to be made again, and a process is using it.
            NoRoom: the disk can't hold it; nothing was begun.
        """
        if not again and (done := self.store.get(self.keys.finished)) is not None:
            self.listener(Event("build", "cached", message=done.manifest.key))
            return done
        self.family()
        if check and not again and (failed := self._failed()) is not None:
            verdict = self._judged_again(failed)
            if verdict is not None:
                return self._publish(failed, verdict)
        require_room(self.pinned, self.plan(), self.store)
        source = self.fetch()
        if again:
            self._workshop.require_unused(self.keys.converted, self.keys.finished)
        with self.store.using(self.keys.source, self.keys.converted, *self.keys.plain):
            gate = self._gate(source, check, forced)
            return self._build(source, self.adapters(), gate, again)

    @room.explained()
    def make_checked(self, *, again: bool = False) -> Artifact:
        """The finished build; one that was made without a check is checked now.

        Raises:
            CheckFailed: the build differs too much from its source; whatever `make` raises.
        """
        artifact = self.make(again=again)
        if (artifact.manifest.check or {}).get("why") != "skipped":
            return artifact
        verdict, artifact = self._checked(artifact, forced=False)
        if verdict.status == "failed":
            raise self._workshop.failure(verdict, artifact)
        return artifact

    def _build(
        self,
        source: Artifact,
        adapters: dict[str, Path],
        gate: Callable[[Path], Verdict],
        again: bool,
    ) -> Artifact:
        family, keys = self.family(), self.keys
        annotate = partial(family.annotate, self.pinned, self.build)

        def convert(workdir: Path, progress: Progress) -> Path:
            seen = self.store.view(source)
            made = family.convert(self.pinned, self.build, seen, adapters, workdir, progress)
            return source.path if made == seen else made

        if not self.build.optimize:
            work = convert if again or not keys.plain else self._from_conversion(convert)
            step = Step(
                "convert", "build", keys.finished, keys.build_inputs, work, source, gate, annotate
            )
            return self._workshop.do(step, again=again)
        plain = None if again else self._first_stored(keys.plain)
        converted = plain or self._workshop.do(
            Step("convert", "convert", keys.converted, keys.convert_inputs, convert, source),
            again=again,
        )

        def optimize(workdir: Path, progress: Progress) -> Path:
            seen = self.store.view(converted)
            made = family.optimize(self.pinned, self.build, seen, workdir, progress)
            return converted.path if made == seen else made

        step = Step(
            "optimize", "build", keys.finished, keys.build_inputs, optimize, converted, gate,
            annotate,
        )  # fmt: skip
        return self._workshop.do(step, again=again)

    def _from_conversion(
        self, convert: Callable[[Path, Progress], Path]
    ) -> Callable[[Path, Progress], Path]:
        """`convert`, unless a build with passes left what it would make: that is linked."""

        def work(workdir: Path, progress: Progress) -> Path:
            converted = self._first_stored((self.keys.converted,))
            if converted is None or not converted.path.is_relative_to(converted.entry.resolve()):
                return convert(workdir, progress)
            for file in converted.manifest.files:
                target = workdir / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                _have_too((converted.path / file.path).resolve(), target)
            return workdir

        return work

    def _first_stored(self, keys: tuple[str, ...]) -> Artifact | None:
        """The first of some artifacts that is in the store and sound."""
        for key in keys:
            try:
                if (found := self.store.get(key)) is not None:
                    self.listener(Event("convert", "cached", message=key))
                    return found
            except IntegrityError:
                continue
        return None

    @room.explained()
    def check(self) -> Verdict:
        """Measure the finished build again and store the verdict; a failed build is quarantined."""
        artifact = self.store.get(self.keys.finished) or self._failed()
        if artifact is None:
            return self._made_and_checked()
        verdict, _ = self._checked(artifact, forced=True)
        return verdict

    def _made_and_checked(self) -> Verdict:
        """Make the build, and measure it before it is published."""
        try:
            artifact = self.make(forced=True)
        except CheckFailed:
            failed = self._failed()
            if failed is None:
                raise
            artifact = failed
        return Verdict(**(artifact.manifest.check or {}))

    def _checked(self, artifact: Artifact, *, forced: bool) -> tuple[Verdict, Artifact]:
        """Measure a build, or judge it again by what was measured when only limits changed."""
        recorded = (artifact.manifest.check or {}).get("limits")
        verdict = None
        if recorded != limits_of(self.recipe, self.build):
            verdict = self._judged_again(artifact)
        verdict = verdict or self._judge(self.fetch(), artifact.path, forced=forced)
        return verdict, self._stored_with(artifact, verdict)

    def _publish(self, failed: Artifact, verdict: Verdict) -> Artifact:
        """A build that failed its check before, if it passes now.

        Raises:
            CheckFailed: it still fails; `--force` builds it again.
        """
        artifact = self._stored_with(failed, verdict)
        if verdict.status == "failed":
            raise self._workshop.failure(verdict, artifact)
        return artifact

    def _judged_again(self, artifact: Artifact) -> Verdict | None:
        verdict = verdict_again(self.recipe, self.build, artifact.manifest.check)
        if verdict is None:
            return None
        report = lint_build(self.family(), self.pinned, self.build, artifact.path)
        return with_lint(verdict, report)

    def _failed(self) -> Artifact | None:
        """The build as it is now, if it failed its check before and is still whole."""
        try:
            artifact = self.store.read(self.store.failed / self.keys.finished)
        except IntegrityError:
            return None
        files = artifact.manifest.files if artifact else ()
        whole = artifact and not any(file.fault(artifact.path) for file in files)
        return artifact if whole else None

    def _stored_with(self, artifact: Artifact, verdict: Verdict) -> Artifact:
        """The artifact with a verdict, where one with that verdict belongs."""
        failed = artifact.entry.parent == self.store.failed
        with self.store.lock(self.keys.finished):
            if verdict.status == "failed" and not failed:
                artifact = self.store.set_aside(artifact, check=asdict(verdict))
            elif verdict.status not in ("failed", "not run") and failed:
                artifact = self.store.restore(artifact, check=asdict(verdict))
            elif verdict.status != "not run" or not (artifact.manifest.check or {}).get("metrics"):
                artifact = self.store.update(artifact, check=asdict(verdict))
        return artifact

    def load(self, check: bool = True) -> Model:
        """The finished build, made if need be, and loaded; nobody removes it meanwhile."""
        with self.store.using(self.keys.source):
            artifact = self.make(check)
            with self.store.using(artifact.manifest.key):
                if not artifact.entry.exists():  # removed before it was marked as used
                    artifact = self.make(check)
                return self.run(artifact)

    def run(self, artifact: Artifact) -> Model:
        """The finished build, loaded."""
        folder = self.store.view(artifact)
        return self.family().run(self.pinned, self.build, folder, self.adapters())

    @property
    def keys(self) -> Keys:
        """The keys of its artifacts, by what is known of the sources so far."""
        if self._keys is None or self._keys.pinned is not self.pinned:
            self._keys = Keys(self.recipe, self.name, self.pinned)
        return self._keys

    @property
    def _adapter_parts(self) -> dict[str, Pipeline]:
        """For each adapter, the pipeline whose source it is."""
        return {
            name: Pipeline(
                of_adapter(self.recipe, name), self.name, self.store, self.lock, self.listener
            )
            for name in self.recipe.adapter
        }

    def _gate(self, source: Artifact, check: bool, forced: bool) -> Callable[[Path], Verdict]:
        if not check:
            return lambda path: Verdict("not run", "not asked for", why="skipped")
        return lambda path: self._judge(source, path, forced=forced)

    def _judge(self, source: Artifact, path: Path, *, forced: bool = False) -> Verdict:
        """Compare the build in `path` with its source, if that can be done here, and lint it."""
        verdict = self._compared(source, path, forced)
        return with_lint(verdict, lint_build(self.family(), self.pinned, self.build, path))

    def _compared(self, source: Artifact, path: Path, forced: bool) -> Verdict:
        if (verdict := cannot_check(self.recipe, self.build, forced=forced)) is not None:
            return verdict
        named = reference_format(self.recipe, self.build)
        assert named is not None
        self.listener(Event("check", "start"))
        plain, folder = self._reference(named, source)
        path = self.store.view(source) if path == source.path else path
        family, reference, adapters = self.family(), self.family(named), self.adapters()
        examples: dict[str, list[Example]] = {}
        with diverted():
            measured = measure(
                self.recipe,
                lambda: reference.run(self.pinned, plain, folder, adapters),
                lambda: family.run(self.pinned, self.build, path, adapters),
                self._scorer(),
                examples,
                Progress("check", self.listener),
            )
        write_examples(Reports(self.store.home), self.keys.finished, self.recipe, examples)
        tools = {**self._tools(named), **self._tools()}
        verdict = verdict_on(self.recipe, self.build, measured, tools)
        self.listener(Event("check", "done", message=str(verdict)))
        return verdict

    def _reference(self, format: str, source: Artifact) -> tuple[Build, Path]:
        """The build without passes that stands for the source, and where it is."""
        if format_of(format).runs_source:
            return Build(format=format), self.store.view(source)
        plain = {
            n: b for n, b in self.recipe.build.items() if b.format == format and not b.optimize
        }
        name = next(iter(plain), f"{format}-reference")
        build = plain.get(name, Build(format=format))
        recipe = replace(self.recipe, build={**self.recipe.build, name: build})
        made = Pipeline(recipe, name, self.store, self.lock, self.listener).make(check=False)
        return build, self.store.view(made)

    def _scorer(self) -> Scorer | None:
        """The scorer that the recipe's check names."""
        from zoo.hooks.loading import load_scorer

        named = self.recipe.check.scorer if self.recipe.check else None
        return load_scorer(named) if named else None

    def family(self, format: str | None = None, *, complete: bool = True) -> Family:
        from zoo.family import Family

        named = format or self.build.format
        if not complete:
            return Family(self.recipe.family, named, complete=False)
        if named not in self._families:
            self._families[named] = Family(self.recipe.family, named)
        return self._families[named]

    def _tools(self, format: str | None = None) -> dict[str, str | None]:
        plugin = runner(self.recipe.family, format or self.build.format)
        return {plugin.distribution: plugin.version, **plugin.requirements()}


def _have_too(source: Path, target: Path) -> None:
    """A file of the store in another artifact too: nobody writes into either."""
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links
        shutil.copy2(source, target)
