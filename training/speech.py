"""Synthesized speech without end: digits and commands, said by many voices of espeak-ng.

    python training/speech.py --seed 7 --count 3 --out FOLDER

writes clips as WAV, each with what is said. It needs `espeakng-loader`, which brings espeak-ng
(https://github.com/espeak-ng/espeak-ng), and `soundfile`.
"""

import argparse
import ctypes
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import soundfile
import soxr

RATE = 16_000
DIGITS = "zero one two three four five six seven eight nine".split()  # noqa: SIM905
COMMANDS = (  # noqa: SIM905
    "yes no stop go up down left right on off open close start play pause next back please the "
    "light door window music lamp kitchen garden turn call home set timer red green blue white "
    "louder quiet house water coffee train bird happy morning tomorrow"
).split()
WORDS = (*DIGITS, *COMMANDS)
ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-us-nyc")
SPEAKERS = ("", *(f"+m{n}" for n in range(1, 8)), *(f"+f{n}" for n in range(1, 6)), "+klatt2")
HELD_OUT = ("+m8", "+f4", "+klatt3", "+Andrea", "+steph", "+Gene")
"""Voices that are never trained on."""

LONGEST = 5.4
"""Seconds that an utterance takes at most."""

SYNCHRONOUS, WORD_EVENT, UTF8 = 2, 1, 1
SPEED, VOLUME, PITCH, SPREAD = 1, 2, 3, 4


@dataclass(frozen=True)
class Utterance:
    """Something said.

    Attributes:
        audio: float32 at 16 kHz, within -1 and 1, without silence around it.
        words: what is said.
        times: when each word begins and ends, in seconds.
    """

    audio: np.ndarray
    words: tuple[str, ...]
    times: tuple[tuple[float, float], ...]

    @property
    def text(self) -> str:
        """The words as a text."""
        return " ".join(self.words)


class _Event(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesizer:
    """espeak-ng, of which there can be one in a process."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = self.library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
        self._heard = _CALLBACK(self._hear)
        self.library.espeak_SetSynthCallback(self._heard)
        self._parts: list[np.ndarray] = []
        self._begins: list[float] = []

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].kind:
            if events[number].kind == WORD_EVENT:
                self._begins.append(events[number].audio_position / 1000)
            number += 1
        return 0

    def say(self, words: tuple[str, ...], voice: str, speed: int, pitch: int) -> Utterance | None:
        """The words in a voice; `None` when espeak-ng does not tell when each of them begins."""
        self._parts, self._begins = [], []
        if self.library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice '{voice}'")
        for parameter, value in ((SPEED, speed), (PITCH, pitch), (VOLUME, 100)):
            self.library.espeak_SetParameter(parameter, value, 0)
        text = " ".join(words).encode() + b"\0"
        self.library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
        if len(self._begins) != len(words):
            return None
        raw = np.concatenate(self._parts).astype(np.float32) / 32768
        audio = soxr.resample(raw, self.rate, RATE)
        loud = np.flatnonzero(np.abs(audio) > 0.01)
        if not loud.size:
            return None
        first, last = loud[0] / RATE, loud[-1] / RATE
        begins = [max(0.0, begin - first) for begin in self._begins]
        ends = [*begins[1:], last - first]
        audio = audio[loud[0] : loud[-1] + 1]
        return Utterance(audio, words, tuple(zip(begins, ends, strict=True)))


@cache
def synthesizer() -> Synthesizer:
    """The one of this process."""
    return Synthesizer()


def sentence(rng: random.Random) -> tuple[str, ...]:
    """One to eight words; digits come together more often than by chance."""
    count = rng.randint(1, 8)
    if rng.random() < 0.3:
        return tuple(rng.choices(DIGITS, k=count))
    return tuple(rng.choices(WORDS, k=count))


def utterances(seed: int, held_out: bool = False) -> Iterator[Utterance]:
    """Sentences without end, each in a voice, speed and pitch of its own."""
    rng = random.Random(seed)
    while True:
        voice = rng.choice(ACCENTS) + rng.choice(HELD_OUT if held_out else SPEAKERS)
        said = synthesizer().say(sentence(rng), voice, rng.randint(120, 210), rng.randint(20, 80))
        if said is not None and not held_out:
            said = stretched(said, rng.uniform(0.85, 1.15))
        if said is not None and len(said.audio) / RATE <= LONGEST:
            yield said


def stretched(said: Utterance, factor: float) -> Utterance:
    """The same at another rate, with the formants of another throat: one more voice."""
    audio = soxr.resample(said.audio, RATE, RATE * factor)
    times = tuple((begin * factor, end * factor) for begin, end in said.times)
    return Utterance(audio, said.words, times)


def narrowed(audio: np.ndarray, rate: float) -> np.ndarray:
    """The audio without what a recording at `rate` samples a second could not hold: a telephone."""
    back = soxr.resample(soxr.resample(audio, RATE, rate), rate, RATE)
    return np.resize(np.pad(back, (0, max(0, len(audio) - len(back)))), len(audio))


def with_noise(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The audio at another loudness, with noise 8 to 45 dB below it, white or falling."""
    noise = rng.normal(size=len(audio)).astype(np.float32)
    if rng.random() < 0.5:
        noise = np.convolve(noise, np.full(8, 1 / 8, np.float32), "same")
    level = np.sqrt((audio**2).mean()) * 10 ** (-rng.uniform(8, 45) / 20)
    mixed = audio + noise * level / np.sqrt((noise**2).mean())
    loud: np.ndarray = mixed * rng.uniform(0.1, 0.9) / np.abs(mixed).max()
    return loud.astype(np.float32)


def main() -> None:
    """Write some clips."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--held-out", action="store_true", help="voices never trained on")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(options.seed)
    stream = utterances(options.seed, options.held_out)
    for number, said in zip(range(options.count), stream, strict=False):
        quiet = np.zeros(RATE // 4, np.float32)
        audio = with_noise(np.concatenate([quiet, said.audio, quiet]), noise)
        path = options.out / f"{number + 1:02}.wav"
        soundfile.write(path, audio, RATE, subtype="PCM_16")
        path.with_suffix(".txt").write_text(said.text + "\n")
        print(path, said.text)


if __name__ == "__main__":
    main()
