"""Whisper's tokens: text, languages, tasks and times."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import zoo

TIME_STEP = 0.02
"""Seconds between two timestamps."""

TIMES = 1501
"""Timestamps that there are, whatever the length of a window."""

SILENT = ("<|nospeech|>", "<|nocaptions|>")
"""One token, which older checkpoints call otherwise."""

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages that are written without spaces between words."""

SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))"),
    *("[[", "]]", "{{", "}}", "♪♪", "♪♪♪"),
)
"""What is not said, but stands for speakers and noises in transcripts."""

NOTES = "♩♪♫♬♭♮♯"
"""The same, in several tokens, of which the first is enough."""


class Vocabulary:
    """The tokenizer of a checkpoint folder.

    Attributes:
        end, start, previous, silent, plain: special tokens: the text's end, the transcript's start,
            the start of what came before, nobody speaks, no timestamps.
        zero, last: the timestamps of 0 seconds and of the longest time; those between follow.
        languages: the token of each language, by its code; none for a model of English only.

    Raises:
        zoo.IntegrityError: the folder has no tokenizer of Whisper.
    """

    def __init__(self, folder: Path, multilingual: bool) -> None:
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise zoo.IntegrityError(
                f"{folder} has no tokenizer.json",
                "save it by WhisperTokenizerFast.from_pretrained(...).save_pretrained(...)",
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing more exact
            raise zoo.IntegrityError(f"{path} cannot be read: {str(error)[:200]}") from error
        self._tasks = {name: self._id(f"<|{name}|>") for name in ("transcribe", "translate")}
        self.end, self.start = self._id("<|endoftext|>"), self._id("<|startoftranscript|>")
        self.previous, self.plain = self._id("<|startofprev|>"), self._id("<|notimestamps|>")
        self.silent = self._id(*SILENT)
        self.zero = self.plain + 1
        self.last = self.plain + TIMES
        between = range(self.start + 1, min(self._tasks.values()))
        names = {token: str(self._tokenizer.id_to_token(token)) for token in between}
        self.languages = {name[2:-2]: token for token, name in names.items()}
        if not multilingual:
            self.languages = {}

    def _id(self, *names: str) -> int:
        for name in names:
            token: int | None = self._tokenizer.token_to_id(name)
            if token is not None:
                return token
        raise zoo.IntegrityError(f"the tokenizer lacks {names[0]}, which every Whisper has")

    @cached_property
    def size(self) -> int:
        """How many tokens there are, timestamps and added ones among them."""
        return max(int(self._tokenizer.get_vocab_size()), self.last + 1)

    def is_time(self, token: int) -> bool:
        """Whether a token is a timestamp."""
        return self.zero <= token <= self.last

    def is_text(self, token: int) -> bool:
        """Whether a token is of text: also those that a fine-tune added behind the timestamps."""
        return token < self.end or token > self.last

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special ones and timestamps are left out."""
        kept = [token for token in tokens if self.is_text(token)]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False)
        return text

    def prompt(self, language: str, task: str) -> list[int]:
        """The tokens with which a transcript with timestamps begins."""
        if not self.languages:
            return [self.start]
        return [self.start, self.languages[language], self._tasks[task]]

    def name(self, special: int) -> str:
        """What a special token stands for: `de` for the token of German."""
        token: str | None = self._tokenizer.id_to_token(special)
        return (token or "").removeprefix("<|").removesuffix("|>")

    @cached_property
    def never_written(self) -> frozenset[int]:
        """Special tokens that are no part of a transcript."""
        start_of_lm = self._tokenizer.token_to_id("<|startoflm|>")
        special = {self.start, self.previous, self.silent, *self._tasks.values()}
        return frozenset(special | ({start_of_lm} if start_of_lm is not None else set()))

    @cached_property
    def not_said(self) -> frozenset[int]:
        """Symbols, which openai-whisper suppresses where a checkpoint does not list tokens."""
        found = {token for text in (" -", " '") for token in self.encode(text)[:1]}
        for symbol in (*SYMBOLS, *NOTES):
            for text in (symbol, f" {symbol}"):
                tokens = self.encode(text)
                if len(tokens) == 1 or (tokens and symbol in NOTES):
                    found.add(tokens[0])
        return frozenset(found)

    def language_code(self, language: str | None) -> str | None:
        """The code of a language given by its code, its name, or its token.

        Raises:
            zoo.InputError: the model does not know it.
        """
        if language is None:
            return None
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        wanted = language.strip().lower().removeprefix("<|").removesuffix("|>")
        base = wanted.replace("_", "-").partition("-")[0]
        known = self.languages or {"en": 0}
        for code in (wanted, TO_LANGUAGE_CODE.get(wanted), base):
            if code in known:
                return code
        if not self.languages:
            raise zoo.InputError(
                f"the language '{language}' is not supported: the model is English-only",
                "take one whose name does not end in '.en'",
            )
        raise zoo.InputError(
            f"the model does not support the language '{language}'",
            f"supported languages: {', '.join(sorted(self.languages))}; names such as "
            "'german' work too",
        )

    def require_task(self, task: str) -> None:
        """Refuse a translation by a model of English only.

        Raises:
            zoo.InputError: naming it.
        """
        if not self.languages and task == "translate":
            raise zoo.InputError(
                "translation is not supported: the model is English-only",
                "take one whose name does not end in '.en'",
            )

    def words(self, tokens: Sequence[int], language: str = "") -> list[list[int]]:
        """Tokens of text, grouped by word as openai-whisper does.

        A word begins with a space; punctuation stands alone. Languages without spaces are split
        at each character that tokens make whole.
        """
        characters = self._characters(tokens)
        if language in UNSPACED:
            return characters
        groups: list[list[int]] = []
        for group in characters:
            text = self._text(group)
            if not groups or text.startswith(" ") or text.strip() in string.punctuation:
                groups.append(list(group))
            else:
                groups[-1] += group
        return groups

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    def _characters(self, tokens: Sequence[int]) -> list[list[int]]:
        """The shortest groups of tokens that are whole characters."""
        whole, groups, pending, place = self._text(tokens), list[list[int]](), list[int](), 0
        for token in tokens:
            pending.append(token)
            text = self._text(pending)
            broken = text.find("\ufffd")
            if broken < 0 or whole[place + broken : place + broken + 1] == "\ufffd":
                groups.append(pending)
                place += len(text)
                pending = []
        return [*groups, pending] if pending else groups
