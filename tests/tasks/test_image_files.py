"""Pictures of phones, cameras and programs: turned and converted as they are seen, or refused."""

from __future__ import annotations

import os
import re
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from zoo import InputError
from zoo.images import open_image

GRADIENT = np.arange(12 * 20 * 3, dtype=np.uint8).reshape(12, 20, 3)
SEEN = Image.fromarray(GRADIENT)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, ending: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{ending}"
    SEEN.save(path, exif=exif)
    with Image.open(path) as lying:
        wanted = ImageOps.exif_transpose(lying)
    found = open_image(path, "image")
    assert found.size == wanted.size
    assert (array(found) == array(wanted)).all()
    with Image.open(path) as given:
        assert (array(open_image(given, "image")) == array(wanted)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "L", "1", "CMYK", "YCbCr", "HSV"])
def test_what_loses_nothing_that_is_seen_is_converted(tmp_path: Path, mode: str):
    image = Image.new("RGB", (8, 8), (200, 200, 200)).convert(mode.replace("PA", "P"))
    image = image.convert(mode) if mode == "PA" else image
    found = open_image(image, "image")
    assert found.mode in ("RGB", "L", "1")
    assert np.abs(array(found) - array(image)).max() <= 1
    kind = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    if mode not in ("HSV", "PA"):
        image.save(tmp_path / f"one.{kind}")
        read = open_image(tmp_path / f"one.{kind}", "image")
        assert np.abs(array(read) - array(image)).max() <= 4


def test_gray_of_sixteen_bits_keeps_its_range(tmp_path: Path):
    deep = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = open_image(tmp_path / "deep.png", "mask")
    assert np.asarray(found).tolist() == [[0, 0, 1, 1, 128, 255]]


def transparent(kind: str) -> Image.Image:
    if kind == "palette":
        image = Image.new("P", (4, 4))
        image.info["transparency"] = 0
        return image
    if kind == "color key":
        image = Image.new("RGB", (4, 4), (1, 2, 3))
        image.info["transparency"] = (1, 2, 3)
        return image
    return Image.new(kind, (4, 4))


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "color key"])
def test_transparency_is_refused_where_it_is_seen(tmp_path: Path, kind: str):
    with pytest.raises(InputError, match="is transparent in places"):
        open_image(transparent(kind), "image")
    transparent(kind).save(tmp_path / "clear.png")
    with pytest.raises(InputError, match="is transparent in places"):
        open_image(tmp_path / "clear.png", "image")


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_numbers_of_an_unknown_range_are_refused(mode: str):
    with pytest.raises(InputError, match=f"has the mode '{mode}'"):
        open_image(Image.new(mode, (4, 4)), "image")


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("huge.png", png(60000, 60000), "cannot be read: Image size"),
        ("large.png", png(9000, 9000), "at most 80,000,000 are read"),
        ("short.png", png(64, 64), "cannot be read"),
        ("text.png", b"hello", "cannot be read"),
        ("empty.png", b"", "cannot be read"),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read"),
        ("phone.heic", b"\0\0\0\x18ftypheic" + bytes(50), "cannot be read.*pillow-heif"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_image(tmp_path / name, "image")
    text = f"{caught.value.message} {caught.value.hint}"
    assert text.count("\n") == 0
    assert re.search(words, text), text


def test_what_is_no_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(InputError, match="is not a file"):
            open_image(path, "image")
    with pytest.raises(InputError, match="does not exist"):
        open_image(tmp_path / "none.png", "image")
    for odd in ("a\0b", "x" * 5000):
        with pytest.raises(InputError, match="cannot be read"):
            open_image(odd, "image")
    with pytest.raises(InputError, match=r"not ndarray"):
        open_image(GRADIENT, "image")


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 2000),
)
def test_damaged_bytes_are_a_picture_or_an_input_error(kind, changes, cut):
    made = BytesIO()
    SEEN.save(made, kind)
    data = bytearray(made.getvalue())
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = open_image(BytesIO(bytes(data[: len(data) - cut % len(data)])), "image")
    except InputError:
        return
    assert found.mode in ("RGB", "L", "1")
