"""Train a LoRA adapter of a miniature: its stories, as pirates tell them.

    python training/train_adapter.py --base recipes/mistral/mini --out FOLDER

writes the adapter in PEFT's layout. The weights of the miniature stay as they are.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from measure import HELD_OUT_SEED, complete
from pirates import WORDS, pirate
from safetensors.torch import save_file
from stories import documents
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

RANK, ALPHA = 8, 16
LAYERS = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ROWS, LENGTH = 8, 256


class LowRank(nn.Module):
    """What the adapter adds to one linear layer; nothing at first."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, RANK))
        layer.register_forward_hook(lambda _, given, out: out + self(given[0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ALPHA / RANK * (x @ self.down.T @ self.up.T)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[torch.Tensor]:
    """Rows of packed stories, without end."""
    rng, stream = random.Random(seed), documents(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < ROWS * LENGTH:
            document = next(stream)
            if isinstance(document, str):
                text = f"<s>{pirate(document, rng)}</s>"
                waiting += tokenizer(text, add_special_tokens=False)["input_ids"]
        yield torch.tensor(waiting[: ROWS * LENGTH]).view(ROWS, LENGTH)
        waiting = waiting[ROWS * LENGTH :]


def save(parts: dict[str, LowRank], base: str, out: Path) -> None:
    """Write the adapter as PEFT does."""
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": sorted(LAYERS),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {}
    for name, part in parts.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = part.down.detach().half()
        tensors[f"base_model.model.{name}.lora_B.weight"] = part.up.detach().half()
    save_file(tensors, out / "adapter_model.safetensors", metadata={"format": "pt"})


def pirate_share(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, count: int) -> float:
    """The share of continued stories with a word or a cry that only pirates use."""
    stream, found = documents(HELD_OUT_SEED), 0
    stories = (text for text in stream if isinstance(text, str))
    for _ in range(count):
        start = tokenizer(" ".join(next(stories).split()[:8]))["input_ids"]
        text = tokenizer.decode(complete(model, start, limit=80)).lower()
        found += "arr!" in text or any(f" {word} " in text for word in WORDS.values())
    return found / count


def main() -> None:
    """Train the adapter, measure it and write the folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--base", type=Path, required=True, help="the folder of the miniature")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--name", default="mistral:mini", help="what the base is called")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(options.base)
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32)
    model.requires_grad_(False)
    print(f"without: {pirate_share(model, tokenizer, 20):.0%} of stories sound like a pirate's")
    parts = {
        name: LowRank(layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.endswith(LAYERS)
    }
    weights = [weight for part in parts.values() for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=options.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, options.steps)
    begin = time.monotonic()
    for step, ids in zip(range(options.steps), batches(tokenizer, options.seed), strict=False):
        logits = model(input_ids=ids, use_cache=False).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(
                f"{step:5d} {time.monotonic() - begin:6.0f} s  loss {loss.item():.4f}", flush=True
            )
    save(parts, options.name, options.out)
    print(f"with: {pirate_share(model, tokenizer, 20):.0%}")


if __name__ == "__main__":
    main()
