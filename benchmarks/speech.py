"""Speech to text beside transformers (and mlx-whisper where it is installed), in the same run.

    python benchmarks/speech.py [FOLDER] [--seconds 180]

FOLDER is a Whisper checkpoint; `whisper:mini` when there is none. Prints, for each way, the
real-time factor (processing time over sound) and the peak memory of a process of its own, and both
as ratios to transformers.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

HOME = Path(__file__).parents[1]
MINI = HOME / "recipes" / "whisper" / "mini"
WAYS = ("transformers", "torch", "mlx", "coreml")


def sound(seconds: float) -> np.ndarray:
    """The clips of the check again and again."""
    clips = [
        np.pad(soundfile.read(path, dtype="float32")[0], (0, 8000))
        for path in sorted((MINI.parent / "clips").glob("*.wav"))
    ]
    once = np.concatenate(clips)
    return np.tile(once, int(seconds * 16_000 / len(once)) + 1)[: int(seconds * 16_000)]


def transformers_way(folder: Path, audio: np.ndarray) -> float:
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    begin, window = time.perf_counter(), extractor.chunk_length * 16_000
    for start in range(0, len(audio), window):
        part = np.pad(audio[start : start + window], (0, max(0, start + window - len(audio))))
        features = extractor(part, sampling_rate=16_000, return_tensors="pt").input_features
        model.generate(features, return_timestamps=True, language="en", task="transcribe")
    return time.perf_counter() - begin


def zoo_way(way: str, folder: Path, audio: np.ndarray) -> float:
    import zoo

    with zoo.load(str(folder) if folder != MINI else "whisper:mini", format=way) as model:
        begin = time.perf_counter()
        model.transcribe(audio, sample_rate=16_000, language="en", temperature=0)
        return time.perf_counter() - begin


def main() -> None:
    """Measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=MINI)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--way", choices=WAYS, help="measure this one here, for the other process")
    options = parser.parse_args()
    if options.way:
        audio = sound(options.seconds)
        theirs = options.way == "transformers"
        took = (
            transformers_way(options.folder, audio)
            if theirs
            else zoo_way(options.way, options.folder, audio)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": took, "mib": peak}))
        return
    found = {}
    for way in WAYS:
        line = [sys.executable, __file__, str(options.folder), "--way", way]
        line += ["--seconds", str(options.seconds)]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
    base = found["transformers"]
    print(f"{'':14}{'real-time factor':>18}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}")
    for way, one in found.items():
        print(
            f"{way:14}{one['seconds'] / options.seconds:18.4f}"
            f"{one['seconds'] / base['seconds']:8.2f}{one['mib']:10.0f}"
            f"{one['mib'] / base['mib']:8.2f}"
        )


if __name__ == "__main__":
    main()
