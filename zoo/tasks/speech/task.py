"""Speech recognition as a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from zoo.tasks.task import HIGHER, LOWER, Given, Metric, Scorer, Task

if TYPE_CHECKING:
    import click

    from zoo.progress import Listener
    from zoo.tasks.model import Model
    from zoo.tasks.speech.model import SpeechModel
    from zoo.tasks.speech.options import TranscribeOptions

FORMS = ("text", "srt", "vtt", "json")


class SpeechRecognition(Task):
    """The task of transcribing speech, or translating it to English."""

    title = "Speech recognition"
    label = "speech"
    synonyms = (
        "transcription",
        "transcribe",
        "asr",
        "stt",
        "speech-to-text",
        "dictation",
        "subtitles",
        "audio",
    )
    input = "the path of an audio or video file"
    example = "talk.wav"
    python_example = 'print(model.transcribe("talk.wav").text)'
    metrics: ClassVar[Mapping[str, Metric]] = {
        "encoder_psnr": Metric("PSNR of the encoder's output, in decibels", HIGHER),
        "token_agreement": Metric(
            "share of the source's tokens that the build ranks first", HIGHER
        ),
        "wer": Metric("word error rate against the source's transcripts", LOWER),
        "clips": Metric("number of clips"),
    }
    faithful: ClassVar[Mapping[str, float]] = {"encoder_psnr": 25.0}
    lines = True

    def model(self) -> type[SpeechModel]:
        from zoo.tasks.speech.model import SpeechModel

        return SpeechModel

    def options(self) -> type[TranscribeOptions]:
        from zoo.tasks.speech.options import TranscribeOptions

        return TranscribeOptions

    def measure(
        self,
        inputs: Sequence[Path],
        source: Callable[[], Model],
        build: Callable[[], Model],
        scorer: Scorer | None = None,
    ) -> dict[str, float]:
        from zoo.tasks.speech.check import measure_speech

        return measure_speech(list(inputs), source, build)

    def flags(self) -> Sequence[click.Option]:
        import click

        form = click.Choice(FORMS)
        return (click.Option(["--transcript"], type=form, help="How to write the transcript."),)

    def check_input(self, given: Given) -> None:
        from zoo.tasks.speech.audio import require_file

        if given.argument is not None:
            require_file(given.argument)

    def run(
        self, model: Model, given: Given, options: dict[str, Any], listener: Listener
    ) -> Iterator[str]:
        """Yield a line for each segment, or one document with all segments."""
        from io import BytesIO

        speaker = cast("SpeechModel", model)
        audio = given.argument if given.argument is not None else BytesIO(given.piped)
        form = options.pop("transcript", "text")
        if form == "text":
            for segment in speaker.stream(audio, listener=listener, **options):
                yield segment.text.strip() + "\n"
            return
        transcript = speaker.transcribe(audio, listener=listener, **options)
        if form == "json":
            yield transcript.to_json() + "\n"
        else:
            yield transcript.to_srt() if form == "srt" else transcript.to_vtt()


TASK = SpeechRecognition()
