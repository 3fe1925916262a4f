"""Tasks: what a model does for a person, and what a plugin may use to do it.

- Call options of a task of your own: `CallOptions`.
- Text: `Tokenizer`.
- Speech: `open_audio` and `Audio`; `TranscribeOptions`, and what a transcript is made of,
  `Segment` and `Word`.
- Pictures: `open_image`; `ImageOptions` and `DenoisingStep`.
- Figures for checks: `psnr`, `word_errors`.

The classes that models derive from, such as `zoo.TextModel`, are in `zoo`. These names are
imported at their first use. The modules below are private.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.tasks.metrics import psnr as psnr
    from zoo.tasks.metrics import word_errors as word_errors
    from zoo.tasks.options import CallOptions as CallOptions
    from zoo.tasks.pictures.image_file import open_image as open_image
    from zoo.tasks.pictures.model import DenoisingStep as DenoisingStep
    from zoo.tasks.pictures.options import ImageOptions as ImageOptions
    from zoo.tasks.speech.audio import open_audio as open_audio
    from zoo.tasks.speech.model import Segments as Segments
    from zoo.tasks.speech.options import TranscribeOptions as TranscribeOptions
    from zoo.tasks.speech.samples import Audio as Audio
    from zoo.tasks.speech.transcript import Segment as Segment
    from zoo.tasks.speech.transcript import Word as Word
    from zoo.tasks.text.tokenizer import Tokenizer as Tokenizer
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Audio": "zoo.tasks.speech.samples",
            "CallOptions": "zoo.tasks.options",
            "DenoisingStep": "zoo.tasks.pictures.model",
            "ImageOptions": "zoo.tasks.pictures.options",
            "Segment": "zoo.tasks.speech.transcript",
            "Segments": "zoo.tasks.speech.model",
            "Tokenizer": "zoo.tasks.text.tokenizer",
            "TranscribeOptions": "zoo.tasks.speech.options",
            "Word": "zoo.tasks.speech.transcript",
            "open_audio": "zoo.tasks.speech.audio",
            "open_image": "zoo.tasks.pictures.image_file",
            "psnr": "zoo.tasks.metrics",
            "word_errors": "zoo.tasks.metrics",
        },
    )

__all__ = [
    "Audio",
    "CallOptions",
    "DenoisingStep",
    "ImageOptions",
    "Segment",
    "Segments",
    "Tokenizer",
    "TranscribeOptions",
    "Word",
    "open_audio",
    "open_image",
    "psnr",
    "word_errors",
]
