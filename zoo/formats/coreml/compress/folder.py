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
    """Compress every package in the folder of a converted model, and copy its other files.

    In a folder with several packages, names of weights begin with the name of their package: the
    option `layers = { "vae_decoder/*" = 16 }` leaves `vae_decoder.mlpackage` in float16.

    Args:
        passes: how to store each weight.
        converted: the folder with the packages, at any depth.
        workdir: the folder to write to.
        progress: receives the bytes processed, the bits per weight and the weights skipped.
        named: name of the recipe, for messages.
        choice: the result of `choose_for_package`, if the family chose the bits; written to the
            ledger.

    Returns: `workdir`, with the ledger among its files.

    Raises:
        RecipeError: the pass is `mixed`, which the family does not support; there is no package,
            one is for a system before iOS 18, or a pattern in `layers` matches no weight.
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
