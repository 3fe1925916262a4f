"""Language models in Core AI: any decoder that a `DecoderSpec` describes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import Sampler, Tensors, copy_text_files, read_json, read_options
from zoo.formats.coreml import DecoderSpec, causal_mask
from zoo.tasks import Tokenizer

from zoo_coreai.options import DecoderOptions
from zoo_coreai.running import SUFFIX, Program
from zoo_coreai.writing import Names, write_program

PROGRAM, ABOUT = f"model{SUFFIX}", "coreai.json"
CHUNK = 256
"""Tokens of a prompt that go through the model at once."""


class CoreAITextModel(zoo.TextModel):
    """A build of `convert_decoder`: program, tokenizer, `config.json`, and its sizes.

    Args:
        program: the decoder.
        about: `context`, `vocabulary` and `window` of the program.
        tokenizer, context, chat: as for `zoo.TextModel`.
    """

    def __init__(
        self,
        program: Program,
        about: Mapping[str, Any],
        tokenizer: Tokenizer,
        *,
        context: int | None = None,
        chat: bool | None = False,
    ) -> None:
        self._room: int = about["context"]
        super().__init__(tokenizer, context=min(self._room, context or self._room), chat=chat)
        self._program, self._about = program, about

    @classmethod
    def load(cls, folder: Path, *, context: int | None = None, chat: bool | None = False) -> Self:
        """Load the build in `folder`.

        Raises:
            zoo.IntegrityError: the build is damaged.
        """
        about = read_json(folder / ABOUT)
        if not all(type(about.get(key)) is int for key in ("context", "vocabulary")):
            raise zoo.IntegrityError(f"{folder / ABOUT} is damaged", "build it again")
        tokenizer = Tokenizer(folder)
        return cls(Program(folder / PROGRAM), about, tokenizer, context=context, chat=chat)

    @property
    def vocabulary(self) -> int:
        return int(self._about["vocabulary"])

    def close(self) -> None:
        super().close()
        self._program.close()

    def tokens(self, prompt: Sequence[int], sampling: zoo.Sampling) -> Iterator[int]:
        self.require_open()
        self.require_tokens(prompt)
        choose, state, last = Sampler(sampling), self._program.make_state(), None
        length = 0
        for chunk in _chunks(prompt):
            length += len(chunk)
            last = self._after(chunk, length, [len(chunk) - 1], state)[0]
        for written in range(1, sampling.max_tokens + 1):
            token = choose(last)
            yield token
            if written < sampling.max_tokens:
                length += 1
                last = self._after([token], length, [0], state)[0]

    def logits(self, tokens: Sequence[int]) -> Any:
        self.require_open()
        self.require_tokens(tokens)
        import numpy as np

        state, found, length = self._program.make_state(), [], 0
        for chunk in _chunks(tokens):
            length += len(chunk)
            found.append(self._after(chunk, length, range(len(chunk)), state))
        return np.concatenate(found)

    def _after(self, tokens: Sequence[int], end: int, places: Sequence[int], state: Any) -> Any:
        """Logits after the tokens at some places, the last of which is number `end`.

        Raises:
            zoo.InputError: the state does not hold so many.
        """
        import numpy as np

        if end > self._room:
            raise zoo.InputError(
                f"{end} tokens are more than the {self._room} that this build holds",
                "shorten the text, or build with a larger option 'context'",
            )
        given = {
            "tokens": np.array([tokens]),
            "mask": causal_mask(len(tokens), end, self._about.get("window")),
            "places": np.array(places),
        }
        return self._program.predict(given, state)["logits"][0].astype(np.float32)


def convert_decoder(
    recipe: zoo.Recipe,
    build: zoo.Build,
    spec: DecoderSpec,
    config: Mapping[str, Any],
    source: Path,
    workdir: Path,
) -> Path:
    """The hook `convert` of a family of decoders.

    Args:
        spec: the decoder; its context is cut down to what the build asks for.
        config: the `config.json` to keep beside the program, for its tokenizer.
        recipe, build, source, workdir: as for the hook.

    Raises:
        zoo.RecipeError: an option of the build that does not exist.
        zoo.IntegrityError: weights that are not those of the spec; a decoder of another kind than
            Llama 2's.
    """
    if spec.beyond_plain:
        raise zoo.IntegrityError(
            f"coreai does not support {', '.join(spec.beyond_plain)}",
            "choose another format, such as --format coreml",
            in_python='choose another format, such as format="coreml"',
        )
    options = read_options(DecoderOptions, recipe, build)
    spec = replace(spec, context=min(spec.context, options.context))
    tensors = Tensors(source)
    tensors.require(spec.shapes)
    (workdir / "config.json").write_text(json.dumps(dict(config), indent=2, sort_keys=True))
    copy_text_files(source, workdir, left_out=("config.json", ABOUT))
    about = {"context": spec.context, "vocabulary": spec.vocabulary, "window": spec.window}
    (workdir / ABOUT).write_text(json.dumps(about, indent=2))
    write_decoder(spec, tensors, options.precision, workdir / PROGRAM, recipe)
    return workdir


def write_decoder(
    spec: DecoderSpec, tensors: Tensors, precision: str, path: Path, recipe: zoo.Recipe
) -> None:
    """Write the decoder as a program.

    Its inputs are `tokens` (1, T), `mask` (1, 1, T, tokens so far) and `places` (n,), its output
    `logits` (1, n, vocabulary), its states `keyCache` and `valueCache`.
    """
    import torch

    from zoo_coreai.decoder_module import Decoder

    kind = getattr(torch, precision)
    with torch.device("meta"):
        module = Decoder(spec)
    module.load_state_dict(_weights(spec, tensors, kind), strict=True, assign=True)
    module.initialize_buffers(spec, kind)
    most = min(CHUNK, spec.context)
    given = torch.export.Dim("given", min=1, max=most)
    end = torch.export.Dim("end", min=1, max=spec.context)
    wanted = torch.export.Dim("wanted", min=1, max=most)
    example = [  # lengths of 0 or 1 would be taken for fixed ones
        torch.ones(1, 3, dtype=torch.int32),
        torch.zeros(1, 1, 3, 7, dtype=kind),
        torch.zeros(2, dtype=torch.int32),
    ]
    names = Names(["tokens", "mask", "places"], ["logits"], ["keyCache", "valueCache"])
    dynamic = [{1: given}, {2: given, 3: end}, {0: wanted}]
    write_program(module.eval(), example, names, path, recipe, dynamic)


def _weights(spec: DecoderSpec, tensors: Tensors, kind: Any) -> dict[str, Any]:
    """The weights under the names of `Decoder`, norms in float32."""
    import torch

    names = spec.names

    def read(name: str) -> Any:
        return torch.from_numpy(tensors.read(name))

    found = {"embedding.weight": read(names.embedding).to(kind), "norm.weight": read(names.norm)}
    if names.head:
        found["head.weight"] = read(names.head).to(kind)
    for number, layer in enumerate(spec.layers):
        queries, keys = layer.query_heads * spec.head_dim, layer.kv_heads * spec.head_dim
        matrices = {
            ("query", "key", "value"): (names.qkv, (queries, keys, keys)),
            ("gate", "up"): (names.gate_up, (layer.ffn_width,) * 2),
            ("output",): ((names.output,), (spec.width,)),
            ("down",): ((names.down,), (spec.width,)),
        }
        own: dict[str, Any] = {}
        for parts, (stored, heights) in matrices.items():
            read_in = [read(name.format(layer=number)) for name in stored]
            split = torch.cat(read_in).split(heights)
            own |= {
                f"{part}.weight": rows.to(kind) for part, rows in zip(parts, split, strict=True)
            }
        norms = {"attention_norm": names.attention_norm, "ffn_norm": names.ffn_norm}
        norms |= {f"qk_norms.{n}": name for n, name in enumerate(names.qk_norms)}
        own |= {f"{part}.weight": read(name.format(layer=number)) for part, name in norms.items()}
        found |= {f"layers.{number}.{part}": weight for part, weight in own.items()}
    return found


def _chunks(tokens: Sequence[int]) -> Iterator[Sequence[int]]:
    return (tokens[start : start + CHUNK] for start in range(0, len(tokens), CHUNK))
