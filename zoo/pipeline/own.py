"""A recipe for a checkpoint without one: a folder of the user's own, or a repository on the Hub.

The builds are those that its family has elsewhere. What is said of the model itself - weights,
types, memory, context, license - is read from its own files; the tokenizer, the adapters and the
limits of the family's other recipes are not its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from zoo.catalogs.catalog import Catalog
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Build, Check, Recipe
from zoo.catalogs.reference import Reference
from zoo.catalogs.source import Source
from zoo.errors import InputError, UsageError
from zoo.files.safetensors import Header, read_header
from zoo.formats.checkpoint import checkpoint_files, read_json
from zoo.pipeline.folders import require_own_folder
from zoo.progress import Listener, Progress
from zoo.tasks.registry import task_of

SUFFIX = ".safetensors"
CONFIGS = ("config.json", "model_index.json")
COMPONENTS = ("unet", "vae")
CARD = "README.md"
LARGEST_CARD = 1 << 20
CONTEXT_KEYS = ("max_position_embeddings", "max_context_length", "n_positions", "max_seq_len")
FLOAT16_BYTES = 2
WIDE_AT_ONCE = 5
"""Results of an image decoder's last blocks that live at once, by the lifetimes in its program."""
DEEPEST = 16
"""Blocks of an image decoder, each twice the size of the one before, at most."""
LARGEST_SIZE = 1 << 16
"""Of a number of channels, or of a side in latents, that is read as one."""
PACKED = 32
"""Bits of the unsigned integers that MLX packs quantized weights into."""


@dataclass
class Facts:
    """What the files of a checkpoint say of it.

    Attributes:
        config: its `config.json` or `model_index.json`; empty when it has neither.
        components: the configs of the components of a pipeline, by their folders.
        count: how many weights it has, in quantized tensors too.
        bytes: what they take as stored.
        dtypes: how many elements are stored in each type.
        license: from its model card.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    count: int = 0
    bytes: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    license: str | None = None

    def add(self, header: Header) -> None:
        """Count the weights of one file."""
        bits = (self.config.get("quantization") or {}).get("bits")
        for name, tensor in header.tensors.items():
            elements, base = prod(tensor.shape), name.rpartition(".")[0]
            self.dtypes[tensor.dtype] += elements
            self.bytes += tensor.end - tensor.start
            packed = f"{base}.weight" in header.tensors and f"{base}.scales" in header.tensors
            if packed and isinstance(bits, int) and bits > 0:
                is_weight = name.endswith(".weight")
                elements = elements * PACKED // bits if is_weight else 0
            self.count += elements

    @property
    def context(self) -> int | None:
        """The longest input in tokens, as the config says."""
        text = self.config.get("text_config")
        for config in (self.config, text if isinstance(text, dict) else {}):
            for key in CONTEXT_KEYS:
                if isinstance(value := config.get(key), int) and value > 0:
                    return value
        return None

    @property
    def cache_per_token(self) -> int | None:
        """Bytes of keys and values for each token in float16, as the config of a decoder says."""
        heads = self._said("num_attention_heads")
        size = self._said("head_dim") or (self._said("hidden_size") // heads if heads else 0)
        kept = self._said("num_key_value_heads", "num_attention_heads") * size
        return 2 * FLOAT16_BYTES * self._said("num_hidden_layers") * kept or None

    @property
    def cache_bytes(self) -> int | None:
        """Bytes of keys and values in float16, of an encoder's output and of the longest text."""
        positions = self._said("max_source_positions") + self._said("max_target_positions")
        kept = self._said("decoder_layers") * self._said("d_model")
        return 2 * FLOAT16_BYTES * kept * positions or None

    @property
    def activation_bytes(self) -> int | None:
        """Bytes of what the last blocks of an image decoder hold at once, in float16.

        They work at the size of the image, on the second of the decoder's widths.
        """
        widths = self.components.get("vae", {}).get("block_out_channels")
        side = self.components.get("unet", {}).get("sample_size")
        sides = side if isinstance(side, list) and len(side) == 2 else [side, side]
        if not isinstance(widths, list) or not 0 < len(widths) <= DEEPEST:
            return None
        if not all(type(n) is int and 0 < n <= LARGEST_SIZE for n in (*widths, *sides)):
            return None
        pixels = prod(sides) << 2 * (len(widths) - 1)
        width: int = widths[min(1, len(widths) - 1)]
        return FLOAT16_BYTES * WIDE_AT_ONCE * pixels * width

    def _said(self, *keys: str) -> int:
        """The number above zero that the config has under the first of these keys, or 0."""
        found = (self.config.get(key) for key in keys)
        return next((value for value in found if isinstance(value, int) and value > 0), 0)

    def family(self, known: Iterable[str]) -> str | None:
        """The family that the config names, as transformers or diffusers wrote it."""
        model_type = self.config.get("model_type")
        if isinstance(model_type, str) and model_type:
            return model_type
        pipeline = str(self.config.get("_class_name", ""))
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", pipeline).lower()
        return next((name for name in known if words.startswith(name)), None)


