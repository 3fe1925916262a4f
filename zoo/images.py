"""Images for plugins and programs.

`open_image` opens a path, or takes a `PIL.Image`, and turns and converts it as it is seen (EXIF,
palettes, CMYK, 16 bits), with one clear error where there is no image or it cannot be used.
Importing this module does not import Pillow.
"""

from __future__ import annotations

from zoo.tasks.pictures.image_file import open_image

__all__ = ["open_image"]
