"""Install plugins for the duration of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install_plugin(
    site: Path,
    distribution: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    *,
    version: str = "0.1",
    requires: tuple[str, ...] = (),
) -> None:
    """Write a distribution into a folder, as pip would install it.

    Put the folder on `PYTHONPATH` to use it.

    Args:
        site: the folder to write in.
        distribution: name of the distribution, such as `zoo-acme`.
        modules: path below `site` to text, for code, catalogs and recipes.
        entry_points: group to name to value, such as
            `{"zoo.families": {"acme.plain": "zoo_acme"}}`.
        version: version of the distribution.
        requires: requirements, such as `"torch; extra == 'gpu'"`.
    """
    for name, text in modules.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    metadata = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(metadata) + "\n", encoding="utf-8")
    groups = []
    for group, entries in entry_points.items():
        groups.append(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()))
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def forget_plugins() -> None:
    """Discard what this process has cached about installed plugins."""
    import importlib

    from zoo.catalogs import formats
    from zoo.registry import discovery, distributions
    from zoo.tasks import registry

    importlib.invalidate_caches()
    for module in (discovery, distributions, registry):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    formats._DESCRIBED.clear()
