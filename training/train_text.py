"""Train a miniature language model on our own stories: a published architecture at toy size.

    python training/train_text.py --out recipes/mistral/mini

writes a folder that transformers loads: the tokenizer (byte-level BPE with Mistral's chat
template) and the weights in half precision. The text comes from `stories`, without end.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch
from measure import HELD_OUT_SEED, held_out_questions, perplexity, share_right
from openelm import OpenELMConfig, OpenELMForCausalLM
from stories import documents
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

VOCABULARY = 1920
CONTEXT = 1024
SPECIAL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
TOKENS_A_STEP = 2304
SHORT, LONG = 384, 768
SHORT_SHARE = 0.75
WARM_UP = 200
ANSWER_WEIGHT = 5.0
CHAT_TEMPLATE = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] + '\\n\\n' %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = '' %}
    {%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in turns %}
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate: user, assistant, user, ...') }}
    {%- endif %}
    {%- if turn['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + turn['content'] + '[/INST]' }}
    {%- else %}
        {{- ' ' + turn['content'] + eos_token }}
    {%- endif %}
{%- endfor %}"""


def mistral() -> PreTrainedModel:
    """Mistral's architecture (grouped-query attention, SwiGLU, untied embeddings), fresh."""
    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=SPECIAL.index("</s>"),
    )
    return MistralForCausalLM(config)


def openelm() -> PreTrainedModel:
    """OpenELM's architecture (layers that widen, normalized queries and keys, tied), fresh."""
    config = OpenELMConfig(
        vocab_size=VOCABULARY,
        num_transformer_layers=6,
        model_dim=192,
        head_dim=32,
        num_gqa_groups=2,
        qkv_multipliers=[0.5, 1.0],
        ffn_multipliers=[0.5, 4.0],
        ffn_dim_divisor=64,
        ffn_with_glu=True,
        normalize_qk_projections=True,
        share_input_output_layers=True,
        max_context_length=CONTEXT,
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=SPECIAL.index("</s>"),
    )
    return OpenELMForCausalLM(config)


FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {"mistral": mistral, "openelm": openelm}


def train_tokenizer(seed: int, count: int = 20_000) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learned from so many documents, with the chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stream = documents(seed)
    texts = (
        text
        for _ in range(count)
        for document in [next(stream)]
        for text in (
            [document] if isinstance(document, str) else [" " + t["content"] for t in document]
        )
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", SPECIAL.index("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["[INST]", "[/INST]"],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Generator[torch.Tensor, int, None]:
    """Batches of packed documents without end; send the row length wanted to the generator."""
    stream = documents(seed)
    waiting: list[int] = []
    length = yield torch.empty(0)
    while True:
        rows = TOKENS_A_STEP // length
        while len(waiting) < rows * length:
            texts = []
            for _ in range(32):
                document = next(stream)
                if isinstance(document, str):
                    texts.append(f"<s>{document}</s>")
                else:
                    texts.append(tokenizer.apply_chat_template(document, tokenize=False))
            for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
                waiting += ids
        batch = torch.tensor(waiting[: rows * length]).view(rows, length)
        waiting = waiting[rows * length :]
        length = yield batch


def loss_of(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy, in which the tokens of answers (after [/INST]) weigh more."""
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    begun = places.where(ids == SPECIAL.index("[/INST]"), -1).cummax(1).values
    ended = places.where(ids == SPECIAL.index("</s>"), -1).cummax(1).values
    weights = torch.where(begun > ended, ANSWER_WEIGHT, 1.0)[:, :-1].flatten()
    losses = cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none"
    )
    return (losses * weights).sum() / weights.sum()


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    steps: int,
    minutes: float,
    seed: int,
    peak_rate: float,
) -> int:
    """Train the model in place, for so many steps or minutes, and return the steps done."""
    device = model.device
    hidden: list[Any] = []
    others: list[Any] = []
    for name, weight in model.named_parameters():
        (hidden if weight.dim() == 2 and "layers" in name else others).append(weight)
    optimizers = [
        torch.optim.Muon(hidden, lr=peak_rate, adjust_lr_fn="match_rms_adamw", weight_decay=0.1),
        torch.optim.AdamW(others, lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]
    compiled = torch.compile(model)
    stream = batches(tokenizer, seed)
    next(stream)
    begin = time.monotonic()
    for step in range(steps):
        progress = max(step / steps, (time.monotonic() - begin) / 60 / minutes)
        if progress >= 1:
            return step
        rate = peak_rate * min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * progress))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        ids = stream.send(SHORT if progress < SHORT_SHARE else LONG).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = compiled(input_ids=ids, use_cache=False).logits
        loss = loss_of(logits, ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 100 == 0:
            print(
                f"{step:6d} {time.monotonic() - begin:7.0f} s  loss {loss.item():.4f}", flush=True
            )
    return steps


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path, check: list[int]
) -> None:
    """Write the folder, in the half precision whose rounding costs least perplexity."""
    exact = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    costs = {}
    for dtype in (torch.bfloat16, torch.float16):
        model.load_state_dict({name: weight.to(dtype) for name, weight in exact.items()})
        costs[dtype] = perplexity(model, check)
    model.load_state_dict(exact)
    print("perplexity", perplexity(model, check), costs)
    model.to(min(costs, key=costs.__getitem__))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    if "rope_parameters" in config:
        config |= {"rope_theta": config.pop("rope_parameters")["rope_theta"]}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Train the tokenizer and the model, measure them and write the folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="mistral")
    parser.add_argument("--start", type=Path, help="a trained folder to resume from")
    parser.add_argument("--rate", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    options = parser.parse_args()
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    if options.start:
        tokenizer = AutoTokenizer.from_pretrained(options.start)
        model = AutoModelForCausalLM.from_pretrained(options.start, dtype=torch.float32)
    else:
        tokenizer = train_tokenizer(options.seed)
        model = FAMILIES[options.family]()
    model.to(device).train()
    print(f"{model.num_parameters()} parameters, {len(tokenizer)} tokens")
    done = fit(
        model,
        tokenizer,
        steps=options.steps,
        minutes=options.minutes,
        seed=options.seed,
        peak_rate=options.rate,
    )
    print(f"{done} steps, {done * TOKENS_A_STEP} tokens")
    model.eval()
    held_out = documents(HELD_OUT_SEED)
    stories = [text for text in (next(held_out) for _ in range(100)) if isinstance(text, str)]
    save(model, tokenizer, options.out, tokenizer("\n\n".join(stories))["input_ids"])
    right, _ = share_right(model.float(), tokenizer, held_out_questions(100))
    print(f"{right:.1%} of held-out questions answered right")


if __name__ == "__main__":
    main()
