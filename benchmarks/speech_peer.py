"""mlx-whisper on a sound, for `speech.py`, by an interpreter that has it.

    python benchmarks/speech_peer.py FOLDER SAMPLES

FOLDER is in mlx-whisper's layout, SAMPLES a NumPy file of float32 at 16 kHz. Prints JSON.
"""

import json
import resource
import sys
import time

import mlx.core as mx
import numpy as np
from mlx_whisper.transcribe import ModelHolder, transcribe


def main() -> None:
    """Transcribe, the model's loading left out of the time."""
    folder, samples = sys.argv[1], np.load(sys.argv[2])
    ModelHolder.get_model(folder, mx.float32)
    begin, busy = time.perf_counter(), time.process_time()
    found = transcribe(
        samples,
        path_or_hf_repo=folder,
        language="en",
        temperature=0.0,
        condition_on_previous_text=False,
        fp16=False,
    )
    figures = {"seconds": time.perf_counter() - begin, "processor": time.process_time() - busy}
    tokens = [token for segment in found["segments"] for token in segment["tokens"]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**figures, "mib": peak, "tokens": tokens}))


if __name__ == "__main__":
    main()
