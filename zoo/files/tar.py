"""Plain tar archives of plain files, and nothing else of what tar can do.

Links, devices, sparse files, long-name records and compression are what makes archives dangerous;
none of them is written here, and none is accepted. The format is POSIX ustar
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06) with GNU's
base-256 sizes for files over 8 GiB, which every tar reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from zoo.errors import IntegrityError, UsageError
from zoo.files.trust import confined

BLOCK = 512
LARGEST_OCTAL = 8**11 - 1
CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file of an archive; its bytes are the next ones of the stream."""

    path: str
    size: int


def header(path: str, size: int) -> bytes:
    """The block that comes before a file's bytes.

    Raises:
        UsageError: the path is too long for the format.
    """
    prefix, name = _split(path.encode())
    octal = size <= LARGEST_OCTAL
    sized = b"%011o\0" % size if octal else b"\x80" + size.to_bytes(11, "big")
    fields = [
        name.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", sized, b"%011o\0" % 0,
        b" " * 8, b"0", bytes(100), b"ustar\0", b"00", bytes(32), bytes(32), b"0000000\0",
        b"0000000\0", prefix.ljust(155, b"\0"), bytes(12),
    ]  # fmt: skip
    block = bytearray(b"".join(fields))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """What fills the last block of a file of `size` bytes."""
    return bytes(-size % BLOCK)


END = bytes(2 * BLOCK)


class Reader:
    """The files of an archive, one after another; each must be read before the next is asked for.

    Raises:
        IntegrityError: anything but plain files under plain names, or the archive is cut short.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream, self.name = stream, name
        self._left = 0
        self._fill = 0

    def __iter__(self) -> Iterator[Member]:
        while True:
            if self._left:
                raise ValueError("the file before was not read")
            self._exactly(self._fill)
            block = self._exactly(BLOCK)
            if block == bytes(BLOCK):
                return
            member = self._member(block)
            self._left, self._fill = member.size, len(padding(member.size))
            yield member

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file that was yielded last."""
        while self._left:
            chunk = self._exactly(min(self._left, CHUNK))
            self._left -= len(chunk)
            yield chunk

    def _exactly(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) != count:
            raise IntegrityError(f"{self.name} is cut short")
        return data

    def _member(self, block: bytes) -> Member:
        counted = block[:148] + b" " * 8 + block[156:]
        if _number(block[148:156]) != sum(counted):
            raise IntegrityError(f"{self.name} is not a tar archive, or is damaged")
        if block[257:262] != b"ustar" or block[156:157] not in (b"0", b"\0"):
            raise IntegrityError(
                f"{self.name} has a link, a folder or another special entry",
                "zoo import takes archives that zoo export made; unpack others with care",
            )
        parts = (block[345:500], block[:100])
        try:
            path = "/".join(p.partition(b"\0")[0].decode() for p in parts if p[0])
        except UnicodeDecodeError:
            path = ""
        if not confined(path):
            raise IntegrityError(f"{self.name} names a file {path!r}, which is not a plain path")
        return Member(path, self._size(block[124:136]))

    def _size(self, field: bytes) -> int:
        size = int.from_bytes(field[1:], "big") if field[0] == 0x80 else _number(field)
        if size is None or size >= 2**63:
            raise IntegrityError(f"{self.name} has an entry without a size")
        return size


def _split(path: bytes) -> tuple[bytes, bytes]:
    if len(path) <= 100:
        return b"", path
    for at, byte in enumerate(path):
        if byte == ord("/") and at <= 155 and len(path) - at - 1 <= 100:
            return path[:at], path[at + 1 :]
    raise UsageError(
        f"'{path.decode()}' is too long a path for a tar archive", "export to a folder in its place"
    )


def _number(field: bytes) -> int | None:
    text = field.strip(b" \0")
    return int(text, 8) if text and all(0x30 <= b <= 0x37 for b in text) else None
