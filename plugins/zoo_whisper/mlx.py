"""Whisper by MLX: this package's own module, on the source's weights or quantized ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import copy_text_files, read_adapters, read_json, weight_files
from zoo.formats.mlx import Branches, matrix_shapes, read_quantize
from zoo_whisper.config import read_whisper_config
from zoo_whisper.model import WhisperModel
from zoo_whisper.weights import HEAD, PREFIX, Weights


class MLXWhisper(WhisperModel):
    """A checkpoint folder in the Hugging Face layout, quantized or not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import mlx.core as mx

        self.module = load_module(folder)
        if not mx.metal.is_available():
            self.module.set_dtype(mx.float32)
        mx.eval(self.module.parameters())

    def listen(self, samples: Any) -> _Window:
        import mlx.core as mx

        mel = mx.array(self.features(samples)).astype(self.module.encoder.conv1.weight.dtype)
        return _Window(self, self.module.encoder(mel))

    def encoded(self, samples: Any) -> Any:
        self.require_open()
        return _numbers(self.listen(samples).hidden[0])

    _branches: Any = None

    def add_adapters(self, folders: Mapping[str, Path]) -> Self:
        """Have the LoRA adapters in these folders to choose from; returns the model.

        Raises:
            zoo.IntegrityError: an adapter is damaged, or of another model.
        """
        if folders:
            matrices = matrix_shapes(self.module)
            shapes = {f"{PREFIX}{name}": shape for name, shape in matrices.items()}
            changes = {
                name: {weight.removeprefix(PREFIX): change for weight, change in found.items()}
                for name, found in read_adapters(folders, shapes).items()
            }
            self._branches = Branches(self.module, changes)
            self.adapters = tuple(folders)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        if self._branches is not None:
            self._branches.use(weights)

    def close(self) -> None:
        super().close()
        self.module = None


class _Window:
    def __init__(self, model: MLXWhisper, hidden: Any) -> None:
        self.model, self.hidden = model, hidden
        self.memory = model.module.decoder.cross_memory(hidden)

    def begin(self) -> _Writing:
        return _Writing(self, [])

    def attention(self, tokens: Sequence[int]) -> Any:
        import mlx.core as mx

        attention: list[Any] = []
        self.model.module.decoder(mx.array([list(tokens)]), self.memory, [], attention)
        return _numbers(
            mx.stack([attention[layer][head] for layer, head in self.model.config.heads])
        )


class _Writing:
    def __init__(self, window: _Window, memory: Any) -> None:
        self.window, self.memory = window, memory

    def go_on(self, tokens: Sequence[int]) -> Any:
        import mlx.core as mx

        decoder = self.window.model.module.decoder
        given = mx.array([list(tokens)])
        head = self.window.model.module.get("proj_out")
        logits, self.memory = decoder(given, self.window.memory, self.memory, head=head)
        return _numbers(logits[0])

    def fork(self) -> Self:
        return type(self)(self.window, self.memory)


def _numbers(array: Any) -> Any:
    import mlx.core as mx
    import numpy as np

    return np.array(array.astype(mx.float32))


def load_module(folder: Path) -> Any:
    """The module of a checkpoint folder, its weights not computed yet.

    Raises:
        zoo.IntegrityError: weights are missing, too many or of other shapes than the config's.
    """
    import mlx.core as mx
    from mlx import nn

    from zoo_whisper.mlx_module import Whisper

    config = read_whisper_config(folder)
    quantization = read_json(folder / "config.json").get("quantization")
    if not quantization:
        checked = Weights(folder, config)
    module = Whisper(config)
    weights: dict[str, Any] = {}
    for path in weight_files(folder):
        weights |= mx.load(str(path))  # type: ignore[arg-type]
    if quantization:
        nn.quantize(
            module,
            quantization["group_size"],
            quantization["bits"],
            class_predicate=lambda name, _: f"{name}.scales" in weights,
        )
    else:
        weights = {
            name.removeprefix(PREFIX): weight.transpose(0, 2, 1) if _is_conv(name) else weight
            for name, weight in weights.items()
            if name != HEAD or not checked.tied
        }
    try:
        module.load_weights(list(weights.items()), strict=True)
    except ValueError as error:
        raise zoo.IntegrityError(f"the weights in {folder} do not fit: {error}") from error
    return module


def _is_conv(name: str) -> bool:
    return ".conv" in name and name.endswith("weight")


@zoo.hookimpl
def optimize(
    recipe: zoo.Recipe, build: zoo.Build, converted: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    options = read_quantize(recipe, build)
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten

    bits, group = options.bits or 4, options.group_size or 64
    if options.mode != "affine" or options.mix:
        raise zoo.RecipeError(f"'{recipe.ref}' can be quantized with bits and group_size alone")
    module = load_module(converted)
    if module.decoder.embed_tokens.weight.shape[-1] % group:
        raise zoo.RecipeError(
            f"the width of '{recipe.ref}', {module.decoder.embed_tokens.weight.shape[-1]}, is not "
            f"a multiple of the group size {group}",
            hint="use a smaller group_size",
        )
    positions = {id(part.embed_positions) for part in (module.encoder, module.decoder)}
    nn.quantize(
        module,
        group,
        bits,
        class_predicate=lambda _, part: hasattr(part, "to_quantized") and id(part) not in positions,
    )
    parameters = dict(tree_flatten(module.parameters()))
    mx.save_safetensors(str(workdir / "model.safetensors"), parameters)
    config = read_json(converted / "config.json")
    config["quantization"] = {"group_size": group, "bits": bits}
    (workdir / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    copy_text_files(converted, workdir)
    return workdir


@zoo.hookimpl
def run(artifact: Path, adapters: Mapping[str, Path]) -> zoo.SpeechModel:
    return MLXWhisper(artifact).add_adapters(adapters)
