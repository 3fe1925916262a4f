"""The hooks of `npz`, for every family: those that it does not know get `None`."""

import shutil
from pathlib import Path

import zoo
from zoo.formats import Tensors, copy_text_files, read_config

KNOWN = ("mistral", "llama")


@zoo.hookimpl
def convert(source: Path, workdir: Path) -> Path | None:
    import numpy as np

    if read_config(source)["model_type"] not in KNOWN:
        return None
    tensors = Tensors(source)
    arrays = {name: tensors.read(name).astype(np.float32) for name in tensors.shapes}
    np.savez(workdir / "weights.npz", **arrays)
    shutil.copy(source / "config.json", workdir)
    copy_text_files(source, workdir)
    return workdir


@zoo.hookimpl
def optimize(build: zoo.Build, converted: Path, workdir: Path) -> Path:
    import numpy as np

    (step,) = build.optimize
    most = 2 ** (step.options["bits"] - 1) - 1
    arrays = dict(np.load(converted / "weights.npz"))
    for name, array in arrays.items():
        if array.ndim == 2:
            scale = np.abs(array).max(1, keepdims=True) / most
            arrays[name] = np.round(array / scale) * scale
    np.savez(workdir / "weights.npz", **arrays)
    shutil.copy(converted / "config.json", workdir)
    copy_text_files(converted, workdir)
    return workdir


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path) -> zoo.TextModel | None:
    if recipe.family not in KNOWN:
        return None
    from zoo_npz.model import NpzModel

    return NpzModel(artifact, recipe)
