"""Images for plugins and programs.

`open_image` opens a path, or takes a `PIL.Image` as it is, with one clear error where there is no
image or it cannot be used. Importing this module does not import Pillow.
"""

from __future__ import annotations

from zoo.tasks.pictures.model import open_image

__all__ = ["open_image"]
