"""Run a language model that was written for the Neural Engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.formats.coreml.execute.program import Functions, Mode, Program
from zoo.formats.coreml.language.mask import MASKED, masks
from zoo.formats.coreml.language.neural_engine.embeddings import Table
from zoo.formats.coreml.language.neural_engine.manifest import read_manifest
from zoo.formats.coreml.language.neural_engine.program import (
    BEGIN,
    EXTEND,
    MAIN,
    PREFILL,
    function_name,
)
from zoo.formats.coreml.language.run import Conversation
from zoo.formats.coreml.language.spec import DecoderSpec


class StaticDecoder:
    """The packages of a build for the Neural Engine, run one after another.

    Args:
        folder: the build.
        spec: the decoder's.
        mode: how the reference executor computes.

    Raises:
        IntegrityError: the build is damaged.
    """

    def __init__(self, folder: Path, spec: DecoderSpec, *, mode: Mode = "fp16") -> None:
        self.spec, self.manifest = spec, read_manifest(folder)
        self.adapters = self.manifest.adapters
        self.table = Table(folder / self.manifest.embeddings, (spec.vocabulary, spec.width))
        self._layers, self._heads = (
            [Functions(folder / part.package, mode=mode) for part in parts]
            for parts in (self.manifest.layers, self.manifest.heads)
        )
        self._opened: dict[tuple[str, str | None], list[Program]] = {}
        self.adapter: str | None = None

    def switch(self, adapter: str | None) -> None:
        self.adapter = adapter

    def begin(self) -> StaticConversation:
        """A conversation with the adapter that is in use now."""
        return StaticConversation(self, self.adapter)

    def programs(self, kind: str, adapter: str | None) -> list[Program]:
        """The function of a kind in each of the packages that have it."""
        if (kind, adapter) not in self._opened:
            packages = self._heads if kind == MAIN else self._layers
            name = function_name(kind, adapter)
            self._opened[kind, adapter] = [package.open(name) for package in packages]
        return self._opened[kind, adapter]

    def inputs(self, number: int, kind: str) -> list[str]:
        """What a function of the package of layers of this number takes."""
        return self._layers[number].inputs(kind)

    def function(self, count: int, first: int) -> tuple[str, int, int]:
        """What reads up to `count` tokens from the position `first` on.

        Returns: the function's kind, the tokens that it takes, and the positions that it sees.
        """
        manifest = self.manifest
        if count == 1:
            return EXTEND, 1, manifest.length
        if first == 0 and manifest.begin:
            size = next((n for n in manifest.begin if n >= count), manifest.begin[-1])
            return f"{BEGIN}{size}", size, size
        return PREFILL, manifest.prefill, manifest.length


class StaticConversation(Conversation):
    """The states of one run through the packages."""

    def __init__(self, decoder: StaticDecoder, adapter: str | None) -> None:
        super().__init__(decoder.spec)
        self.decoder, self.adapter = decoder, adapter
        self.states = [program.make_state() for program in decoder.programs(EXTEND, adapter)]

    def read(self, tokens: Sequence[int], places: Sequence[int]) -> Any:
        import numpy as np

        wanted, start = set(places), 0
        found: dict[int, Any] = {}
        while start < len(tokens):
            hidden, count = self._block(tokens[start:], self.length + start)
            for place in wanted.intersection(range(start, start + count)):
                found[place] = self._logits(hidden[:, :, place - start : place - start + 1])
            start += count
        return np.stack([found[place] for place in places])

    def _block(self, tokens: Sequence[int], start: int) -> tuple[Any, int]:
        """What the layers return for as many of the tokens as they take at once, and how many.

        The first of them is at the position `start`.
        """
        import numpy as np

        decoder, spec = self.decoder, self.spec
        kind, size, length = decoder.function(len(tokens), start)
        tokens = tokens[:size]
        count = len(tokens)
        hidden = np.zeros((1, 1, size, spec.width), np.float16)
        hidden[0, 0, :count] = decoder.table.rows(tokens)
        given = {}
        for name, seen in masks(spec, count, start + count).items():
            given[name] = np.zeros((1, 1, size, length), np.float16)
            given[name][:, :, :count] = MASKED
            given[name][:, :, :count, : start + count] = seen
        update = np.zeros((1, 1, size, length), np.float16)
        update[0, 0, range(count), range(start, start + count)] = 1
        given["cacheUpdateMask"] = update
        programs = decoder.programs(kind, self.adapter)
        for number, (program, state) in enumerate(zip(programs, self.states, strict=True)):
            inputs = {"hiddenStates": hidden, **given}
            inputs = {name: inputs[name] for name in decoder.inputs(number, kind)}
            hidden = program.predict(inputs, state)["hiddenStatesOut"].astype(np.float16)
        return hidden, count

    def _logits(self, hidden: Any) -> Any:
        """The logits after one token, (vocabulary,)."""
        import numpy as np

        parts: list[Any] = []
        heads = zip(
            self.decoder.programs(MAIN, self.adapter), self.decoder.manifest.heads, strict=True
        )
        for program, head in heads:
            found = program.predict({"hiddenStates": hidden})
            parts += [found[name][0] for name in head.outputs]
        return np.concatenate(parts)
