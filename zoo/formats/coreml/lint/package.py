"""What `zoo lint` opens: packages, and the two rules that concern other kinds of model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import InputError, IntegrityError, NotFound
from zoo.formats.coreml.compat import load_coremltools
from zoo.formats.coreml.lint.rule import Match, Rule
from zoo.formats.coreml.package.proto import MODEL_FILE


def _never(*_: object) -> Iterator[Match]:
    return iter(())


COMPILED = Rule(
    id="L5",
    title="Compiled model with flexible shapes",
    pattern="a `.mlmodelc` that takes several shapes and records no FlexibleShapeInformation",
    effect="silent",
    outcome="On iOS 27 and macOS 27 results are NaN or have wrong lengths.",
    remedy="Compile the package again with a current Xcode.",
    source="https://github.com/FluidInference/FluidAudio",
    trust=2,
    match=_never,
    since=27,
)
PIPELINE = Rule(
    id="L24",
    title="Compressed model in a pipeline with non-maximum suppression",
    pattern="a pipeline of a compressed ML program and a non-maximum suppression",
    effect="refused",
    outcome="Xcode crashes when it opens or compiles the model.",
    remedy="Do the suppression in the app.",
    source="https://github.com/apple/coremltools/issues/2484",
    trust=3,
    match=_never,
)


def compiled_matches(folder: Path) -> list[Match]:
    """What L5 finds in a compiled model.

    Raises:
        IntegrityError: its metadata cannot be read.
    """
    path = folder / "metadata.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))[0]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise IntegrityError(f"{path} cannot be read: {type(error).__name__}") from error
    inputs = described.get("inputSchema", []) if isinstance(described, dict) else []
    flexible = [i for i in inputs if str(i.get("hasShapeFlexibility", "0")) == "1"]
    if not flexible or "FlexibleShapeInformation" in described:
        return []
    return [Match(str(flexible[0].get("name", "input")), "input")]


def pipeline_matches(spec: Any) -> list[Match]:
    """What L24 finds in a pipeline."""
    models = list(spec.pipeline.models)
    suppresses = any(m.WhichOneof("Type") == "nonMaximumSuppression" for m in models)
    compressed = any(
        op.type.startswith("constexpr_")
        for model in models
        if model.WhichOneof("Type") == "mlProgram"
        for function in model.mlProgram.functions.values()
        for block in function.block_specializations.values()
        for op in block.operations
    )
    return [Match("pipeline", "pipeline")] if suppresses and compressed else []


def read_spec(path: Path) -> Any:
    """The protobuf of a package, of any kind of model.

    Raises:
        NotFound: there is nothing at `path`.
        InputError: it is no package.
        IntegrityError: its model cannot be read.
    """
    if not path.exists():
        raise NotFound(f"there is no package at {path}")
    if not path.is_dir() or not (path / "Manifest.json").is_file():
        raise InputError(
            f"{path} is not a Core ML package",
            "give a .mlpackage folder, or the name of a Core ML build",
        )
    load_coremltools()
    from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError

    spec = Model_pb2.Model()
    try:
        spec.ParseFromString(_model_file(path).read_bytes())
    except (OSError, DecodeError) as error:
        raise IntegrityError(f"the model in {path} cannot be read: {error}") from error
    return spec


def _model_file(path: Path) -> Path:
    from zoo.formats.coreml.package.reader import _model_file as find

    found: Path = find(path)
    return found if found.is_file() else path / MODEL_FILE
