"""Speech to text beside transformers and mlx-whisper, in the same run.

    python benchmarks/speech.py [FOLDER] [--seconds 180] [--tiny] [--peer-python PATH]

FOLDER is a Whisper checkpoint; `whisper:mini` when there is none, and with `--tiny` a random one of
whisper-tiny's shape, which all ways give the same tokens (`speech_checkpoint.py`). `--peer-python`
is the interpreter of an environment that has mlx-whisper, which takes windows of 30 seconds alone.
Prints, for each way, the real-time factor (time that passed over sound) and the peak memory of a
process of its own, and ratios to the peers: of the processor's time, which other work does not
stretch, and of memory. Set OMP_NUM_THREADS=1 so that all have one thread.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HOME = Path(__file__).parents[1]
MINI = HOME / "recipes" / "whisper" / "mini"
WAYS = ("transformers", "torch", "mlx", "coreml")
RATE = 16_000


def sound(seconds: float) -> np.ndarray:
    """The clips of the check again and again."""
    clips = [
        np.pad(soundfile.read(path, dtype="float32")[0], (0, RATE // 2))
        for path in sorted((MINI.parent / "clips").glob("*.wav"))
    ]
    once = np.concatenate(clips)
    return np.tile(once, int(seconds * RATE / len(once)) + 1)[: int(seconds * RATE)]


class Watch:
    """Seconds that passed, and those of the processor, which other work does not stretch."""

    def __init__(self) -> None:
        self.begin, self.busy = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "seconds": time.perf_counter() - self.begin,
            "processor": time.process_time() - self.busy,
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def transformers_way(folder: Path, audio: np.ndarray) -> dict[str, Any]:
    import torch
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    tokens: list[int] = []
    watch, window = Watch(), extractor.chunk_length * RATE
    for start in range(0, len(audio), window):
        part = np.pad(audio[start : start + window], (0, max(0, start + window - len(audio))))
        features = extractor(part, sampling_rate=RATE, return_tensors="pt").input_features
        found = model.generate(features, return_timestamps=True, language="en", task="transcribe")
        tokens += found[0].tolist()
    figures = watch.read()
    text = _text(Tokenizer.from_file(str(folder / "tokenizer.json")), tokens)
    return {**figures, "text": text}


def zoo_way(way: str, folder: Path, audio: np.ndarray) -> dict[str, Any]:
    import zoo

    name = str(folder) if folder != MINI else "whisper:mini"
    with zoo.load(name, format=way, check=False) as model:
        watch = Watch()
        found = model.transcribe(
            audio, sample_rate=RATE, language="en", temperature=0, condition_on_previous_text=False
        )
        return {**watch.read(), "text": found.text}


def peer_way(folder: Path, audio: np.ndarray, python: Path) -> dict[str, Any]:
    from tokenizers import Tokenizer

    with tempfile.TemporaryDirectory() as room:
        np.save(Path(room) / "sound.npy", audio)
        converted = Path(room) / "peer"
        _apart(_convert, folder, converted)
        line = [str(python), str(HOME / "benchmarks" / "speech_peer.py"), str(converted)]
        found = _json_of([*line, str(Path(room) / "sound.npy")])
    text = _text(Tokenizer.from_file(str(folder / "tokenizer.json")), found.pop("tokens"))
    return {**found, "text": text}


def why_no_peer(folder: Path, python: Path | None) -> str:
    """Why mlx-whisper cannot be measured; empty when it can."""
    if python is None:
        return "--peer-python is not given"
    done = subprocess.run(
        [str(python), "-c", "import mlx_whisper"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{python} cannot import it: {done.stderr.strip().splitlines()[-1]}"
    frames = json.loads((folder / "config.json").read_text())["max_source_positions"]
    return "" if frames == 1500 else f"the window is {frames / 50:g} seconds, and it takes 30 alone"


def _make(folder: Path) -> None:
    from speech_checkpoint import make

    make(folder)


def _convert(source: Path, folder: Path) -> None:
    from speech_checkpoint import to_peer

    to_peer(source, folder)


def _apart(work: Callable[..., None], *given: Path) -> None:
    """Run in a process of its own: what this one once held would count as its children's peak."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=given)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} failed")


def _text(tokenizer: Any, tokens: list[int]) -> str:
    end = tokenizer.token_to_id("<|endoftext|>")
    return str(tokenizer.decode([t for t in tokens if t < end])).strip()


def _json_of(line: list[str]) -> dict[str, Any]:
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(found: dict[str, dict[str, Any]], seconds: float) -> None:
    """A line for each way."""
    peers = [name for name in ("transformers", "mlx-whisper") if name in found]
    print(f"{'':14}{'real-time factor':>18}{'peak MiB':>10}" + "".join(f"{p:>22}" for p in peers))
    print(f"{'':42}" + f"{'processor':>14}{'memory':>8}" * len(peers))
    for way, one in found.items():
        ratios = "".join(
            f"{one['processor'] / found[p]['processor']:14.2f}{one['mib'] / found[p]['mib']:8.2f}"
            for p in peers
        )
        print(f"{way:14}{one['seconds'] / seconds:18.4f}{one['mib']:10.0f}{ratios}")
    texts = {one["text"] for one in found.values()}
    words = len(found["torch"]["text"].split())
    print(f"{words} words" + (" from each" if len(texts) == 1 else "; the texts differ"))


def main() -> None:
    """Measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=MINI)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--tiny", action="store_true", help="a random checkpoint, in its place")
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has mlx-whisper")
    parser.add_argument("--way", choices=WAYS, help="measure this one here, for the other process")
    options = parser.parse_args()
    audio = sound(options.seconds)
    if options.way:
        if options.way == "transformers":
            print(json.dumps(transformers_way(options.folder, audio)))
        else:
            print(json.dumps(zoo_way(options.way, options.folder, audio)))
        return
    with tempfile.TemporaryDirectory() as room:
        folder = options.folder
        if options.tiny:
            folder = Path(room) / "tiny"
            _apart(_make, folder)
        found = {}
        for way in WAYS:
            line = [sys.executable, __file__, str(folder), "--way", way]
            found[way] = _json_of([*line, "--seconds", str(options.seconds)])
        reason = why_no_peer(folder, options.peer_python)
        if reason:
            print(f"mlx-whisper is left out: {reason}")
        else:
            found["mlx-whisper"] = peer_way(folder, audio, options.peer_python)
    report(found, options.seconds)


if __name__ == "__main__":
    main()
