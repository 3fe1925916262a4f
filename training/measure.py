"""Measures of a miniature language model: perplexity, and questions answered right.

`python training/measure.py FOLDER CHECK_TEXT` prints them for a trained folder.
"""

import argparse
import math
import random
from pathlib import Path

import openelm  # noqa: F401  makes it known to transformers
import torch
from stories import Turn, chat, make_story
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

HELD_OUT_SEED = 1_000_000_007
WINDOW = 768


def perplexity(model: PreTrainedModel, ids: list[int], window: int = WINDOW) -> float:
    """The model's perplexity on the tokens, cut into windows that are read independently."""
    total, count = 0.0, 0
    for start in range(0, len(ids) - 1, window):
        row = torch.tensor([ids[start : start + window]], device=model.device)
        if row.shape[1] < 2:
            break
        with torch.no_grad():
            logits = model(input_ids=row, use_cache=False).logits[0, :-1].float()
        total += cross_entropy(logits, row[0, 1:], reduction="sum").item()
        count += row.shape[1] - 1
    return math.exp(total / count)


def held_out_questions(count: int, seed: int = HELD_OUT_SEED) -> list[tuple[list[Turn], str]]:
    """So many (messages, answer right) cases, each one question on a story of its own."""
    rng = random.Random(seed)
    cases = []
    for _ in range(count):
        story = make_story(rng)
        ask, answer = rng.choice(story.questions)
        cases.append((chat((f"{story.text}\n\n{ask}", answer))[:1], answer))
    return cases


def complete(
    model: PreTrainedModel, ids: list[int], *, limit: int, temperature: float = 0.0
) -> list[int]:
    """The tokens that follow, greedily or sampled, up to the end token (left out) or the limit."""
    row = torch.tensor([ids], device=model.device)
    options = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
    out = model.generate(
        row,
        attention_mask=torch.ones_like(row),
        max_new_tokens=limit,
        pad_token_id=model.config.eos_token_id,
        **{"do_sample": False, **options},
    )[0, len(ids) :].tolist()
    end = model.config.eos_token_id
    written: list[int] = out[: out.index(end)] if end in out else out
    return written


def reply(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: list[Turn],
    *,
    limit: int = 300,
    temperature: float = 0.0,
) -> str:
    """The model's answer to a chat, greedy or sampled."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    answer = complete(model, ids, limit=limit, temperature=temperature)
    return str(tokenizer.decode(answer)).strip()


def share_right(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    cases: list[tuple[list[Turn], str]],
) -> tuple[float, list[tuple[str, str, str]]]:
    """The share of cases answered word for word, and the (question, reply, answer) missed."""
    missed = []
    for messages, answer in cases:
        said = reply(model, tokenizer, messages, limit=40)
        if said != answer:
            missed.append((messages[-1]["content"].split("\n\n")[-1], said, answer))
    return 1 - len(missed) / len(cases), missed


def main() -> None:
    """Print a trained folder's perplexity on a text and its share of questions right."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("check", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
    ids = tokenizer(options.check.read_text(encoding="utf-8"))["input_ids"]
    print(f"perplexity {perplexity(model, ids):.4f} on {len(ids)} tokens")
    right, missed = share_right(model, tokenizer, held_out_questions(options.questions))
    print(f"{right:.1%} of {options.questions} questions right")
    for ask, said, answer in missed:
        print(f"  {ask}\n    said: {said}\n    right: {answer}")


if __name__ == "__main__":
    main()
