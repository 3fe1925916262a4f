"""Whisper's tokens: text, languages, tasks and times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import zoo

TIME_STEP = 0.02
"""Seconds between two timestamps."""

SILENT = ("<|nospeech|>", "<|nocaptions|>")
"""One token, which older checkpoints call otherwise."""


class Vocabulary:
    """The tokenizer of a checkpoint folder.

    Attributes:
        end, start, previous, silent, plain: special tokens: the text's end, the transcript's start,
            the start of what came before, nobody speaks, no timestamps.
        zero: the timestamp of 0 seconds; those after it follow.
        languages: the token of each language, by its code; none for a model of English alone.

    Raises:
        zoo.IntegrityError: the folder has no tokenizer of Whisper.
    """

    def __init__(self, folder: Path, multilingual: bool) -> None:
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise zoo.IntegrityError(f"{folder} has no tokenizer.json")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tasks = {name: self._id(f"<|{name}|>") for name in ("transcribe", "translate")}
        self.end, self.start = self._id("<|endoftext|>"), self._id("<|startoftranscript|>")
        self.previous, self.plain = self._id("<|startofprev|>"), self._id("<|notimestamps|>")
        self.silent = self._id(*SILENT)
        self.zero = self.plain + 1
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

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special ones and timestamps are left out."""
        text: str = self._tokenizer.decode([t for t in tokens if t < self.end])
        return text

    def prompt(self, language: str, task: str) -> list[int]:
        """The tokens with which a transcript with timestamps begins."""
        if not self.languages:
            return [self.start]
        return [self.start, self.languages[language], self._tasks[task]]

    def require_language(self, language: str | None, task: str) -> None:
        """Refuse a language or a task that the model does not know.

        Raises:
            zoo.InputError: naming it.
        """
        if not self.languages:
            if task == "translate" or language not in (None, "en"):
                wanted = f"language '{language}'" if language not in (None, "en") else "translation"
                raise zoo.InputError(
                    f"the model knows English alone, and no {wanted}",
                    "take one whose name does not end in '.en'",
                )
        elif language is not None and language not in self.languages:
            known = ", ".join(sorted(self.languages))
            raise zoo.InputError(f"the model has no language '{language}'", f"it knows {known}")

    def words(self, tokens: Sequence[int]) -> list[list[int]]:
        """Tokens of text, grouped by word: a group begins where its text begins with a space.

        Bytes that do not make a character by themselves stay together.
        """
        groups: list[list[int]] = []
        pending: list[int] = []
        for token in tokens:
            pending.append(token)
            text = self._tokenizer.decode(pending)
            if "\ufffd" in text:
                continue
            if groups and not text.startswith(" ") and text.isascii():
                groups[-1].extend(pending)
            else:
                groups.append(list(pending))
            pending = []
        return [*groups, pending] if pending else groups
