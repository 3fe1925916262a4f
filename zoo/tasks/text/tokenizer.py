"""Tokenizers of checkpoints, the same in every format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.errors import InputError, IntegrityError, NotFound, ZooError
from zoo.tasks.text.detokenizer import BYTE_PIECE, Detokenizer, Kind, kind_of
from zoo.tasks.text.template import ChatTemplate

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
CONFIG = "tokenizer_config.json"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
LARGEST = 100_000_000
"""Bytes of a tokenizer's file; the largest published ones have some 35 MB."""

MOST_TEXT = 20_000_000
"""Characters that the normalizers of a tokenizer may make of a text."""


class Tokenizer:
    """The tokenizer of a checkpoint folder, the same in every format.

    `tokenizer.json` is read by the `tokenizers` package. Where it exists, the class that
    `tokenizer_config.json` names is ignored, because some of these classes tokenize differently
    from the file. Otherwise transformers converts the other files. No code of the checkpoint is
    run.

    Args:
        folder: a checkpoint folder in the Hugging Face layout.
        chat: unless false, the process that renders the chat template starts now. Create the
            tokenizer before loading the weights, so that both happen at the same time.

    Raises:
        NotFound: the folder has no tokenizer.
        InputError: the tokenizer cannot be read.
        IntegrityError: one of its settings files is damaged.
    """

    def __init__(self, folder: Path, *, chat: bool | None = False) -> None:
        if not any((folder / name).is_file() for name in TOKENIZER_FILES):
            raise NotFound(
                f"{folder} has no tokenizer", f"it needs one of {', '.join(TOKENIZER_FILES)}"
            )
        self.folder = folder
        self.config = _json(folder / CONFIG)
        with _readable(folder):
            if (folder / "tokenizer.json").is_file():
                text = _fixed(folder, _text(folder / "tokenizer.json"))
                self.backend, self._added_bos = _backend(text), None
            else:
                self.backend = _converted(folder)
                self._added_bos = self._flag("add_bos_token", default=True)
            self._added = dict(self.backend.get_added_tokens_decoder())
            self.special_tokens = self._special_tokens()
            self.eos_ids = self._eos_ids()
        self.template = ChatTemplate(folder, self.config)
        if chat is not False:
            self.template.prepare()

    @property
    def has_chat_template(self) -> bool:
        """Whether `render` works without the name of a template."""
        return self.template.is_clear

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids, with the special tokens that belong before it.

        Text that begins with these tokens does not get them twice. Special tokens after the text
        are left out, because the text is to be continued.

        Raises:
            InputError: the text cannot be encoded.
        """
        bare = self._encode(text, special=False)
        whole = self._encode(text, special=True)
        before = next((n for n in range(len(whole) + 1) if whole[n : n + len(bare)] == bare), 0)
        first = whole[:before]
        bos = self.id_of(self.special_tokens.get("bos_token"))
        wanted = self._flag("add_bos_token", default=None)
        wanted = self._added_bos if wanted is None else wanted
        if bos is not None and wanted is not None:
            first = [token for token in first if token != bos]
            first = [bos, *first] if wanted else first
        if first and bare[: len(first)] == first:
            return bare
        return [*first, *bare]

    def decode(self, ids: Sequence[int]) -> str:
        """Convert token ids to text, without special tokens."""
        if self.kind == "bytes":
            detokenizer = self._detokenizer(strip=False)
            return "".join([*map(detokenizer.step, ids), detokenizer.finish()])
        with _readable(self.folder):
            text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return text

    def render(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Apply the chat template and convert the result to token ids.

        Args:
            messages: the turns so far, as `{"role": ..., "content": ...}`.

        Returns: token ids that end where the assistant's turn begins.

        Raises:
            InputError: there is no chat template, or it rejects the messages.
        """
        return self._encode(self.template.render(messages, self.special_tokens), special=False)

    def decoder(self, before: Sequence[int] = ()) -> Detokenizer:
        """Return a decoder that converts token ids to text one by one.

        It waits for the remaining bytes of an incomplete character.

        Args:
            before: token ids of the text before. After a special token, as in a chat, the blank
                that some tokenizers add before the first word is removed.
        """
        begins = not before or before[-1] in self.skipped
        strips = '"Strip"' in self._decoder_text or '"Metaspace"' in self._decoder_text
        return self._detokenizer(strip=begins and strips, before=before)

    def ends(self, stops: Sequence[str]) -> frozenset[int]:
        """Return the token ids that end generation.

        Args:
            stops: stop strings; those that are special tokens are included.
        """
        asked = (self.id_of(stop.strip()) for stop in stops)
        return self.eos_ids | {token for token in asked if token in self.skipped}

    def id_of(self, text: str | None) -> int | None:
        """Return the id of a token by its text, or `None`."""
        return None if text is None else self.backend.token_to_id(text)

    @cached_property
    def skipped(self) -> frozenset[int]:
        """The ids of the special tokens, which `decode` leaves out."""
        return frozenset(number for number, token in self._added.items() if token.special)

    @cached_property
    def kind(self) -> Kind:
        """Whether the vocabulary consists of bytes, of pieces as in SentencePiece, or neither."""
        before = json.dumps(_part(self.backend.pre_tokenizer), ensure_ascii=False)
        has_bytes = self.id_of(BYTE_PIECE) is not None
        return kind_of(before, self._decoder_text, has_bytes=has_bytes)

    @cached_property
    def _decoder_text(self) -> str:
        part = _part(self.backend.decoder)
        return json.dumps(part, ensure_ascii=False, separators=(",", ":"))

    def _detokenizer(self, **more: Any) -> Detokenizer:
        literal = {number: token.content for number, token in self._added.items()}
        return Detokenizer(self.backend, self.kind, self.skipped, literal, **more)

    def _encode(self, text: str, *, special: bool) -> list[int]:
        if (size := _grown(_part(self.backend.normalizer), len(text))) > MOST_TEXT:
            raise InputError(
                f"the tokenizer in {self.folder} would make a text of {size:.0e} characters of "
                f"{len(text)}"
            )
        with _readable(self.folder, "does not encode the text"):
            ids: list[int] = self.backend.encode(text, add_special_tokens=special).ids
        return ids

    def _flag(self, key: str, default: bool | None) -> bool | None:
        value = self.config.get(key)
        return value if isinstance(value, bool) else default

    def _special_tokens(self) -> dict[str, str]:
        found = {}
        beside = _json(self.folder / "special_tokens_map.json") if not self.config else {}
        for name in SPECIAL:
            value = self.config.get(name, beside.get(name))
            value = value.get("content") if isinstance(value, dict) else value
            if isinstance(value, str):
                found[name] = value
        if not self.config and self._added_bos:
            found = {"bos_token": "<s>", "eos_token": "</s>", **found}  # sentencepiece's own
        return found

    def _eos_ids(self) -> frozenset[int]:
        """The tokens that end a text, by all files that tell."""
        found: list[Any] = [self.id_of(self.special_tokens.get("eos_token"))]
        for name in ("config.json", "generation_config.json"):
            value = _json(self.folder / name).get("eos_token_id")
            found += value if isinstance(value, list) else [value]
        return frozenset(i for i in found if type(i) is int and i >= 0)


