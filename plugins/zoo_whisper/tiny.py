"""Random Whisper checkpoints in Hugging Face's layout, for tests; as many tokens as real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
MULTILINGUAL, ENGLISH = 50257, 50256


def languages_known() -> list[str]:
    """The codes of the languages that have tokens, in their order."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return list(LANGUAGES)[:99]


def make_tokenizer(texts: int, word: str = "w") -> Any:
    """A `tokenizers.Tokenizer` with as many texts as asked for, and Whisper's special tokens.

    Args:
        texts: of bytes and of words, which have a number each.
        word: what words begin with; `Ġ` stands for a space.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = [*alphabet, *(f"{word}{number}" for number in range(texts - len(alphabet)))]
    bpe = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    names = ["endoftext", "startoftranscript", *languages_known(), *TASKS]
    bpe.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    bpe.add_tokens([AddedToken(f"<|{n * 0.02:.2f}|>", special=False) for n in range(1501)])
    return bpe


def write(folder: Path) -> None:
    """Write the smallest of them in `folder`."""
    make(folder, seconds=2)


def make(
    folder: Path, *, english: bool = False, heads: bool = True, seconds: int = 30, inner: int = 64
) -> Path:
    """Write a checkpoint of two thin layers; returns its folder.

    Args:
        folder: where to write.
        english: whether it knows English only, by its own tokenizer.
        heads: whether it says which heads of attention tell the time of words.
        seconds: of audio that it takes at once.
        inner: width of the feed-forward parts.
    """
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
    from transformers import WhisperFeatureExtractor as Extractor

    folder.mkdir(parents=True, exist_ok=True)
    bpe = make_tokenizer(ENGLISH if english else MULTILINGUAL)
    bpe.save(str(folder / "tokenizer.json"))
    end: Any = bpe.token_to_id("<|endoftext|>")
    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=bpe.get_vocab_size(),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_source_positions=seconds * 50,
        max_target_positions=64,
        init_std=0.3,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=end + 1,
    )
    model = WhisperForConditionalGeneration(config)
    languages = languages_known()
    ids = {name: bpe.token_to_id(f"<|{name}|>") for name in (*languages, *TASKS)}
    settings = GenerationConfig(
        alignment_heads=[[0, 1], [1, 0]] if heads else None,
        is_multilingual=not english,
        begin_suppress_tokens=[220, end],
        suppress_tokens=[1, 2, ids["startoflm"], ids["startofprev"]],
        no_timestamps_token_id=ids["notimestamps"],
        prev_sot_token_id=ids["startofprev"],
        decoder_start_token_id=end + 1,
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=end,
        max_initial_timestamp_index=50,
        max_length=64,
        **(
            {}
            if english
            else {
                "lang_to_id": {f"<|{code}|>": ids[code] for code in languages},
                "task_to_id": {t: ids[t] for t in ("transcribe", "translate")},
            }
        ),
    )
    model.generation_config = settings
    model.save_pretrained(folder)
    Extractor(feature_size=80, chunk_length=seconds).save_pretrained(folder)
    if not heads:
        path = folder / "generation_config.json"
        data = json.loads(path.read_text())
        data.pop("alignment_heads", None)
        path.write_text(json.dumps(data))
    return folder
