"""Claims about convert and optimize, and the files that they write."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from unittest import SkipTest

from zoo.catalogs.formats import format_of
from zoo.catalogs.recipe import Optimization
from zoo.errors import RecipeError, ZooError, said
from zoo.progress import Event, Progress
from zoo.tasks.verdict import Verdict
from zoo.testing.contract.claim import BrokenClaim, Claims, require
from zoo.testing.contract.subject import Subject
from zoo.testing.contract.watch import Seen, changes, digests_of, files_of

STEPS = Claims()
STRANGE = "no-such-pass"


@STEPS.claim
def builds(subject: Subject) -> None:
    """Convert and optimize make a folder from the source."""
    error = subject.fault_of_build()
    if isinstance(error, BrokenClaim):
        raise error
    require(error is None, f"{type(error).__name__}: {said(error)}" if error else "")


@STEPS.claim
def runs(subject: Subject) -> None:
    """The build loads as a model of the recipe's task."""
    folder = subject.made().folder
    try:
        model = subject.open(folder)
    except ZooError as error:
        raise BrokenClaim(f"{type(error).__name__}: {error.message}") from error
    wanted = subject.task.model()
    require(isinstance(model, wanted), f"run returned {model!r}, which is not a {wanted.__name__}")
    model.close()


@STEPS.claim
def quiet(subject: Subject) -> None:
    """Nothing is printed to stdout, which is for the output of the model."""
    for seen in _all(subject):
        require(not seen.stdout, f"{seen.hook} printed {seen.stdout[:60]!r}")


@STEPS.claim
def leaves_alone(subject: Subject) -> None:
    """Nothing outside the work folder changes: source, build, other files, temporary files."""
    for seen in _all(subject):
        require(not seen.changes, f"in {seen.hook}, {'; '.join(seen.changes[:3])}")


@STEPS.claim
def offline(subject: Subject) -> None:
    """No step after the download uses the network."""
    for seen in _all(subject):
        require(not seen.connections, f"{seen.hook} connects to {', '.join(seen.connections[:3])}")


@STEPS.claim
def same_bytes_twice(subject: Subject) -> None:
    """The same source makes identical files."""
    first, second = (subject.made(number).digests for number in (0, 1))
    differ = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
    require(not differ, f"made twice, these files differ: {', '.join(differ[:4])}")


@STEPS.claim
def annotated(subject: Subject) -> None:
    """The figures of a check become part of the build: the same bytes twice, which still load."""
    if subject.family.answers("annotate") is None:
        raise SkipTest("it has no 'annotate' hook")
    made = subject.made().folder
    if made == subject.source:
        raise SkipTest("the build is the source itself")
    verdict = Verdict("measured", metrics={"claimed": 0.5, "adapter:claimed": 0.25})
    found = []
    for number in (0, 1):
        folder = subject.root / f"annotated-{number}"
        shutil.copytree(made, folder)
        try:
            subject.family.annotate(subject.recipe, subject.build, folder, verdict)
        except ZooError as error:
            raise BrokenClaim(f"{type(error).__name__}: {error.message}") from error
        found.append(digests_of(folder))
    differ = [name for name, digest in found[0].items() if found[1][name] != digest]
    require(not differ, f"annotated twice, these files differ: {', '.join(differ[:4])}")
    subject.open(folder).close()


@STEPS.claim
def whole(subject: Subject) -> None:
    """The build contains files of its own: no links out of it, and no pipes."""
    folder = subject.made().folder
    if folder == subject.source:
        raise SkipTest("the build is the source itself")
    found = list(folder.rglob("*"))
    require(any(path.is_file() for path in found), "the build is empty")
    for path in found:
        name = path.relative_to(folder)
        if path.is_symlink():
            inside = path.resolve().is_relative_to(folder.resolve())
            require(inside, f"'{name}' is a link to {path.readlink()}, out of the build")
        kind = path.stat().st_mode
        require(
            stat.S_ISREG(kind) or stat.S_ISDIR(kind), f"'{name}' is neither a file nor a folder"
        )


@STEPS.claim
def progress_ends(subject: Subject) -> None:
    """Progress increases up to its total."""
    last: dict[tuple[str, str], Event] = {}
    for event in subject.made().events:
        if event.state != "update":
            continue
        before = last.get((event.step, event.unit))
        after = f"{event.done} of {event.total} {event.unit}"
        require(event.total is None or event.done <= event.total, f"{event.step} is at {after}")
        if before is not None and event.done < before.done:
            require(before.done == before.total, f"{event.step} goes back to {after}")
        last[event.step, event.unit] = event
    for (step, _), event in last.items():
        done = event.total in (None, event.done)
        require(done, f"{step} ends at {event.done} of {event.total} {event.unit}")