@contextmanager
def quiet() -> Iterator[None]:
    """A context without the messages and progress bars of transformers."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class Stops:
    """Finds stop strings in a stream of text.

    Args:
        stops: the stop strings.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops, self.held, self.found = stops, "", False

    def pass_on(self, piece: str) -> str:
        """Return the text that certainly lies before a stop string, and set `found` at one."""
        self.held += piece
        places = [at for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if places:
            self.found = True
            return self.held[: min(places)]
        keep = max((_overlap(self.held, stop) for stop in self.stops), default=0)
        ready, self.held = self.held[: len(self.held) - keep], self.held[len(self.held) - keep :]
        return ready


def until(stops: Sequence[str], pieces: Iterator[str]) -> Iterator[str]:
    """Yield text up to the first stop string, which may span several pieces."""
    finder = Stops(stops)
    for piece in pieces:
        if ready := finder.pass_on(piece):
            yield ready
        if finder.found:
            return
    if finder.held:
        yield finder.held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


@contextmanager
def _readable(folder: Path, what: str = "cannot be read") -> Iterator[None]:
    """Turn what the tokenizers raise, panics of their Rust among it, into one sentence."""
    try:
        yield
    except ZooError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"the tokenizer in {folder} {what}: {reason}",
            "it may be of a newer version: pip install -U tokenizers transformers",
        ) from error


def _backend(text: str) -> Any:
    from tokenizers import Tokenizer as Backend

    made = Backend.from_str(text)
    made.no_padding()
    made.no_truncation()
    if getattr(made.model, "dropout", None) is not None:
        made.model.dropout = None  # It makes ids random, for training.
    return made


def _converted(folder: Path) -> Any:
    """The tokenizer that transformers makes of sentencepiece's or GPT-2's own files."""
    for name in TOKENIZER_FILES[1:]:
        if (folder / name).is_file() and (folder / name).stat().st_size > LARGEST:
            raise InputError(f"{folder / name} has over {LARGEST:,} bytes")
    from transformers import AutoTokenizer

    with quiet():
        auto: Any = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    return _backend(auto.backend_tokenizer.to_str())


def _fixed(folder: Path, text: str) -> str:
    """A `tokenizer.json` that splits as the maker's own `tekken.json` beside it says.

    Many conversions of Mistral's tokenizers came with the splitting rule of another model.
    """
    path = folder / "tekken.json"
    if not path.is_file():
        return text
    settings = _json(path).get("config")
    rule = settings.get("pattern") if isinstance(settings, dict) else None
    data = json.loads(text)
    before = data.get("pre_tokenizer") if isinstance(data, dict) else None
    splits = [s for s in _steps(before, "pretokenizers") if s.get("type") == "Split"]
    if not isinstance(rule, str) or len(splits) != 1:
        return text
    splits[0]["pattern"] = {"Regex": rule}
    return json.dumps(data)


def _part(part: Any) -> Any:
    """A step of a tokenizer as the data that it is saved as."""
    return None if part is None else json.loads(part.__getstate__())


def _steps(part: Any, key: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer that may be a sequence of sequences."""
    if not isinstance(part, dict):
        return []
    if part.get("type") != "Sequence":
        return [part]
    inside = part.get(key)
    return [
        step for one in (inside if isinstance(inside, list) else []) for step in _steps(one, key)
    ]


def _grown(normalizer: Any, length: int) -> float:
    """The most characters that the normalizers make of a text of `length`."""
    size = float(length)
    for step in _steps(normalizer, "normalizers"):
        if step.get("type") == "Prepend":
            size += len(str(step.get("prepend", "")))
        elif step.get("type") == "Replace":
            pattern = step.get("pattern")
            plain = pattern.get("String") if isinstance(pattern, dict) else None
            least = max(len(plain), 1) if isinstance(plain, str) else 1
            size *= max(1.0, len(str(step.get("content", ""))) / least)
    return size


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} has over {LARGEST:,} bytes")
    return path.read_text(encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when it is not there."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(_text(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise IntegrityError(f"{path} cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise IntegrityError(f"{path} must be a JSON object")
    return found
