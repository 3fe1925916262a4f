"""Load and generation through zoo, beside mlx-lm called directly on the same checkpoint.

Each measurement is a process of its own; the two sides take turns, and take turns at being first.
Figures are medians. A ratio is the median of the ratios of neighboring runs, so that a machine that
slows down slows both; 1.00 is as good as calling mlx-lm by hand. The checkpoint is a random Mistral
of about 60 million float32 parameters, and `mistral:mini`.

Run with `python benchmarks/generation.py [rounds]`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MINI = Path(__file__).parent.parent / "recipes" / "mistral" / "mini"
PROMPT = "Once upon a time there was a little fox."

DIRECT = """
import json, sys, time
start = time.perf_counter()
import mlx_lm
model, tokenizer = mlx_lm.load(sys.argv[1])
first = None
for response in mlx_lm.stream_generate(model, tokenizer, sys.argv[2], max_tokens=int(sys.argv[3])):
    first = first or time.perf_counter()
assert response.generation_tokens == int(sys.argv[3]), "the model stopped early"
print(json.dumps([first - start, time.perf_counter() - first]))
"""

THROUGH_ZOO = """
import json, sys, time
start = time.perf_counter()
import zoo
model = zoo.load(sys.argv[1], build="mlx", family="mistral")
first = None
for piece in model.stream(sys.argv[2], max_tokens=int(sys.argv[3])):
    first = first or time.perf_counter()
print(json.dumps([first - start, time.perf_counter() - first]))
"""


def random_checkpoint(folder: Path) -> None:
    """A Mistral of about 60 million random float32 weights, with the miniature's tokenizer."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(MINI)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=9,
        num_attention_heads=12,
        num_key_value_heads=4,
        sliding_window=None,
        eos_token_id=None,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def widen(source: Path, folder: Path) -> None:
    """The miniature in float32, so that both sides compute in the same type."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(source, dtype="float32").save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def measure(code: str, checkpoint: Path, tokens: int, env: dict[str, str]) -> list[float]:
    """Seconds to the first piece in a new process, and from there to the last."""
    command = [sys.executable, "-c", code, str(checkpoint), PROMPT, str(tokens)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {**os.environ, "ZOO_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        random_checkpoint(folder / "random")
        widen(MINI, folder / "mini")
        print(f"{'checkpoint':12}{'':22}{'mlx-lm':>9}{'zoo':>9}{'ratio':>8}")
        for checkpoint, tokens in (("random", 100), ("mini", 100)):
            path = folder / checkpoint
            measure(THROUGH_ZOO, path, tokens, env)  # builds what is built once
            direct: list[list[float]] = []
            ours: list[list[float]] = []
            sides = [(direct, DIRECT), (ours, THROUGH_ZOO)]
            for _ in range(rounds):
                for runs, code in sides:
                    runs.append(measure(code, path, tokens, env))
                sides.reverse()
            firsts = [[run[0] for run in runs] for runs in (direct, ours)]
            rates = [[(tokens - 1) / run[1] for run in runs] for runs in (direct, ours)]
            for what, (theirs, mine) in (("load + first token, s", firsts), ("tokens/s", rates)):
                ratio = statistics.median(b / a for a, b in zip(theirs, mine, strict=True))
                middle = f"{statistics.median(theirs):9.2f}{statistics.median(mine):9.2f}"
                print(f"{checkpoint:12}{what:22}{middle}{ratio:8.2f}")


if __name__ == "__main__":
    main()
