"""What a package says about itself, the same way for every family.

The entries are in the package's user-defined metadata, where an app reads them as
`MLModel.modelDescription.metadata[.creatorDefinedKey]`:

- `zoo.recipe`, `zoo.source`, `zoo.tokenizer`: the recipe, and repository or folder with the commit;
- `zoo.minimum_os`: the oldest systems, such as `iOS18, macOS15`;
- `zoo.compute_units`: the recommended case of `MLComputeUnits`, such as `cpuAndGPU`;
- `zoo.tool.NAME`: the version of each tool;
- what the family adds, such as `zoo.context`;
- `zoo.check.FIGURE`, and `zoo.check.ADAPTER.FIGURE` with an adapter: what the check of the whole
  build measured, to four digits;
- `co.huggingface.exporters.name`: the repository, where Hugging Face's exporters write it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from zoo.catalogs.recipe import Recipe
from zoo.catalogs.source import Source
from zoo.formats.coreml.convert.streaming import Metadata
from zoo.tasks.verdict import Verdict

ComputeUnits = Literal["all", "cpuAndGPU", "cpuAndNeuralEngine", "cpuOnly"]
"""The cases of `MLComputeUnits`."""

EXPORTERS = "co.huggingface.exporters.name"

MACOS = {16: 13, 17: 14, 18: 15}
"""The macOS that came with an iOS; from 26 on both count the same."""

FOR = {
    "cpuAndGPU": "For GPU and CPU.",
    "cpuAndNeuralEngine": "For the Neural Engine and CPU.",
    "cpuOnly": "For the CPU.",
}


def about(
    recipe: Recipe,
    *,
    system: str = "iOS18",
    units: ComputeUnits = "all",
    details: Mapping[str, object] | None = None,
) -> Metadata:
    """Return the metadata of a package from its recipe.

    Args:
        recipe: the recipe.
        system: the oldest iOS that runs it, as named by coremltools, such as `iOS18`.
        units: the recommended compute units.
        details: further entries, without the prefix `zoo.`; `None` values are left out.
    """
    source = recipe.source
    number = int(system.removeprefix("iOS"))
    entries = {
        "recipe": recipe.ref,
        "source": _pin(source),
        "tokenizer": _pin(recipe.tokenizer) if recipe.tokenizer else None,
        "minimum_os": f"{system}, macOS{MACOS.get(number, number)}",
        "compute_units": units,
        **{f"tool.{name}": _version(name) for name in ("zoo-ml", "coremltools", "numpy", "torch")},
        **(details or {}),
    }
    return Metadata(
        description=" ".join(
            part for part in (f"{recipe.title}: {recipe.summary}.", FOR.get(units)) if part
        ),
        author=source.repo.partition("/")[0] if source.repo else "",
        license=recipe.license,
        version=source.revision or source.branch or "",
        details={
            **{f"zoo.{key}": str(value) for key, value in entries.items() if value is not None},
            **({EXPORTERS: source.repo} if source.repo else {}),
        },
    )


def check_entries(verdict: Verdict) -> dict[str, str]:
    """Return the entries for the figures of a check.

    The status is left out: it depends on the limits of the recipe, which may change.
    """
    return {
        ".".join(filter(None, ("zoo.check", adapter, name))): f"{value:.4g}"
        for adapter, figures in verdict.by_adapter().items()
        for name, value in figures.items()
    }


def _pin(source: Source) -> str:
    origin = source.repo or source.folder or ""
    revision = source.revision or source.branch
    return f"{origin}@{revision}" if revision else origin


def _version(tool: str) -> str | None:
    try:
        return version(tool)
    except PackageNotFoundError:
        return None
