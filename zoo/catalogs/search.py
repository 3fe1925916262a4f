"""Finding models by words, as people say them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from zoo.catalogs.listing import Listing

SHORT = 3
"""Words up to this length must begin a word of the model's; longer ones may be inside of one."""

SYNONYMS = {
    "sd": ("stable-diffusion",),
    "sdxl": ("sdxl", "xl-"),
    "fast": ("turbo", "lightning", "lcm", "distil"),
    "quick": ("turbo", "lightning", "lcm", "distil"),
    "small": ("small", "tiny", "mini", "smallest"),
    "code": ("code", "coding"),
    "coding": ("code", "coding"),
    "math": ("math", "mathematical"),
    "style": ("style", "ink", "outline"),
    "lora": ("lora", "style", "adapter"),
    "inpaint": ("inpaint", "masked"),
    "ane": ("neural-engine", "ane", "split-einsum"),
    "neural": ("neural-engine", "split-einsum"),
    "engine": ("neural-engine", "split-einsum"),
    "iphone": ("ios",),
    "ipad": ("ios",),
    "phone": ("ios",),
    "mac": ("macos", "mlx"),
    "gpt": ("text-generation",),
    "free": ("commercial-yes",),
    "multilingual": ("multilingual",),
}
"""What a word also stands for; one of these must be there."""

BITS = re.compile(r"(\d)-?bits?")


def matches(listing: Listing, terms: Sequence[str]) -> bool:
    """Whether a line of the catalog has every one of some words."""
    if not terms:
        return True
    text = text_of(listing)
    return all(has(text, term) for term in terms)


def has(text: str, term: str) -> bool:
    """Whether a text, in lower case, has a word or a synonym of it."""
    return any(_inside(text, each) for each in alternatives(term))


@cache
def alternatives(term: str) -> Sequence[str]:
    """A word and what it stands for, in lower case."""
    plain = term.lower().strip()
    if bits := BITS.fullmatch(plain):
        return (f"{bits[1]}bit", f"int{bits[1]}")
    return SYNONYMS.get(plain, (plain,))


def text_of(listing: Listing) -> str:
    """Everything that a model is found by, in lower case; words of it begin after a blank."""
    names = " ".join((listing.ref, listing.name, *listing.aliases)).lower()
    return f" {names} {listing.facts.words if listing.facts else ''}"


def vocabulary(listings: Iterable[Listing]) -> set[str]:
    """The words that some model has, to find the nearest to one that none has."""
    found = set(SYNONYMS)
    for listing in listings:
        found.update(word for word in re.split(r"[^\w.+-]+", text_of(listing)) if len(word) > SHORT)
    return found


def _inside(text: str, word: str) -> bool:
    if len(word) > SHORT:
        return word in text
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}", text) is not None
