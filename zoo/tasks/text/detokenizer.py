"""From tokens to text one by one, as bytes, so that half a character waits for its other half.

Tokenizers of bytes (`ByteLevel`) write each byte as a letter of an alphabet of their own; those of
pieces (sentencepiece) write a blank as `▁` and bytes that no piece has as `<0xE2>`. Both are read
here to bytes, which an incremental decoder of UTF-8 turns into text: bytes that are no character
become U+FFFD and nothing more. Tokenizers of other kinds are decoded by the `tokenizers` package,
whole words at a time.
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
    """Takes one token after another and gives the text that it completes.

    Args:
        backend: a `tokenizers.Tokenizer`.
        kind: what its pieces are.
        skipped: the tokens that are no text.
        literal: the text of added tokens, which are written as they are.
        strip: whether the blank before the first word is left out, as at the beginning of a text.
        before: tokens that the text follows; tokenizers of other kinds look at them.
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
        """The text that `token` completes; empty when it completes none."""
        if token in self._skipped:
            return ""
        if self._kind == "other":
            return self._window(token)
        return self._stripped(self._utf8.decode(self._bytes(token)))

    def finish(self) -> str:
        """What is left when no token follows: the bytes of a character cut short."""
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
    """What the pieces of a tokenizer are.

    A `ByteLevel` pre-tokenizer says so whatever the decoder is: some published files have the
    decoder of another tokenizer.

    Args:
        pre_tokenizer, decoder: their JSON.
        has_bytes: whether there are pieces for single bytes.
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
