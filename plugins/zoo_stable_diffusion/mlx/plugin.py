"""Stable Diffusion by MLX: this package's own modules, on the source's weights or quantized ones.

The autoencoder always computes in float32: SDXL's overflows in half precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import link_or_copy, read_json
from zoo.formats.mlx import computes_on_cpu, note_unquantized, read_quantize
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.mlx.weights import BUILT, load_component
from zoo_stable_diffusion.model import BESIDE, Conditioning, StableDiffusionModel


class MLXStableDiffusion(StableDiffusionModel):
    """A pipeline's folder as diffusers saves it, or a build of it, quantized or not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import mlx.core as mx

        self.encoders = [load_component(folder, name) for name in self.config.encoders]
        self.unet, self.vae = load_component(folder, "unet"), load_component(folder, "vae")
        self.vae.set_dtype(mx.float32)
        if computes_on_cpu():
            for module in (*self.encoders, self.unet):
                module.set_dtype(mx.float32)
        mx.eval([module.parameters() for module in (*self.encoders, self.unet, self.vae)])
        self.dtype = self.unet.conv_in.weight.dtype
        self._branches: list[Any] = []
        self._noise: Any = mx.compile(self.unet)

    def text(self, ids: Sequence[Any]) -> Conditioning:
        import mlx.core as mx
        import numpy as np

        pairs = zip(self.encoders, ids, strict=True)
        found = [encoder(mx.array(rows)) for encoder, rows in pairs]
        if not self.config.sized:
            return Conditioning(_numbers(found[0][0]))
        hidden = np.concatenate([_numbers(before) for _, before, _ in found], 2)
        return Conditioning(hidden, _numbers(found[-1][2]))

    def noise(self, latents: Any, timestep: float, conditioning: Conditioning, sizes: Any) -> Any:
        import mlx.core as mx

        given = mx.array(latents).astype(self.dtype).transpose(0, 2, 3, 1)
        more: tuple[Any, ...] = ()
        if sizes is not None:
            more = mx.array(conditioning.pooled).astype(self.dtype), mx.array(sizes)
        hidden = mx.array(conditioning.hidden).astype(self.dtype)
        if conditioning.guidance is not None:
            more = *(more or (None, None)), mx.array(conditioning.guidance).astype(self.dtype)
        return _channels_first(self._noise(given, mx.array([timestep], mx.float32), hidden, *more))

    def picture(self, latents: Any) -> Any:
        import mlx.core as mx

        return _channels_first(self.vae.decode(mx.array(latents).transpose(0, 2, 3, 1)))

    def latents(self, pictures: Any) -> Any:
        return self.moments(pictures)[0]

    def moments(self, pictures: Any) -> tuple[Any, Any]:
        import mlx.core as mx

        mean, spread = self.vae.encode(mx.array(pictures).transpose(0, 2, 3, 1))
        return _channels_first(mean), _channels_first(spread)

    def add_adapters(self, folders: Mapping[str, Path]) -> Self:
        """Have the LoRA styles in these folders to choose from; returns the model.

        Raises:
            IntegrityError: a style is damaged, or of another model.
        """
        if folders:
            from zoo.formats import read_adapters
            from zoo.formats.mlx import Branches, matrix_shapes

            modules = dict(zip(self.config.encoders, self.encoders, strict=True))
            modules["unet"] = self.unet
            for part, module in modules.items():
                changes = read_adapters(folders, matrix_shapes(module), part)
                self._branches.append(Branches(module, changes))
            self.adapters = tuple(folders)
            self.switch(None)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        import mlx.core as mx

        for branches in self._branches:
            branches.use(weights)
        if self._branches:
            self._noise = mx.compile(self.unet)  # a compiled graph holds the weights it has seen

    def close(self) -> None:
        super().close()
        self.encoders, self.unet, self.vae = [], None, None
        self._branches, self._noise = [], None


def _numbers(array: Any) -> Any:
    import mlx.core as mx
    import numpy as np

    return np.array(array.astype(mx.float32))


def _channels_first(array: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(_numbers(array).transpose(0, 3, 1, 2))


@zoo.hookimpl
def convert(source: Path, workdir: Path, progress: zoo.Progress) -> Path:
    for component in (*read_diffusion_config(source).encoders, "unet", "vae"):
        _write(load_component(source, component), source, workdir, component, progress)
    _bring(source, workdir)
    return workdir


@zoo.hookimpl
def optimize(
    recipe: zoo.Recipe, build: zoo.Build, converted: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    options = read_quantize(recipe, build)
    if options.mode != "affine" or options.mix:
        raise zoo.RecipeError(f"'{recipe.ref}' can be quantized with bits and group_size alone")
    bits, group = options.bits or 4, options.group_size or 64
    kept: list[str] = []
    for component in (*read_diffusion_config(converted).encoders, "unet"):
        module = load_component(converted, component)
        left = _quantize(module, bits, group)
        if left is None:
            raise zoo.RecipeError(
                f"no layer of '{component}' in '{recipe.ref}' has a width that is a multiple of "
                f"the group size {group}",
                hint="use a smaller group_size",
            )
        kept += [f"{component}.{name}" for name in left]
        scheme = {"group_size": group, "bits": bits}
        _write(module, converted, workdir, component, progress, quantization=scheme)
    note_unquantized(kept, group, progress)
    (workdir / "vae").mkdir()
    for name in ("config.json", BUILT):
        link_or_copy(converted / "vae" / name, workdir / "vae" / name)
    _bring(converted, workdir)
    return workdir


@zoo.hookimpl
def run(artifact: Path, adapters: Mapping[str, Path]) -> zoo.ImageModel:
    return MLXStableDiffusion(artifact).add_adapters(adapters)


def _quantize(module: Any, bits: int, group: int) -> list[str] | None:
    """Quantize the linear layers that the group divides.

    Returns: the names of the others, or `None` if it divides none.
    """
    from mlx import nn

    linear = {name for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    chosen = {
        name
        for name, part in module.named_modules()
        if name in linear and part.weight.shape[-1] % group == 0
    }
    nn.quantize(module, group, bits, class_predicate=lambda name, _: name in chosen)
    return sorted(linear - chosen) if chosen else None


def _write(
    module: Any,
    source: Path,
    workdir: Path,
    component: str,
    progress: zoo.Progress,
    **more: Any,
) -> None:
    """Write a component, one tensor after the other, with its config and `more` in it."""
    from mlx.utils import tree_flatten

    from zoo.formats.mlx import no_cache, write_tensors

    (workdir / component).mkdir()
    config = read_json(source / component / "config.json") | more
    (workdir / component / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    parameters = dict(tree_flatten(module.parameters()))
    module.update(_emptied(module))
    with no_cache():
        write_tensors(parameters, workdir / component / BUILT, progress)


def _emptied(module: Any) -> Any:
    """Parameters without numbers, so that a module does not hold what has been written."""
    import mlx.core as mx
    from mlx.utils import tree_map

    return tree_map(lambda _: mx.array(0.0), module.parameters())


def _bring(source: Path, workdir: Path) -> None:
    """The index, the scheduler and the tokenizers, as they are."""
    link_or_copy(source / "model_index.json", workdir / "model_index.json")
    for name in BESIDE:
        if (source / name).is_dir():
            (workdir / name).mkdir()
            for path in sorted((source / name).iterdir()):
                if path.is_file():
                    link_or_copy(path, workdir / name / path.name)
