"""Train a miniature Whisper on synthesized speech: digits and commands, with timestamps.

    python training/train_whisper.py --out recipes/whisper/mini

writes a folder that transformers loads: Whisper's architecture and file layout at toy size, with a
window of six seconds. `speech` synthesizes each batch, about 300 times faster than real time.
https://arxiv.org/abs/2212.04356
"""

import argparse
import json
import math
import multiprocessing
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speech import RATE, WORDS, Utterance, narrowed, utterances, with_noise
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from zoo.tasks import word_errors

CONTEXT = 128
SECONDS, BATCH, WARM_UP = 6, 32, 200
WINDOW = SECONDS * RATE
TEXT_TOKENS = 400
TIMESTAMPS = 1501
STEP = 0.02
TASKS = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")
NO_TIMESTAMPS = "<|notimestamps|>"
WITH_TIMESTAMPS, SILENT, WITH_PREVIOUS = 0.6, 0.05, 0.35
HELD_OUT_SEED = 1_000_000_007


def make_tokenizer() -> WhisperTokenizerFast:
    """Byte-level BPE on the words, with every special token of Whisper in Whisper's order."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((f" {word}" for word in WORDS for _ in range(9)), trainer)
    languages = [f"<|{code}|>" for code in LANGUAGES]
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, *TASKS, NO_TIMESTAMPS]
    bpe.add_special_tokens([AddedToken(token, special=True) for token in special])
    times = [f"<|{STEP * number:.2f}|>" for number in range(TIMESTAMPS)]
    bpe.add_tokens([AddedToken(token, special=False) for token in times])
    bpe.post_processor = processors.TemplateProcessing(
        single=f"<|startoftranscript|> {NO_TIMESTAMPS} $A <|endoftext|>",
        special_tokens=[
            (token, bpe.token_to_id(token))
            for token in ("<|startoftranscript|>", NO_TIMESTAMPS, "<|endoftext|>")
        ],
    )
    end = "<|endoftext|>"
    return WhisperTokenizerFast(
        tokenizer_object=bpe,
        bos_token=end,
        eos_token=end,
        unk_token=end,
        pad_token=end,
        additional_special_tokens=special[1:],
        model_max_length=128,
    )


def make_model(tokenizer: WhisperTokenizerFast) -> WhisperForConditionalGeneration:
    """Whisper's architecture, fresh."""
    end = tokenizer.eos_token_id
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=160,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=5,
        decoder_attention_heads=5,
        encoder_ffn_dim=640,
        decoder_ffn_dim=640,
        max_source_positions=SECONDS * 50,
        max_target_positions=CONTEXT,
        dropout=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=tokenizer.convert_tokens_to_ids("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return WhisperForConditionalGeneration(config)


def window(stream: Iterator[Utterance], rng: random.Random) -> tuple[np.ndarray, list[Any]]:
    """Six seconds of sound, and what is said: a segment (begin, end, words) each.

    The last segment may go on beyond the window; its end is `None` then.
    """
    audio, place = np.zeros(2 * WINDOW, np.float32), rng.uniform(0.0, 1.2)
    segments: list[Any] = []
    whole = rng.random() < 0.5
    while place < SECONDS - 0.3:
        said = next(stream)
        length = len(said.audio) / RATE
        if place + length > SECONDS and (whole or rng.random() < 0.3):
            if segments:
                break
            continue
        start = round(place * RATE)
        audio[start : start + len(said.audio)] += said.audio * rng.uniform(0.5, 1.0)
        inside = place + length <= SECONDS
        segments.append((place, place + length if inside else None, said))
        place += length + rng.uniform(0.25, 1.5)
        if rng.random() < 0.3:
            break
    return audio[:WINDOW], segments


class Batches:
    """Makes batches: sound, the tokens given, and those wanted (-100 where none is)."""

    def __init__(self, tokenizer: WhisperTokenizerFast, seed: int) -> None:
        self.tokenizer, self.rng = tokenizer, random.Random(seed)
        self.noise, self.stream = np.random.default_rng(seed), utterances(seed)
        ids = tokenizer.convert_tokens_to_ids
        self.end, self.zero = tokenizer.eos_token_id, ids("<|0.00|>")
        self.start, self.silent = ids("<|startoftranscript|>"), ids("<|nospeech|>")
        self.previous, self.plain = ids("<|startofprev|>"), ids(NO_TIMESTAMPS)
        self.task = [ids("<|en|>"), ids("<|transcribe|>")]

    def words(self, said: Utterance) -> list[int]:
        return self.tokenizer(f" {said.text}", add_special_tokens=False)["input_ids"]

    def time(self, seconds: float) -> int:
        return self.zero + round(seconds / STEP)

    def one(self) -> tuple[np.ndarray, list[int], int]:
        """A window, its tokens, and how many of them are given for nothing."""
        if self.rng.random() < SILENT:
            level = 10 ** self.noise.uniform(-5, -1)
            audio = self.noise.normal(0, level, WINDOW).astype(np.float32)
            return audio * self.rng.choice((0, 1, 1)), [self.start, self.silent, self.end], 0
        audio, segments = window(self.stream, self.rng)
        given = []
        if self.rng.random() < WITH_PREVIOUS:
            before = (token for said in self.stream for token in self.words(said))
            given = [self.previous, *islice(before, self.rng.randint(1, CONTEXT // 2 - 1))]
        tokens = [*given, self.start, *self.task]
        whole = all(end is not None for _, end, _ in segments)
        if not whole or self.rng.random() < WITH_TIMESTAMPS:
            for begin, end, said in segments:
                tokens.append(self.time(begin))
                if end is not None:
                    tokens += [*self.words(said), self.time(end)]
        else:
            tokens.append(self.plain)
            tokens += [token for *_, said in segments for token in self.words(said)]
        if self.noise.random() < 0.3:
            audio = narrowed(audio, self.noise.uniform(8_000, 12_000))
        return with_noise(audio, self.noise), [*tokens, self.end], len(given)

    def next(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = [self.one() for _ in range(BATCH)]
        longest = max(len(tokens) for _, tokens, _ in rows)
        ids = torch.full((BATCH, longest), self.end)
        wanted = torch.full((BATCH, longest), -100)
        for number, (_, tokens, given) in enumerate(rows):
            ids[number, : len(tokens)] = torch.tensor(tokens)
            wanted[number, given : len(tokens) - 1] = torch.tensor(tokens[given + 1 :])
        return torch.from_numpy(np.stack([audio for audio, *_ in rows])), ids, wanted


def features(audio: torch.Tensor, extractor: WhisperFeatureExtractor) -> torch.Tensor:
    """Log-mel features of (batch, samples), as transformers computes them."""
    found = extractor._torch_extract_fbank_features(audio.numpy())
    return torch.from_numpy(np.asarray(found))


def _produce(queue: Any, tokenizer: WhisperTokenizerFast, seed: int) -> None:
    torch.set_num_threads(1)
    extractor = make_extractor()
    batches = Batches(tokenizer, seed)
    while True:
        audio, ids, wanted = batches.next()
        queue.put((features(audio, extractor).numpy(), ids.numpy(), wanted.numpy()))


def make_extractor() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(feature_size=80, sampling_rate=RATE, chunk_length=SECONDS)


def save(model: Any, tokenizer: Any, out: Path, heads: list[list[int]]) -> None:
    """Write the folder in half precision."""
    end, ids = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids
    languages = {f"<|{code}|>": ids(f"<|{code}|>") for code in LANGUAGES}
    half = model.state_dict()
    copy = WhisperForConditionalGeneration(model.config)
    copy.load_state_dict(half)
    copy.half()
    copy.generation_config = GenerationConfig(
        alignment_heads=heads,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=ids("<|startoftranscript|>"),
        begin_suppress_tokens=[end],
        suppress_tokens=[ids(token) for token in TASKS if token != "<|nospeech|>"],
        is_multilingual=True,
        lang_to_id=languages,
        task_to_id={"transcribe": ids("<|transcribe|>"), "translate": ids("<|translate|>")},
        max_length=128,
        max_initial_timestamp_index=150,
        no_timestamps_token_id=ids(NO_TIMESTAMPS),
        prev_sot_token_id=ids("<|startofprev|>"),
        return_timestamps=False,
    )
    copy.save_pretrained(out)
    tokenizer.save_pretrained(out)
    make_extractor().save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "WhisperTokenizer"
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def word_error_rate(model: Any, tokenizer: Any, count: int) -> float:
    """Wrong, missing and added words over all, for held-out voices."""
    extractor, noise = make_extractor(), np.random.default_rng(5)
    stream, wrong, total = utterances(HELD_OUT_SEED, held_out=True), 0, 0
    ids = tokenizer.convert_tokens_to_ids
    prompt = [ids(t) for t in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", NO_TIMESTAMPS)]
    for said in (next(stream) for _ in range(count)):
        audio = np.zeros(WINDOW, np.float32)
        audio[4000 : 4000 + len(said.audio)] = said.audio
        given = features(torch.from_numpy(with_noise(audio, noise))[None], extractor)
        tokens = list(prompt)
        with torch.no_grad():
            hidden = model.model.encoder(given).last_hidden_state
            while tokens[-1] != tokenizer.eos_token_id and len(tokens) < 60:
                row = torch.tensor([tokens])
                out = model.model.decoder(input_ids=row, encoder_hidden_states=hidden)
                tokens.append(int(model.proj_out(out.last_hidden_state[0, -1]).argmax()))
        found = tokenizer.decode(tokens[len(prompt) : -1]).split()
        wrong, total = wrong + word_errors(found, list(said.words)), total + len(said.words)
    return wrong / total


def alignment_heads(model: Any, tokenizer: Any, count: int = 40, best: int = 4) -> list[list[int]]:
    """The heads of cross-attention that look where the word is that they write: [layer, head]."""
    extractor, stream = make_extractor(), utterances(HELD_OUT_SEED + 1)
    ids = tokenizer.convert_tokens_to_ids
    prompt = [ids(t) for t in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", NO_TIMESTAMPS)]
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    hits, total = torch.zeros(layers, heads), 0
    model.set_attn_implementation("eager")
    for said in (next(stream) for _ in range(count)):
        audio = np.zeros(WINDOW, np.float32)
        audio[4000 : 4000 + len(said.audio)] = said.audio
        tokens, spans = list(prompt), []
        for number, word in enumerate(said.words):
            pieces = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
            spans += [(len(tokens) + n - 1, said.times[number]) for n in range(len(pieces))]
            tokens += pieces
        with torch.no_grad():
            out = model(
                input_features=features(torch.from_numpy(audio)[None], extractor),
                decoder_input_ids=torch.tensor([tokens]),
                output_attentions=True,
            )
        looked = torch.stack([layer[0] for layer in out.cross_attentions])  # layer, head, q, k
        for position, (begin, end) in spans:
            first, last = (0.25 + begin - 0.1) * 50, (0.25 + end + 0.1) * 50
            peaks = looked[:, :, position].argmax(-1)
            hits += ((peaks >= first) & (peaks <= last)).float()
            total += 1
    order = (hits / total).flatten().argsort(descending=True)[:best]
    print(
        "alignment heads",
        [
            (int(o) // heads, int(o) % heads, round(float(hits.flatten()[o] / total), 2))
            for o in order
        ],
    )
    return sorted([int(o) // heads, int(o) % heads] for o in order)


def main() -> None:
    """Train the tokenizer and the model, measure them and write the folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--start", type=Path, help="a trained folder to resume from")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    if options.start:
        model = WhisperForConditionalGeneration.from_pretrained(options.start, dtype=torch.float32)
    print(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", flush=True)
    queue: Any = multiprocessing.get_context("spawn").Queue(6)
    maker = multiprocessing.get_context("spawn").Process(
        target=_produce, args=(queue, tokenizer, options.seed), daemon=True
    )
    maker.start()
    matrices = [w for n, w in model.named_parameters() if w.dim() == 2 and "layers" in n]
    others = [w for n, w in model.named_parameters() if not (w.dim() == 2 and "layers" in n)]
    others = [w for w in others if w.requires_grad]
    optimizers = [
        torch.optim.Muon(matrices, lr=1, adjust_lr_fn="match_rms_adamw", weight_decay=0.05),
        torch.optim.AdamW(others, lr=1, betas=(0.9, 0.98), weight_decay=0.01),
    ]
    begin, step, saved = time.monotonic(), 0, time.monotonic()
    while (progress := (time.monotonic() - begin) / 60 / options.minutes) < 1:
        rate = options.rate * min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * progress))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        given, ids, wanted = map(torch.from_numpy, queue.get())
        logits = model(input_features=given, decoder_input_ids=ids).logits
        loss = cross_entropy(logits.flatten(0, 1), wanted.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 100 == 0:
            print(
                f"{step:6d} {time.monotonic() - begin:6.0f} s  loss {loss.item():.4f}", flush=True
            )
        if time.monotonic() - saved > 300:
            saved = time.monotonic()
            save(model, tokenizer, options.out, [[model.config.decoder_layers - 1, 0]])
            print(f"word error rate {word_error_rate(model, tokenizer, 30):.1%}", flush=True)
        step += 1
    maker.kill()
    model.eval()
    print(f"{step} steps; word error rate {word_error_rate(model, tokenizer, 200):.1%}")
    save(model, tokenizer, options.out, alignment_heads(model, tokenizer))


if __name__ == "__main__":
    main()
