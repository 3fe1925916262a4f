"""Convert token ids to text one by one, waiting for the rest of incomplete characters.

Byte-level tokenizers (`ByteLevel`) write each byte as a letter of their own alphabet. Piece
tokenizers (SentencePiece) write a blank as `▁` and bytes without a piece as `<0xE2>`. Both are
converted to bytes here, and an incremental UTF-8 decoder makes text of them; invalid bytes become
U+FFFD. For other tokenizers the `tokenizers` package decodes whole words at a time.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Kind = Literal["bytes", "pieces", "other"]
BLANK = "\u2581"
BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
PENDING = 8
"""Tokens that may wait for the rest of a character before they are written as they are."""


class Detokenizer:
    """Converts token ids to text one by one.

    Args:
        backend: a `tokenizers.Tokenizer`.
        kind: whether its vocabulary consists of bytes, pieces or something else.
        skipped: ids of tokens without text.
        literal: id to text of added tokens, which are written as they are.
        strip: whether to remove the blank before the first word.
        before: ids of the tokens before the text, which some tokenizers depend on.
    """

    def __init__(
        self,
        backend: Any,
        kind: Kind,
        skipped: frozenset[int],
        literal: Mapping[int, str],
        *,
        strip: bool = False,
        before: Sequence[int] = (),
    ) -> None:
        self._backend, self._kind = backend, kind
        self._skipped, self._literal, self._strip = skipped, literal, strip
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._ids = [token for token in before if token not in skipped][-PENDING:]
        self._start = 0

    def step(self, token: int) -> str:
        """Return the text that a token completes; empty if characters are incomplete."""
        if token in self._skipped:
            return ""
        if self._kind == "other":
            return self._window(token)
        return self._stripped(self._utf8.decode(self._bytes(token)))

    def finish(self) -> str:
        """Return the remaining text after the last token."""
        if self._kind == "other":
            return self._rest(final=True)
        return self._stripped(self._utf8.decode(b"", final=True))

    def _bytes(self, token: int) -> bytes:
        if token in self._literal:
            return self._literal[token].encode(errors="replace")
        piece = self._backend.id_to_token(token) or ""
        if self._kind == "bytes":
            return b"".join(LETTERS.get(letter, letter.encode()) for letter in piece)
        if match := BYTE.fullmatch(piece):
            return bytes([int(match[1], 16)])
        return str(piece).replace(BLANK, " ").encode(errors="replace")

    def _stripped(self, text: str) -> str:
        if self._strip and text:
            self._strip = False
            return text.removeprefix(" ")
        return text

    def _window(self, token: int) -> str:
        if not self._start:
            self._start = len(self._ids)
        self._ids.append(token)
        return self._rest(final=len(self._ids) - self._start >= PENDING)

    def _rest(self, *, final: bool) -> str:
        """What the tokens after `_start` add to the text of those before."""
        if not self._start and not self._ids:
            return ""
        before = self._backend.decode(self._ids[: self._start], skip_special_tokens=False)
        whole = self._backend.decode(self._ids, skip_special_tokens=False)
        if len(whole) <= len(before) or (whole.endswith("\ufffd") and not final):
            return ""
        self._ids = self._ids[self._start :]
        self._start = len(self._ids)
        return self._stripped(str(whole[len(before) :]))


def kind_of(pre_tokenizer: str, decoder: str, *, has_bytes: bool) -> Kind:
    """Return whether the vocabulary of a tokenizer consists of bytes, pieces or something else.

    A `ByteLevel` pre-tokenizer decides regardless of the decoder, because some published files have
    the decoder of another tokenizer.

    Args:
        pre_tokenizer: the pre-tokenizer, as JSON.
        decoder: the decoder, as JSON.
        has_bytes: whether the vocabulary has tokens for single bytes.
    """
    if '"ByteLevel"' in pre_tokenizer or '"ByteLevel"' in decoder:
        return "bytes"
    plain = re.sub(r'\{"type":"Replace","pattern":\{"String":"▁"\},"content":" "\}', "", decoder)
    if '"Replace"' in plain:
        return "other"
    if '"ByteFallback"' in decoder or has_bytes:
        return "pieces"
    return "pieces" if '"Metaspace"' in decoder and f'"{BLANK}"' in decoder else "other"


BYTE_PIECE = "<0xE2>"


def _letters() -> dict[str, bytes]:
    """The byte that each letter of `ByteLevel`'s alphabet stands for.

    Printable bytes of Latin-1 are themselves; the others follow from U+0100 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {chr(byte): bytes([byte]) for byte in plain}
    return letters | {chr(256 + n): bytes([byte]) for n, byte in enumerate(others)}


LETTERS = _letters()
