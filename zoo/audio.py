"""Audio for plugins and programs: any file or array as mono samples at one rate.

`open_audio` opens a path, an open binary file or an array, and `Audio` is what it returns:
float32 samples in blocks, resampled to the rate asked for. Importing this module imports none of
the packages that decode audio.
"""

from __future__ import annotations

from zoo.tasks.speech.audio import Audio, open_audio

__all__ = ["Audio", "open_audio"]
