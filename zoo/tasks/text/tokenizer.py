"""Text to token ids and back, the same way in every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError, NotFound

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


class Tokenizer:
    """The tokenizer of a checkpoint folder, by `transformers`, never with code from the source.

    Args:
        folder: a checkpoint folder in the Hugging Face layout.

    Raises:
        NotFound: the folder has no tokenizer.
        InputError: the tokenizer cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        if not any((folder / name).is_file() for name in TOKENIZER_FILES):
            raise NotFound(
                f"{folder} has no tokenizer", f"it needs one of {', '.join(TOKENIZER_FILES)}"
            )
        from transformers import AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        try:
            self._auto = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        except (ValueError, KeyError, OSError, json.JSONDecodeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the tokenizer in {folder} cannot be read: {reason}") from error
        self.eos_ids = _eos_ids(folder, self._auto.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """Token ids, with the special tokens that belong before them."""
        ids: list[int] = self._auto.encode(text)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self._auto.decode(ids, skip_special_tokens=True)
        return text

    def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of a chat, up to where the assistant begins to speak.

        Raises:
            InputError: there is no chat template, or the template refuses the messages.
        """
        import jinja2

        if not self._auto.chat_template:
            raise InputError(
                "the model has no chat template", "use generate, or --raw, with a plain prompt"
            )
        try:
            text = self._auto.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        except (jinja2.TemplateError, KeyError, TypeError) as error:
            raise InputError(f"the chat template refuses the messages: {error}") from error
        ids: list[int] = self._auto.encode(text, add_special_tokens=False)
        return ids

    def decoder(self) -> Callable[[int], str | None]:
        """A function that takes one token id after another and gives the text that it completes."""
        from tokenizers.decoders import DecodeStream

        stream, backend = DecodeStream(skip_special_tokens=True), self._auto.backend_tokenizer
        return lambda token: stream.step(backend, token)


def until(stops: Sequence[str], pieces: Iterator[str]) -> Iterator[str]:
    """The pieces up to the first of the stop texts, which may lie across several pieces."""
    if not stops:
        yield from pieces
        return
    held = ""
    for piece in pieces:
        held += piece
        found = [at for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            if first := held[: min(found)]:
                yield first
            return
        keep = max(_overlap(held, stop) for stop in stops)
        if ready := held[: len(held) - keep]:
            yield ready
        held = held[len(held) - keep :]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def _eos_ids(folder: Path, own: int | None) -> frozenset[int]:
    found = {own}
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.is_file():
            value: Any = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            found.update(value if isinstance(value, list) else [value])
    return frozenset(i for i in found if isinstance(i, int))
