"""The hook `optimize` of models that are one saved package or several: compress them all."""

from __future__ import annotations

import shutil
from pathlib import Path

from zoo.errors import RecipeError
from zoo.formats.coreml.compress.ledger import report
from zoo.formats.coreml.compress.passes import Passes
from zoo.formats.coreml.compress.rewrite import compress_package, compress_packages
from zoo.formats.coreml.compress.trials import Choice
from zoo.progress import Progress

SUFFIX = ".mlpackage"


def compress_folder(
    passes: Passes,
    converted: Path,
    workdir: Path,
    progress: Progress,
    named: str = "the model",
    choice: Choice | None = None,
) -> Path:
    """Compress every package of a converted model, and copy what else it has.

    Where there are several packages, a weight's name begins with its package's: the option
    `layers = { "vae_decoder/*" = 16 }` leaves the weights of `vae_decoder.mlpackage` as they are.

    Args:
        passes: what to do with each weight.
        converted: the folder with the packages, at any depth.
        workdir: where to write.
        progress: receives the bytes, the bits per weight and what was skipped.
        named: the recipe, for messages.
        choice: what a family measured when it chose the passes' bits itself, with
            `choose_for_package`; the ledger keeps it.

    Returns: `workdir`. The ledger is among its files.

    Raises:
        RecipeError: the pass is `mixed`, whose bits the family has not chosen; there is no
            package, one is for a system before iOS 18, or a pattern in `layers` matches nothing.
        IntegrityError: a package is damaged.
    """
    if passes.mixed is not None:
        raise RecipeError(
            f"{named} asks for 'mixed', and its family does not measure what its weights are worth",
            hint="ask for 'palettize', with bits of their own in 'layers'",
        )
    packages = sorted(path for path in converted.rglob(f"*{SUFFIX}") if path.is_dir())
    if not packages:
        raise RecipeError(f"{named} has no Core ML package for a pass to compress")
    _copy_the_rest(converted, workdir)
    targets = {path: workdir / path.relative_to(converted) for path in packages}
    if len(packages) == 1:
        ((package, target),) = targets.items()
        ledger = compress_package(package, target, passes, progress=progress)
    else:
        parts = {part_name(path, converted): (path, out) for path, out in targets.items()}
        ledger = compress_packages(parts, passes, progress=progress)
    if choice is not None and passes.store is not None:
        ledger.figures, ledger.layers = choice.figures, passes.store.layers
    ledger.write(workdir)
    report(ledger, progress)
    return workdir


def part_name(package: Path, folder: Path) -> str:
    """What a package within a folder is called in the names of its weights."""
    return package.relative_to(folder).with_suffix("").as_posix()


def _copy_the_rest(converted: Path, workdir: Path) -> None:
    for path in sorted(converted.rglob("*")):
        inside = path.relative_to(converted)
        if path.is_file() and not any(parent.suffix == SUFFIX for parent in inside.parents):
            target = workdir / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