@STEPS.claim
def strange_pass_refused(subject: Subject) -> None:
    """An unknown pass raises a RecipeError."""
    build = replace(subject.build, optimize=(Optimization(STRANGE),))
    if list(format_of(subject.format).faults(subject.recipe, build)):
        return
    converted = subject.made().folder
    workdir = subject.root / "strange"
    workdir.mkdir()
    try:
        made = subject.ask(
            "optimize",
            build=build,
            converted=converted,
            workdir=workdir,
            progress=Progress("optimize"),
        )
    except RecipeError:
        return
    except Exception as error:
        raise BrokenClaim(
            f"a pass '{STRANGE}' raises {type(error).__name__}, not a zoo.RecipeError"
        ) from error
    require(made is None, f"a pass '{STRANGE}' is accepted, and makes a build")


@STEPS.claim
def damaged_source_refused(subject: Subject) -> None:
    """A source whose weights are cut short raises a ZooError, and makes no build."""
    _ = subject.family
    weights = max(
        subject.source.rglob("*.safetensors"), key=lambda path: path.stat().st_size, default=None
    )
    if weights is None:
        raise SkipTest("the source has no safetensors")
    broken = subject.root / "damaged"
    shutil.copytree(subject.source, broken)
    cut = broken / weights.relative_to(subject.source)
    with cut.open("r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    place, events = subject.root / "from-damaged", list[Event]()
    known = {change for seen in subject.seen for change in seen.changes}
    try:
        made, _ = subject.step("convert", place, events, source=broken, adapters=subject.adapters)
        if subject.build.optimize:
            made, _ = subject.step("optimize", place, events, converted=made)
        subject.open(made).close()
    except ZooError:
        left = [change for change in subject.seen[-1].changes if change not in known]
        require(not left, "; ".join(left[:3]))
        return
    except Exception as error:
        raise BrokenClaim(f"it raises {type(error).__name__}, not a zoo.ZooError") from error
    raise BrokenClaim("it makes a model of half of the weights")


@STEPS.slow
def killed_leaves_nothing(subject: Subject) -> None:
    """A conversion that is killed leaves nothing outside its work folder."""
    subject.made()
    home = subject.root / "killed"
    for name in ("tmp", "work", "own"):
        (home / name).mkdir(parents=True)
    before = files_of(subject.source)
    settings = {
        "family": subject.family_name,
        "format": subject.format,
        "source": str(subject.source),
        "workdir": str(home / "work"),
        "optimize": [{"kind": s.kind, **s.options} for s in subject.build.optimize],
        "options": subject.build.options,
        "task": subject.recipe.task,
        "own": str(home / "own"),
        "tmp": str(home / "tmp"),
        "path": sys.path,
    }
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, json.dumps(settings)],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        raise SkipTest("it reports no progress, by which the moment is found")
    require(done.returncode == -9, f"it fails in a new process: {done.stderr.strip()[-200:]}")
    found = changes("the source", before, files_of(subject.source))
    found += changes("the temporary folder", {}, files_of(home / "tmp"))
    found += [f"'{p.name}' appeared in the working folder" for p in home.iterdir() if p.is_file()]
    require(not found, "; ".join(found[:3]))


_KILLED = """
import json, os, signal, sys, tempfile
from pathlib import Path

settings = json.loads(sys.argv[1])
sys.path[:] = settings["path"]
tempfile.tempdir = settings["own"]
from zoo.progress import Progress
from zoo.testing.contract.subject import Subject


def killing(event):
    if event.state == "update":
        os.kill(os.getpid(), signal.SIGKILL)


source = Path(settings["source"])
subject = Subject(
    settings["family"], settings["format"], source=source,
    optimize=settings["optimize"], options=settings["options"], task=settings["task"],
)
subject.recipe, subject.family
tempfile.tempdir = settings["tmp"]
given = dict(recipe=subject.recipe, build=subject.build)
subject.family.ask(
    "convert", source=source, adapters={}, workdir=Path(settings["workdir"]),
    progress=Progress("convert", killing), **given
)
subject.close()
"""


def _all(subject: Subject) -> list[Seen]:
    """Everything that was seen, after a build was made, loaded and called."""
    from zoo.testing.contract.model import call

    model = subject.model
    with subject.watch("a call"):
        call(subject, model)
    return subject.seen
