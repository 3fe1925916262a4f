"""Read images from cameras, phones and other programs as they are displayed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "WEBP",
    "AVIF",
    "HEIF",
    "GIF",
    "TIFF",
    "BMP",
    "DIB",
    "ICO",
    "ICNS",
    "TGA",
    "PPM",
    "PCX",
    "QOI",
    "SGI",
    "JPEG2000",
)
"""Those of Pillow that are pictures of pixels, read without another program (EPS starts one)."""

LARGEST = 80_000_000
"""Pixels. A picture must have the size of the one that is made, and none is near to this."""

ORIENTATION = 0x0112
"""The tag of EXIF that says how to turn a picture."""

CONVERTED = ("RGB", "P", "CMYK", "YCbCr", "HSV", "RGBX")
"""Modes of Pillow that become RGB and lose nothing that is seen."""

WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
OPAQUE = 255


def open_image(given: Any, what: str) -> Image:
    """Open an image as it is displayed, in the mode RGB, L or 1.

    The EXIF orientation is applied. Palettes, CMYK and opaque alpha are converted to RGB, and
    16-bit gray to 8 bits. Of an animation, the first frame is used.

    Args:
        given: a path, an open binary file, or a `PIL.Image`.
        what: name of the image in messages, such as `image`.

    Returns: a `PIL.Image`.

    Raises:
        InputError: the file does not exist, is damaged or too large, or converting it would lose
            information: transparency, or values of an unknown range.
    """
    from PIL import Image

    if isinstance(given, Image.Image):
        return _read(given, f"the {what}", what)
    _require_file(given, what)
    Image.init()
    called = f"the {what} {given}" if isinstance(given, str | os.PathLike) else f"the {what}"
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(given, formats=known) as opened:
            return _read(opened, called, what)
    except InputError:
        raise
    except Exception as error:  # decoders raise errors of many kinds over damaged bytes
        raise _unreadable(called, error, str(given)) from error


def _read(image: Image, called: str, what: str) -> Image:
    _require_size(image, called)
    try:
        image.load()  # a TIFF is turned by this
    except Exception as error:  # of many kinds, as above
        raise _unreadable(called, error, str(getattr(image, "filename", ""))) from error
    return _as_seen(image, what)


def _unreadable(called: str, error: Exception, name: str) -> InputError:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    hint = "save it as PNG or JPEG"
    if name.lower().endswith((".heic", ".heif")):
        hint = "pictures of iPhones need the package pillow-heif, or save it as JPEG or PNG"
    return InputError(f"{called} cannot be read: {text}", hint)


def _require_file(given: Any, what: str) -> None:
    """Refuse what is no file before it is opened: a pipe or a device may never end."""
    if hasattr(given, "read") and hasattr(given, "seek"):
        return
    if not isinstance(given, str | os.PathLike):
        raise InputError(
            f"the {what} must be a PIL.Image or a path, not {type(given).__name__}",
            "an array becomes one with PIL.Image.fromarray",
        )
    try:
        mode = os.stat(given).st_mode
    except FileNotFoundError:
        raise InputError(f"the {what} {given} does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the {what} {given!s:.200} cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"the {what} {given} is not a file")


def _require_size(image: Image, called: str) -> None:
    pixels = image.width * image.height
    if not 0 < pixels <= LARGEST:
        raise InputError(
            f"{called} has {image.width}x{image.height} pixels, and at most {LARGEST:,} are read",
            "resize it to the size of the picture that is made",
        )


def _as_seen(image: Image, what: str) -> Image:
    turned = _turned(image)
    if turned.mode in WITH_ALPHA or "transparency" in turned.info:
        return _without_alpha(turned, what)
    if turned.mode in CONVERTED:
        return turned.convert("RGB")
    if turned.mode in ("L", "1"):
        return turned
    if turned.mode in DEEP:
        return _narrowed(turned)
    raise InputError(
        f"the {what} has the mode '{turned.mode}', whose range is not known",
        'convert it first, such as with image.convert("RGB")',
    )


def _turned(image: Image) -> Image:
    """The picture, turned and mirrored as its EXIF says; where that cannot be read, as it lies."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # of many kinds; what is damaged says nothing of the orientation
        orientation = None
    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    way = ways.get(orientation) if isinstance(orientation, int) else None
    return image if way is None else image.transpose(way)


def _without_alpha(image: Image, what: str) -> Image:
    whole = image.convert("RGBA")
    least, _ = whole.getchannel("A").getextrema()
    if least != OPAQUE:
        raise InputError(
            f"the {what} is transparent in places, and its background is unknown",
            'put it on a background first, or drop the transparency with image.convert("RGB")',
        )
    return whole.convert("RGB")


def _narrowed(image: Image) -> Image:
    """Gray of 16 bits in 8: 65535 becomes 255."""
    import numpy as np
    from PIL import Image as Pillow

    deep = np.asarray(image.convert("I"), np.int64)
    return Pillow.fromarray(((deep + 128) // 257).clip(0, 255).astype(np.uint8))