def recipe_of(
    reference: Reference,
    family: str | None,
    catalog: Catalog,
    lock: Lock,
    listener: Listener,
    *,
    measured: bool = True,
) -> Recipe:
    """The recipe of a folder or repository.

    Args:
        family: the architecture, when the files do not tell it.
        catalog: where a recipe of the family is looked for, for the builds that it has.
        lock: which commit of a repository was pulled before.
        measured: whether to find the facts, which for a repository that is not in the Hub's cache
            asks the Hub. Without them only keys are right.

    Raises:
        NotFound, InputError, IntegrityError: there is no such folder, or it is no checkpoint.
        UsageError: the family is unknown and was not given.
        Gated, Offline: why the Hub cannot be asked.
    """
    facts = Facts()
    if reference.kind == "folder":
        facts = folder_facts(Path(reference.name))
    elif measured:
        facts = hub_facts(lock.pin(reference.source), listener)
    known = (listing.family for listing in catalog if listing.facts)
    family = facts.family(known) if family is None else family
    if family is None:
        families = catalog.families
        raise UsageError(
            f"'{reference}' is of an unknown model family",
            f"add --family; families: {', '.join(families)}",
            in_python=f"give family=; families: {', '.join(families)}",
        )
    like = catalog.first_of_family(family)
    recipe = Recipe(
        schema=like.schema,
        family=family,
        title=Path(reference.name).name or reference.name,
        summary="a checkpoint of your own",
        chat=None,  # where its tokenizer has a template
        task=like.task,
        license=facts.license or "LicenseRef-unknown",
        parameters=facts.count,
        source=reference.source,
        build=dict(sorted(like.build.items(), key=lambda item: bool(item[1].optimize))),
        context=facts.context,
        cache_per_token=facts.cache_per_token if like.cache_per_token else None,
        cache_bytes=facts.cache_bytes if like.cache_bytes else None,
        activation_bytes=facts.activation_bytes,
        check=Check(inputs=like.check.inputs) if like.check else None,
        weight_bytes=facts.bytes or None,
        dtypes=dict(facts.dtypes),
        ref=str(reference),
        home=like.home,
    )
    recipe = catalog.offers.added_to(recipe, measured=False)
    builds = {
        name: build if build.offered_by and build.limits else _own(like.task, build)
        for name, build in recipe.build.items()
    }
    return replace(recipe, build=builds)


def folder_facts(folder: Path) -> Facts:
    """The facts of a folder, from the headers of its weights, in subfolders too.

    Raises:
        NotFound, InputError: there is no such folder, or nothing in it.
        IntegrityError: a file is damaged, or shards are missing.
    """
    require_own_folder(folder, "checkpoint")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if not names:
        raise InputError(f"the folder '{folder}' is empty")
    config = next((read_json(folder / name) for name in CONFIGS if name in names), {})
    parts = {part: f"{part}/config.json" for part in COMPONENTS}
    facts = Facts(config, {p: read_json(folder / n) for p, n in parts.items() if n in names})
    for name in checkpoint_files(names, lambda name: (folder / name).read_bytes()):
        if name.endswith(SUFFIX):
            facts.add(read_header(folder / name))
    if CARD in names:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as card:
            facts.license = license_of(card.read(LARGEST_CARD))
    return facts


def hub_facts(source: Source, listener: Listener) -> Facts:
    """The facts of a repository: of its headers alone, where its weights are not here yet.

    Raises:
        NotFound, Gated, Offline: why it cannot be read.
        IntegrityError: a header is damaged, or shards are missing.
    """
    from zoo.hub.headers import RemoteFiles

    files = RemoteFiles(source, Progress("look", listener))
    config = next((files.read_json(name) for name in CONFIGS if name in files.sizes), {})
    parts = {part: f"{part}/config.json" for part in COMPONENTS}
    facts = Facts(config, {p: files.read_json(n) for p, n in parts.items() if n in files.sizes})
    for name in checkpoint_files(files.sizes, files.read):
        if name.endswith(SUFFIX):
            facts.add(files.header(name))
    if files.sizes.get(CARD, LARGEST_CARD) < LARGEST_CARD:
        facts.license = license_of(files.read(CARD).decode("utf-8", "replace"))
    return facts


def license_of(card: str) -> str | None:
    """The license in the front matter of a model card
    (https://huggingface.co/docs/hub/model-cards#model-card-metadata)."""
    if not card.startswith("---"):
        return None
    front = card[3:].partition("\n---")[0]
    match = re.search(r"^license:[ \t]*['\"]?([\w.+-]{1,64})['\"]?[ \t]*$", front, re.MULTILINE)
    return match[1] if match else None


def adapter_name(reference: Reference, taken: Iterable[str], reserved: Iterable[str]) -> str:
    """The name in a model of an adapter of the user's own: the last part of where it is.

    It is lower-case ASCII, as the names in recipes are. Where letters are lost, or the name is
    taken by the recipe or reserved by the format, digits of the path keep it apart.
    """
    import hashlib
    import unicodedata

    last = unicodedata.normalize("NFC", Path(reference.name).name).lower()
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:40].strip("-._")
    lost = sum(map(str.isalnum, last)) > sum(map(str.isalnum, plain))
    if name and not lost and name not in (*taken, *reserved):
        return name
    digits = hashlib.sha256(str(reference).encode()).hexdigest()[:8]
    return f"{name or 'adapter'}-{digits}"


def _own(task: str, build: Build) -> Build:
    """A build of the family for another model: with no numbers that were measured on the first."""
    limits = {} if build.optimize else dict(task_of(task).faithful)
    return replace(build, bits=None, limits=limits)
