"""One step of a build: work in a folder of its own, pass the gate, and be published whole."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.catalogs import estimates
from zoo.catalogs.recipe import Recipe
from zoo.errors import CheckFailed, IntegrityError, InUse, StepError
from zoo.formats.checkpoint import checkpoint_files
from zoo.progress import Event, Listener, Progress
from zoo.store import origin
from zoo.store.store import Artifact, Manifest, Store, Stored, describe_files, now
from zoo.tasks.verdict import Verdict


@dataclass(frozen=True)
class Step:
    """What one step does and leaves.

    Attributes:
        name: what it is called while it runs.
        publishes: what its artifact is: a finished build is one whatever step made it.
        key, inputs: of the artifact.
        work: makes the result in a folder that it is given, and returns where it is.
        given: the artifact that it works on; `None` for the download.
        gate: judges the result before it is published.
        annotate: writes what the gate measured into the result.
    """

    name: Literal["download", "convert", "optimize"]
    publishes: Literal["download", "convert", "build"]
    key: str
    inputs: dict[str, Any]
    work: Callable[[Path, Progress], Path]
    given: Artifact | None = None
    gate: Callable[[Path], Verdict] | None = None
    annotate: Callable[[Path, Verdict], None] | None = None


@dataclass
class Workshop:
    """Where the steps of one build are done.

    Attributes:
        recipe: as it was written.
        pinned: the recipe, with what is known of its sources.
        build: the name of the build.
        tools: the versions of what makes it.
        fetched: the source, once it is there.
    """

    recipe: Recipe
    pinned: Recipe
    build: str
    store: Store
    listener: Listener
    tools: Callable[[], dict[str, str | None]]
    fetched: Artifact | None = None

    def do(self, step: Step, *, again: bool = False) -> Artifact:
        """The artifact of a step, made unless the store has it.

        Args:
            again: make it even if the store has it.

        Raises:
            CheckFailed: the gate refused it; it is quarantined with its report.
        """
        waiting = Event(
            step.name, "note", message=f"another process is working on {step.key}; waiting for it"
        )
        with self.store.lock(step.key, lambda: self.listener(waiting)):
            if not again and (found := self._stored(step)) is not None:
                self.listener(Event(step.name, "cached", message=step.key))
                return found
            self.listener(Event(step.name, "start"))
            artifact, verdict = self._make(step)
            if step.gate is None:
                self.listener(Event(step.name, "done", message=step.key))
        if verdict is not None and verdict.status == "failed":
            raise self.failure(verdict, artifact)
        return artifact

    def failure(self, verdict: Verdict, artifact: Artifact) -> CheckFailed:
        """The error about a build whose check failed; it offers builds that stay nearer."""
        kept = (
            f"it is kept with its report in {artifact.entry}, and is judged again when its limits "
            "change"
        )
        again = f"{kept}; zoo build --force makes it again"
        called = f"{kept}; zoo.build(..., force=True) makes it again"
        if refused := verdict.lint.get("failed"):
            example = f'lint = {{ accept = {{ {refused[0]} = "why it may stay" }} }}'
            accept = f"fix it, or accept it in the recipe's build: {example}"
            return CheckFailed(
                f"'{self.recipe.ref}/{self.build}' failed its check: {verdict.reason}",
                f"{again}; see 'zoo lint', {accept}; --no-check builds without it",
                in_python=f"{called}; see zoo.lint, {accept}; check=False builds without it",
            )
        builds = self.recipe.build
        mine = estimates.bits_per_weight(builds[self.build])
        nearer = [n for n, b in builds.items() if estimates.bits_per_weight(b) > mine]
        same = [n for n in nearer if builds[n].format == builds[self.build].format]
        best = ", ".join((same or nearer)[:3])
        offer = f"; a build with more bits is nearer: {best}" if nearer else ""
        return CheckFailed(
            f"'{self.recipe.ref}/{self.build}' failed its check: {verdict.reason}",
            again + offer,
            in_python=called + offer,
        )

    def _make(self, step: Step) -> tuple[Artifact, Verdict | None]:
        with self.store.workdir(step.key) as workdir:
            path = step.work(workdir, Progress(step.name, self.listener))
            inside = path.resolve().is_relative_to(workdir.resolve())
            if step.given and not inside and path.resolve() != step.given.path:
                raise StepError(
                    f"{step.name} of '{self.recipe.ref}' returned {path}, "
                    "which is neither below its work folder nor the folder it was given"
                )
            verdict = None
            if step.gate is not None:
                self.listener(Event(step.name, "done", message=step.key))
                verdict = step.gate(path)
                if step.annotate is not None and inside and verdict.metrics:
                    step.annotate(path, verdict)
            base = workdir.parent.resolve()
            manifest = Manifest(
                key=step.key,
                ref=self.recipe.ref,
                step=step.publishes,
                build=self.build,
                format=self.recipe.build[self.build].format,
                created=now(),
                location=str(path.resolve().relative_to(base) if inside else path.resolve()),
                inputs=step.inputs,
                files=self._files(path, step.given),
                tools=self.tools(),
                check=asdict(verdict) if verdict else None,
                origin=self._origin(self.fetched),
            )
            failed = verdict is not None and verdict.status == "failed"
            artifact = self.store.publish(workdir, path, manifest, failed)
            if step.publishes == "download":
                artifact = self.store.update(artifact, origin=self._origin(artifact))
                self.fetched = artifact
        return artifact, verdict

    def _stored(self, step: Step) -> Artifact | None:
        """What the store has of a step; a corrupted download is made good by another one."""
        try:
            return self.store.get(step.key)
        except IntegrityError as error:
            if step.publishes != "download" or self.recipe.source.folder is not None:
                raise
            message = f"{error.message}; fetching what is wrong"
            self.listener(Event(step.name, "note", message=message))
            return None

    def require_unused(self, *keys: str) -> None:
        """Refuse to make artifacts again that a process is using.

        Raises:
            InUse: which of them.
        """
        for key in keys:
            if self.store.users(key):
                raise InUse(
                    f"{key} is in use by another process and cannot be made again",
                    "try again when that has finished",
                )

    def _files(self, path: Path, given: Artifact | None) -> tuple[Stored, ...]:
        """The files of a step's result: of a source, only those that belong to the model."""
        if given is not None:
            return given.manifest.files if path.resolve() == given.path else describe_files(path)
        names = [file.path for source in self.pinned.sources for file in source.files]
        if not self.pinned.source.files:
            there = (p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
            names += checkpoint_files(there, lambda name: (path / name).read_bytes())
        return describe_files(path, map(glob.escape, names))

    def _origin(self, source: Artifact | None) -> dict[str, Any]:
        """What the manifest of a step says of where it comes from."""
        found = [] if source is None else origin.fetched_files(self.recipe, source)
        build = asdict(self.recipe.build[self.build])
        return {**origin.describe(self.recipe, found), "build": build}
