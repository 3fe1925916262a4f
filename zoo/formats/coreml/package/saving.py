"""Save what a package says about itself so that the same model is always the same bytes.

coremltools gives the parts of a package random identifiers, lets protobuf order its maps by a hash
that changes with every process, and writes down the day. Here identifiers follow from the paths of
the parts, maps are in order, and there is no day: builds can be compared, and stored once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from zoo.formats.coreml.package.features import describe_features
from zoo.formats.coreml.package.reader import Package

DATE = "com.github.apple.coremltools.conversion_date"


def save_spec(spec: Any, model: Path) -> None:
    """Write the protobuf of a model into its package, and number the package's parts.

    Args:
        spec: of coremltools' `Model` message.
        model: the model file in the package, which has a `Manifest.json`.
    """
    spec.description.metadata.userDefined.pop(DATE, None)
    describe_features(spec)
    _write(spec, model)
    number_parts(next(p for p in model.parents if (p / "Manifest.json").is_file()))


def annotate(package: Path, entries: Mapping[str, str]) -> None:
    """Add entries to a package's user-defined metadata; everything else stays as it is.

    The model file is replaced, not written into: another package may share it by a hard link.
    """
    found = Package(package)
    found.spec.description.metadata.userDefined.update(entries)
    _write(found.spec, found.model)


def _write(spec: Any, model: Path) -> None:
    """Replace a model file by one with the permissions that new files have here."""
    new = model.with_name(f"{model.name}.new")
    new.write_bytes(spec.SerializeToString(deterministic=True))
    new.replace(model)


def number_parts(package: Path) -> None:
    """Give each part of a package the identifier that follows from its path."""
    path = package / "Manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    parts = manifest["itemInfoEntries"]
    named = {old: _identifier(part["path"]) for old, part in parts.items()}
    manifest["itemInfoEntries"] = {named[old]: part for old, part in parts.items()}
    manifest["rootModelIdentifier"] = named[manifest["rootModelIdentifier"]]
    path.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _identifier(path: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"coreml:{path}")).upper()
