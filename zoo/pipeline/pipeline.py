"""Plan, then execute: source -> convert -> optimize -> check -> publish."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import machine
from zoo.catalogs import estimates
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Build, Recipe
from zoo.discovery import FAMILIES, provider
from zoo.errors import CheckFailed, IntegrityError, PluginError, StepError, ZooError
from zoo.files import room
from zoo.pipeline.checks import limits_of, measure
from zoo.pipeline.keys import Keys, format_provider, of_adapter
from zoo.pipeline.plan import Plan, PlannedStep
from zoo.progress import Event, Listener, Progress
from zoo.store import origin
from zoo.store.store import Artifact, Manifest, Store, Stored, describe_files, now
from zoo.tasks.registry import task_of
from zoo.tasks.verdict import Verdict, judge
from zoo.words import human

if TYPE_CHECKING:
    from zoo.costs import Cost
    from zoo.family import Family
    from zoo.tasks.model import Model
    from zoo.tasks.task import Scorer

REFERENCE = "torch"


class Pipeline:
    """The way of one build of one recipe through the store."""

    def __init__(
        self, recipe: Recipe, name: str, store: Store, lock: Lock, listener: Listener
    ) -> None:
        self.recipe, self.name, self.build = recipe, name, recipe.build[name]
        self.store, self.lock, self.listener = store, lock, listener
        self.pinned = lock.pin_recipe(recipe)
        self._fetched: Artifact | None = None

    def plan(self) -> Plan:
        """What is done and what is left to do.

        Raises:
            MissingPlugin, PluginConflict: nobody, or several, provide the family in this format.
        """
        family = provider(FAMILIES, f"{self.recipe.family}.{self.build.format}")
        format = format_provider(self.build.format) or family
        fetched = self._has(self.keys.source)
        steps = [PlannedStep("download", "zoo", fetched, self._download_bytes())]
        if self.build.optimize:
            done, size = (
                self._has(self.keys.finished),
                estimates.build_bytes(self.recipe, self.build),
            )
            converted = done or self._has(self.keys.converted)
            size_between = estimates.converted_bytes(self.recipe, self.build)
            steps.append(PlannedStep("convert", str(family), converted, size_between))
            steps.append(PlannedStep("optimize", str(format), done, size))
        else:
            steps.append(PlannedStep("convert", str(family), self._has(self.keys.finished), 0))
        steps.append(PlannedStep("run", str(family), False, 0))
        return Plan(
            ref=self.recipe.ref,
            build=self.name,
            format=self.build.format,
            pinned=all(s.pinned or s.folder is not None for s in self.pinned.sources),
            steps=tuple(steps),
            memory=estimates.memory_bytes(self.recipe, self.build),
            missing=tuple(family.missing()),
            install=family.install,
        )

    @room.told()
    def fetch(self) -> Artifact:
        """The source, downloaded and verified."""
        family = self._family(complete=False)

        def work(workdir: Path, progress: Progress) -> Path:
            return family.download(self.pinned, workdir, progress)

        source = self._step("download", self.keys.source, self.keys.source_inputs, work)
        self._fetched = source
        self._require_locked(source)
        self._record(source)
        self.pinned = self.lock.pin_recipe(self.recipe)
        return source

    def adapters(self) -> dict[str, Path]:
        """The folder of each adapter of the recipe, downloaded and verified."""
        return {name: self.store.view(part.fetch()) for name, part in self._adapter_parts.items()}

    @room.told()
    def make(self, check: bool = True) -> Artifact:
        """The finished build, made from what is missing and checked before it is published.

        Raises:
            CheckFailed: the build strays too far; it is kept aside with its report.
            NoRoom: the disk can't hold it; nothing was begun.
        """
        if (done := self.store.get(self.keys.finished)) is not None:
            self.listener(Event("build", "cached", message=done.manifest.key))
            return done
        family = self._family()
        self._require_room()
        source, adapters = self.fetch(), self.adapters()
        with self.store.using(self.keys.source, self.keys.converted):
            return self._build(family, source, adapters, check)

    def _build(
        self, family: Family, source: Artifact, adapters: dict[str, Path], check: bool
    ) -> Artifact:

        def convert(workdir: Path, progress: Progress) -> Path:
            seen = self.store.view(source)
            made = family.convert(self.pinned, self.build, seen, adapters, workdir, progress)
            return source.path if made == seen else made

        if not self.build.optimize:
            return self._step(
                "convert",
                self.keys.finished,
                self.keys.build_inputs,
                convert,
                source,
                self._gate(source, check),
            )
        converted = self._step(
            "convert", self.keys.converted, self.keys.convert_inputs, convert, source
        )

        def optimize(workdir: Path, progress: Progress) -> Path:
            seen = self.store.view(converted)
            made = family.optimize(self.pinned, self.build, seen, workdir, progress)
            return converted.path if made == seen else made

        return self._step(
            "optimize",
            self.keys.finished,
            self.keys.build_inputs,
            optimize,
            converted,
            self._gate(source, check),
        )

    @room.told()
    def check(self) -> Verdict:
        """Measure the finished build anew and store the verdict; a failed build is set aside."""
        artifact = self.make(check=False)
        verdict = self._judge(self.fetch(), artifact.path, forced=True)
        with self.store.lock(self.keys.finished):
            if verdict.status == "failed":
                self.store.set_aside(artifact, check=asdict(verdict))
            elif verdict.status == "passed":
                self.store.update(artifact, check=asdict(verdict))
        return verdict

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
        return self._family().run(self.pinned, self.build, folder, self.adapters())

    def cost(self, tokens: int | None) -> Cost:
        """What the finished build takes to run."""
        family = self._family()
        return family.cost(self.pinned, self.build, self.store.view(self.make()), tokens)

    @property
    def keys(self) -> Keys:
        """The keys of its artifacts, by what is known of the sources so far."""
        return Keys(self.recipe, self.name, self.pinned)

    @property
    def _adapter_parts(self) -> dict[str, Pipeline]:
        """For each adapter, the pipeline whose source it is."""
        return {
            name: Pipeline(
                of_adapter(self.recipe, name), self.name, self.store, self.lock, self.listener
            )
            for name in self.recipe.adapter
        }

    def _record(self, fetched: Artifact) -> None:
        """Write what came from the Hub into `zoo.lock`, each file to the source that it is of."""
        for source, commit, files in origin.fetched_files(self.recipe, fetched):
            if source.repo:
                self.lock.record(source, commit, files)

    def _require_locked(self, fetched: Artifact) -> None:
        """Refuse a stored source that is not what `zoo.lock` records."""
        for source, _, files in origin.fetched_files(self.pinned, fetched):
            pinned = {file.path: file.sha256 for file in source.files}
            for file in files:
                if pinned.get(file.path) not in (None, file.sha256):
                    raise IntegrityError(
                        f"'{self.recipe.ref}' is not what {self.lock.path} records: '{file.path}' "
                        f"has the sha256 {file.sha256}, expected {pinned[file.path]}",
                        f"remove it and pull again: zoo rm {fetched.manifest.key}",
                    )

    def _origin(self, source: Artifact | None) -> dict[str, Any]:
        """What the manifest of a step says of where it comes from."""
        found = [] if source is None else origin.fetched_files(self.recipe, source)
        return {**origin.describe(self.recipe, found), "build": asdict(self.build)}

    def _stored(self, step: str, key: str) -> Artifact | None:
        """What the store has of a step; a download that rotted is made good by another one."""
        try:
            return self.store.get(key)
        except IntegrityError as error:
            if step != "download" or self.recipe.source.repo is None:
                raise
            self.listener(Event(step, "note", message=f"{error.message}; fetching what is wrong"))
            return None

    def _step(
        self,
        step: str,
        key: str,
        inputs: dict[str, Any],
        work: Callable[[Path, Progress], Path],
        given: Artifact | None = None,
        gate: Callable[[Path], Verdict] | None = None,
    ) -> Artifact:
        """One step, unless the store has it: work aside, pass the gate, publish."""
        waiting = Event(step, "note", message=f"another process is at {key}; waiting for it")
        with self.store.lock(key, lambda: self.listener(waiting)):
            if (found := self._stored(step, key)) is not None:
                self.listener(Event(step, "cached", message=key))
                return found
            self.listener(Event(step, "start"))
            with self.store.workdir(key) as workdir:
                path = work(workdir, Progress(step, self.listener))
                inside = path.resolve().is_relative_to(workdir.resolve())
                if given and not inside and path.resolve() != given.path:
                    raise StepError(
                        f"{step} of '{self.recipe.ref}' returned {path}, "
                        "which is neither below its work folder nor the folder it was given"
                    )
                verdict = gate(path) if gate else None
                manifest = Manifest(
                    key=key,
                    ref=self.recipe.ref,
                    step=step if gate is None else "build",
                    build=self.name,
                    format=self.build.format,
                    created=now(),
                    location=str(
                        path.resolve().relative_to(workdir.parent.resolve())
                        if inside
                        else path.resolve()
                    ),
                    inputs=inputs,
                    files=self._files(path, given),
                    tools=self._tools(),
                    check=asdict(verdict) if verdict else None,
                    origin=self._origin(self._fetched),
                )
                failed = verdict is not None and verdict.status == "failed"
                artifact = self.store.publish(workdir, path, manifest, failed)
                if step == "download":
                    artifact = self.store.update(artifact, origin=self._origin(artifact))
                    self._fetched = artifact
            self.listener(Event(step, "done", message=key))
        if verdict is not None and failed:
            raise CheckFailed(
                f"'{self.recipe.ref}/{self.name}' failed its check: {verdict.reason}",
                f"it is kept with its report in {artifact.entry}",
            )
        return artifact

    def _files(self, path: Path, given: Artifact | None) -> tuple[Stored, ...]:
        """The files of a step's result: of a source, only those that belong to the model."""
        from zoo.defaults import SAFE_PATTERNS

        if given is None:
            wanted: list[str] = []
            for source in self.pinned.sources:
                wanted += [glob.escape(f.path) for f in source.files] or list(SAFE_PATTERNS)
            return describe_files(path, wanted)
        return given.manifest.files if path.resolve() == given.path else describe_files(path)

    def _gate(self, source: Artifact, check: bool) -> Callable[[Path], Verdict]:
        if not check:
            return lambda path: Verdict("not run", "not asked for")
        return lambda path: self._judge(source, path)

    def _judge(self, source: Artifact, path: Path, forced: bool = False) -> Verdict:
        """Compare the build in `path` with its source, if that can be done here."""
        if reason := self._cannot_check(forced):
            return Verdict("not run", reason)
        limits = limits_of(self.recipe, self.build)
        self.listener(Event("check", "start"))
        family, reference = self._family(), self._family(REFERENCE)
        adapters, seen = self.adapters(), self.store.view(source)
        path = seen if path == source.path else path
        metrics = measure(
            self.recipe,
            lambda: reference.run(self.pinned, Build(format=REFERENCE), seen, adapters),
            lambda: family.run(self.pinned, self.build, path, adapters),
            self._scorer(),
        )
        verdict = judge(
            task_of(self.recipe.task), metrics, limits, {**self._tools(REFERENCE), **self._tools()}
        )
        self.listener(Event("check", "done", message=str(verdict)))
        return verdict

    def _scorer(self) -> Scorer | None:
        """The judge that the recipe's check names."""
        from zoo.family import load_scorer

        named = self.recipe.check.scorer if self.recipe.check else None
        return load_scorer(named) if named else None

    def _cannot_check(self, forced: bool) -> str:
        """Why no check can be made, or the empty string."""
        if self.build.format == REFERENCE:
            return "it is the source itself"
        if self.recipe.check is None:
            return "the recipe has no check"
        if not task_of(self.recipe.task).metrics:
            return f"no check measures {self.recipe.task}"
        try:
            provider(FAMILIES, f"{self.recipe.family}.{REFERENCE}").require()
        except PluginError as error:
            return f"the source cannot run here: {error.message}"
        needed = estimates.memory_bytes(self.recipe, Build(format=REFERENCE))
        if needed > machine.memory() and not forced:
            return f"the source needs {human(needed)} of memory to run"
        return ""

    def _family(self, format: str | None = None, *, complete: bool = True) -> Family:
        from zoo.family import Family

        return Family(self.recipe.family, format or self.build.format, complete=complete)

    def _tools(self, format: str | None = None) -> dict[str, str | None]:
        plugin = provider(FAMILIES, f"{self.recipe.family}.{format or self.build.format}")
        return {plugin.distribution: plugin.version, **plugin.requirements()}

    def _has(self, key: str) -> bool:
        try:
            return self.store.get(key) is not None
        except ZooError:
            return False

    def _download_bytes(self) -> int:
        return estimates.download_bytes(self.pinned) if self.recipe.source.repo else 0

    def _require_room(self) -> None:
        """Refuse to begin what the disks cannot hold: source, intermediates and result."""
        from zoo.hub.repository import cache_folder, to_come

        needs = {step.name: step.bytes for step in self.plan().steps if not step.done}
        rest = {
            "intermediates": needs.get("convert", 0) if self.build.optimize else 0,
            "the result": needs.get("optimize", needs.get("convert", 0)),
        }
        coming = 0
        if "download" in needs and self.recipe.source.repo:
            coming = to_come(self.pinned.source, needs["download"])
        if room.same_disk(cache_folder(), self.store.home):
            rest = {"the source": coming, **rest}
        else:
            hint = "free some space, or set HF_HOME to a folder on another disk"
            room.require(cache_folder(), {"the source": coming}, f"'{self.recipe.ref}'", hint)
        hint = "free some space with zoo prune, or set ZOO_HOME to a folder on another disk"
        room.require(self.store.home, rest, f"'{self.recipe.ref}'", hint)
