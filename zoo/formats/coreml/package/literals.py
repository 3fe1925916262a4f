"""Constants that stand in a program itself, each once.

coremltools writes the numbers that an operation is given, such as axes and strides, as constants of
that operation alone. A U-Net has thousands of them, and but some dozens are different.
"""

from __future__ import annotations

from typing import Any

from zoo.formats.coreml.package.proto import replace_operations

Names = dict[str, str]
"""What a constant that is left out is called, and the one that serves in its place."""


def share_all_literals(spec: Any) -> None:
    """Let the operations of each function of a model share the constants that are equal."""
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            share_literals(block)


def share_literals(block: Any) -> None:
    """Let the operations of a block share the constants that are equal.

    Constants in `weight.bin`, and those that the block returns, stay as they are.
    """
    _share(block, {}, {})


def _share(block: Any, known: dict[bytes, str], renamed: Names) -> None:
    kept = []
    for operation in block.operations:
        for inner in operation.blocks:
            _share(inner, dict(known), renamed)
        if (name := _literal(operation)) is not None and name not in block.outputs:
            value = operation.attributes["val"].SerializeToString(deterministic=True)
            first = known.setdefault(value, name)
            if first != name:
                renamed[name] = first
                continue
        _rename(operation, renamed)
        kept.append(operation)
    replace_operations(block, kept)


def _literal(operation: Any) -> str | None:
    """The name of a constant that stands in the program itself."""
    if operation.type != "const":
        return None
    inside = operation.attributes["val"].WhichOneof("value") == "immediateValue"
    return str(operation.outputs[0].name) if inside else None


def _rename(operation: Any, renamed: Names) -> None:
    for argument in operation.inputs.values():
        for binding in argument.arguments:
            if binding.WhichOneof("binding") == "name" and binding.name in renamed:
                binding.name = renamed[binding.name]
