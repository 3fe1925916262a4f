"""Tasks: what models are used for, and what plugins need to define a task or a model class.

- Defining a task: `Task`, with `Metric`, `HIGHER` and `LOWER` for its checks, and `Given`,
  `Output` and `Scorer` for the types of its methods. `CallOptions` and `option` declare its call
  options, which `takes` shows in the signature of a method.
- Text: `Tokenizer`.
- Speech: `open_audio` and `Audio`, `TranscribeOptions`, and the parts of a transcript, `Segment`
  and `Word`.
- Images: `open_image`, `ImageOptions` and `DenoisingStep`.
- Metrics: `psnr`, `word_errors`.

The base classes of models, such as `zoo.TextModel`, are in `zoo`. All other modules are private.
Names are imported at their first use.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.tasks.metrics import psnr as psnr
    from zoo.tasks.metrics import word_errors as word_errors
    from zoo.tasks.options import CallOptions as CallOptions
    from zoo.tasks.options import option as option
    from zoo.tasks.options import takes as takes
    from zoo.tasks.pictures.image_file import open_image as open_image
    from zoo.tasks.pictures.model import DenoisingStep as DenoisingStep
    from zoo.tasks.pictures.options import ImageOptions as ImageOptions
    from zoo.tasks.speech.audio import open_audio as open_audio
    from zoo.tasks.speech.model import Segments as Segments
    from zoo.tasks.speech.options import TranscribeOptions as TranscribeOptions
    from zoo.tasks.speech.samples import Audio as Audio
    from zoo.tasks.speech.transcript import Segment as Segment
    from zoo.tasks.speech.transcript import Word as Word
    from zoo.tasks.task import HIGHER as HIGHER
    from zoo.tasks.task import LOWER as LOWER
    from zoo.tasks.task import Given as Given
    from zoo.tasks.task import Metric as Metric
    from zoo.tasks.task import Output as Output
    from zoo.tasks.task import Scorer as Scorer
    from zoo.tasks.task import Task as Task
    from zoo.tasks.text.tokenizer import Tokenizer as Tokenizer
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Audio": "zoo.tasks.speech.samples",
            "CallOptions": "zoo.tasks.options",
            "DenoisingStep": "zoo.tasks.pictures.model",
            "Given": "zoo.tasks.task",
            "HIGHER": "zoo.tasks.task",
            "ImageOptions": "zoo.tasks.pictures.options",
            "LOWER": "zoo.tasks.task",
            "Metric": "zoo.tasks.task",
            "Output": "zoo.tasks.task",
            "Scorer": "zoo.tasks.task",
            "Segment": "zoo.tasks.speech.transcript",
            "Segments": "zoo.tasks.speech.model",
            "Task": "zoo.tasks.task",
            "Tokenizer": "zoo.tasks.text.tokenizer",
            "TranscribeOptions": "zoo.tasks.speech.options",
            "Word": "zoo.tasks.speech.transcript",
            "open_audio": "zoo.tasks.speech.audio",
            "open_image": "zoo.tasks.pictures.image_file",
            "option": "zoo.tasks.options",
            "psnr": "zoo.tasks.metrics",
            "takes": "zoo.tasks.options",
            "word_errors": "zoo.tasks.metrics",
        },
    )

__all__ = [
    "HIGHER",
    "LOWER",
    "Audio",
    "CallOptions",
    "DenoisingStep",
    "Given",
    "ImageOptions",
    "Metric",
    "Output",
    "Scorer",
    "Segment",
    "Segments",
    "Task",
    "Tokenizer",
    "TranscribeOptions",
    "Word",
    "open_audio",
    "open_image",
    "option",
    "psnr",
    "takes",
    "word_errors",
]
