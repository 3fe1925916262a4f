"""Write a PyTorch module as a Core AI asset, by `torch.export` and Apple's converter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo

from zoo_coreai.quiet import quiet_tools

Dynamic = Sequence[Mapping[int, Any]]
"""For each argument of a module, a `torch.export.Dim` for each axis that has any length."""


@dataclass(frozen=True)
class Names:
    """What a program calls its inputs, outputs and states, each in the order of the module's."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    states: Sequence[str] = ()


def write_program(
    module: Any,
    example: Sequence[Any],
    names: Names,
    path: Path,
    recipe: zoo.Recipe,
    dynamic: Dynamic | None = None,
) -> None:
    """Export a module and write it as an asset.

    Args:
        module: a `torch.nn.Module` in evaluation mode; buffers that it changes become states.
        example: its arguments, of a size that the axes in `dynamic` can have; each a tensor of its
            own, since `torch.export` takes one that comes twice for one input.
        names: of the program's inputs, outputs and states.
        path: where to; it ends in `.aimodel`.
        recipe: says whose model it is.
        dynamic: the axes of any length, for each argument of `forward`.
    """
    with quiet_tools():
        import torch
        from coreai.runtime import AIModelAssetMetadata
        from coreai_torch import TorchConverter, get_decomp_table

        with torch.no_grad():
            exported = torch.export.export(module, tuple(example), dynamic_shapes=dynamic)
            exported = exported.run_decompositions(get_decomp_table())
        converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
        converter.add_exported_program(
            exported,
            input_names=list(names.inputs),
            output_names=list(names.outputs),
            state_names=list(names.states),
        )
        about = AIModelAssetMetadata()
        about.author = recipe.source.repo or ""
        about.license = recipe.license
        about.model_description = f"{recipe.title}: {recipe.summary}"
        about.set_custom("recipe", recipe.ref)
        about.set_custom("source", recipe.source.revision or "")
        converter.to_coreai().save_asset(path, about)
