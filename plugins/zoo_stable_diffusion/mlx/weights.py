"""Load the components of a pipeline in MLX, from diffusers' files or from those of a build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json
from zoo_stable_diffusion.config import weights_of
from zoo_stable_diffusion.loading import listed
from zoo_stable_diffusion.mlx.known import require_known

BUILT = "weights.safetensors"
"""The weights of a component in a build: MLX's names and order of axes."""


def load_component(folder: Path, component: str) -> Any:
    """The module of a component, its weights not computed yet.

    Args:
        folder: of a pipeline, as diffusers saves it or as a build in MLX has it.
        component: `unet`, `vae`, `text_encoder` or `text_encoder_2`.

    Raises:
        IntegrityError: weights are missing, too many or of other shapes than the config's, or the
            config asks for what the modules do not have.
    """
    import mlx.core as mx
    from mlx import nn

    config = read_json(folder / component / "config.json")
    require_known(component, config, folder / component / "config.json")
    try:
        module, renamed = _make(component, config)
    except (KeyError, TypeError, ValueError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit: {error}"
        raise zoo.IntegrityError(f"{folder / component / 'config.json'} {why}") from error
    built = (path := folder / component / BUILT).is_file()
    files = [path] if built else weights_of(folder, component)
    found: dict[str, Any] = {}
    for path in files:
        try:
            found |= dict(mx.load(str(path)))  # type: ignore[arg-type]
        except RuntimeError as error:
            raise zoo.IntegrityError(f"{path} cannot be read: {error}") from error
    path = files[0] if len(files) == 1 else folder / component
    if not built:
        found = _in_order(found, renamed, module)
    if quantization := config.get("quantization"):
        nn.quantize(
            module,
            quantization["group_size"],
            quantization["bits"],
            class_predicate=lambda name, _: f"{name}.scales" in found,
        )
    _require_fit(module, found, path)
    module.load_weights(list(found.items()))
    return module


def _make(component: str, config: dict[str, Any]) -> tuple[Any, Callable[[str], str | None]]:
    """The module of a config, and how weights of a checkpoint are called in it."""
    if component == "unet":
        from zoo_stable_diffusion.mlx.unet import UNet

        return UNet(config), str
    if component == "vae":
        from zoo_stable_diffusion.mlx import vae

        return vae.Autoencoder(config), vae.renamed
    from zoo_stable_diffusion.mlx import text

    projects = component == "text_encoder_2"
    return text.TextEncoder(config, projects), text.renamed


def _in_order(
    found: dict[str, Any], renamed: Callable[[str], str | None], module: Any
) -> dict[str, Any]:
    """The weights by MLX's names, with channels last; kernels of one pixel as matrices."""
    from mlx.utils import tree_flatten

    matrices = {name for name, array in tree_flatten(module.parameters()) if array.ndim == 2}
    ordered = {}
    for given, array in found.items():
        name = renamed(given)
        if name is None:
            continue
        if array.ndim == 4:
            pixel = name in matrices and array.shape[2:] == (1, 1)
            ordered[name] = array[..., 0, 0] if pixel else array.transpose(0, 2, 3, 1)
        else:
            ordered[name] = array
    return ordered


def _require_fit(module: Any, found: dict[str, Any], path: Path) -> None:
    from mlx.utils import tree_flatten

    expected = dict(tree_flatten(module.parameters()))
    missing, extra = sorted(expected.keys() - found), sorted(found.keys() - expected.keys())
    if missing:
        raise zoo.IntegrityError(f"{path} lacks {listed(missing)}, which its config describes")
    if extra:
        raise zoo.IntegrityError(f"{path} has {listed(extra)}, which its config does not describe")
    for name, array in found.items():
        if array.shape != expected[name].shape:
            raise zoo.IntegrityError(
                f"'{name}' in {path} has the shape {array.shape}, "
                f"but its config requires {expected[name].shape}"
            )
