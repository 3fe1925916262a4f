"""Which files of a folder or a repository are the checkpoint, and what no checkpoint may have.

One decision for every family and format, for downloads, sizes and hashes too. It follows the
libraries that write checkpoints: transformers
(https://huggingface.co/docs/transformers/main_classes/model#large-model-loading) takes
`model.safetensors` before the shards that `model.safetensors.index.json` names; diffusers
(https://huggingface.co/docs/diffusers/using-diffusers/other-formats) takes the index first, and
writes variants such as `diffusion_pytorch_model.fp16.safetensors`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.documents import parse_json
from zoo.files.safe_folder import read_regular
from zoo.files.safetensors import read_header

FOREIGN_CODE = ("auto_map", "model_file")
TEXT_FILES = (".jinja", ".json", ".model", ".txt")
"""Endings of the files of a tokenizer, a chat template and the settings of generation."""
SUFFIX = ".safetensors"
INDEX = ".safetensors.index"

STEMS = ("model", "diffusion_pytorch_model")
"""What transformers and diffusers call weights, without number, variant and suffix."""

OTHER_COPIES = ("consolidated", "adapter_model", "adapters", "pytorch_lora_weights", "optimizer")
"""Beginnings of files that hold no part of the model: its maker's own layout, adapters, states."""

ADAPTER_CONFIG = "adapter_config.json"
VARIANTS = ("fp16", "bf16", "fp32")
"""Variants in the order of preference, where there are weights without one nowhere."""

SHARD = re.compile(
    r"(?P<stem>.+?)(?:\.(?P<before>[\w-]+))?-(?P<number>\d{5})-of-(?P<total>\d{5})"
    r"(?:\.(?P<after>[\w-]+))?\.safetensors"
)
LARGEST_JSON = 50_000_000
"""Bytes of a JSON file beside weights; the largest tokenizers have some 20 MB."""

NAMED = 4
SAMPLE = 4096

Read = Callable[[str], bytes]
"""The content of a file, by its name in the folder or repository."""


def checkpoint_files(names: Iterable[str], read: Read | None = None) -> list[str]:
    """Select the files of a folder or repository that make up the model.

    Duplicates are left out (other variants, the original layout, shards of an earlier save), and so
    are pickles, adapters, other models in subfolders (`checkpoint-500`, `onnx`), and files that are
    neither safetensors nor text.

    Args:
        names: the paths of all files, with `/` between folders.
        read: reads a file, for the index of shards; if `None`, the numbers in the names of shards
            are used.

    Raises:
        IntegrityError: shards are missing, or it is ambiguous which files are the weights.
    """
    folders: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folders.setdefault(_parent(path), set()).add(path.name)
    chosen: list[str] = []
    for folder in _model_folders(folders, read):
        inside = folders[folder]
        # a pipeline's own folder may hold it once more, as one file for other programs
        weights = (
            []
            if "model_index.json" in inside
            else choose_weights(inside, _reader(folder, read), folder or "the repository")
        )
        text = {name for name in inside if _is_text(name)}
        if any(not name.startswith(OTHER_COPIES) for name in weights):
            text.discard(ADAPTER_CONFIG)
        indexes = {name for name in text if INDEX in name or ".index." in name}
        text -= {name for name in indexes if not _is_index_of(name, weights)}
        chosen += [f"{folder}/{name}" if folder else name for name in {*weights, *text}]
    return sorted(chosen)


def choose_weights(
    names: Collection[str], read: Read | None = None, where: str = "the folder"
) -> list[str]:
    """The weights among the files of one folder; none when it has none.

    Args:
        names: the names of its files.
        read: as for `checkpoint_files`.
        where: what messages call the folder.

    Raises:
        IntegrityError: shards are missing, or several variants are there and none is preferred.
    """
    for stem in STEMS:
        if found := _preferred(stem, names, read, where):
            return found
    all_weights = [name for name in names if name.endswith(SUFFIX)]
    own = [name for name in all_weights if not name.startswith(OTHER_COPIES)] or all_weights
    stems = {m["stem"] if (m := SHARD.fullmatch(name)) else name.split(".")[0] for name in own}
    return sorted(name for stem in stems for name in _preferred(stem, names, read, where))


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a checkpoint, without duplicates.

    Args:
        folder: the folder of the checkpoint.

    Raises:
        IntegrityError: there are none, shards are missing, or the folder holds two saved models.
    """
    names = {path.name for path in folder.iterdir() if path.is_file()}
    chosen = choose_weights(
        names, lambda name: read_regular(folder / name, LARGEST_JSON), str(folder)
    )
    if not chosen or all(name.startswith(OTHER_COPIES) for name in chosen):
        raise IntegrityError(f"{folder} has {_instead(names)}; zoo reads safetensors")
    files = [folder / name for name in chosen]
    _require_one_save(folder, names, files)
    return files


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        IntegrityError: the file cannot be read, is too large, or is not a JSON object.
    """
    try:
        found = parse_json(read_regular(path, LARGEST_JSON).decode("utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read: {_reason(error)}") from error
    if not isinstance(found, dict):
        raise IntegrityError(f"{path} must be a JSON object")
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a checkpoint that has safetensors and requires no custom code.

    Args:
        folder: the folder of the checkpoint.

    Raises:
        IntegrityError: a file is missing or damaged, there are no safetensors, or the model
            requires code of its own.
    """
    config = read_json(folder / "config.json")
    for key in FOREIGN_CODE:
        if key in config:
            raise IntegrityError(
                f"{folder / 'config.json'} has '{key}': the model requires code from its "
                "repository, which zoo never runs"
            )
    weight_files(folder)
    return config


def copy_text_files(
    source: Path, target: Path, *, left_out: Collection[str] = ("config.json",)
) -> None:
    """Link or copy the tokenizer, chat template and settings of a checkpoint.

    These are the text files at the top of `source`, except the index of the weights and the config
    of an adapter.

    Args:
        source: the folder of a checkpoint or a build.
        target: an existing folder to write to.
        left_out: names of files that the caller writes itself.
    """
    for path in sorted(source.iterdir()):
        wanted = _is_text(path.name) and ".index." not in path.name
        if wanted and path.name not in (ADAPTER_CONFIG, *left_out) and path.is_file():
            link_or_copy(path, target / path.name)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file to `target`, or copy it if it could be edited in place.

    Blobs in the Hub's cache are never edited, so they are linked. Other files are copied, and so
    are blobs on another disk.

    Args:
        source: the file.
        target: a path that does not exist yet.
    """
    file = source.resolve()
    if source.is_symlink() and "blobs" in (parent.name for parent in file.parents):
        try:
            os.link(file, target)
            return
        except OSError:  # another disk, or one without hard links
            pass
    shutil.copy2(file, target)


def _model_folders(folders: Mapping[str, Collection[str]], read: Read | None) -> list[str]:
    """The folders that are parts of the model; the top one is ''."""
    top = folders.get("", ())
    if "model_index.json" in top:
        components = _components(read, top)
        return [f for f in folders if f == "" or (components is None or f in components)]
    if "modules.json" in top or not any(name.endswith(SUFFIX) for name in top):
        return list(folders)
    return [""]


def _components(read: Read | None, top: Collection[str]) -> set[str] | None:
    """The components that diffusers' `model_index.json` names; `None` where it cannot be read."""
    if read is None:
        return None
    try:
        index = parse_json(read("model_index.json"))
    except ValueError:
        return None
    return set(index) if isinstance(index, dict) else None


def _variants(stem: str, names: Collection[str], where: str) -> list[str | None]:
    """The variants of a stem to try, the preferred one first; `None` is the plain one."""
    pattern = r"(?:\.([\w-]+))?\.safetensors(?:\.index(?:\.([\w-]+))?\.json)?"
    whole = re.compile(re.escape(stem) + pattern)
    found = set()
    for name in names:
        shard = SHARD.fullmatch(name)
        if shard and shard["stem"] == stem:
            found.add(shard["before"] or shard["after"])
        elif match := whole.fullmatch(name):
            found.add(match[1] or match[2])
    preferred = [variant for variant in (None, *VARIANTS) if variant in found]
    others = sorted(variant for variant in found if variant and variant not in VARIANTS)
    if not preferred and len(others) > 1:
        raise IntegrityError(
            f"{where} has the weights in the variants {', '.join(others)}, and it is not clear "
            "which are meant",
            "keep those of one variant",
        )
    return preferred or list(others)


def _preferred(stem: str, names: Collection[str], read: Read | None, where: str) -> list[str]:
    """The weights of one stem, in the variant that comes first."""
    found = (_of_stem(stem, v, names, read, where) for v in _variants(stem, names, where))
    return next((weights for weights in found if weights), [])


def _of_stem(
    stem: str, variant: str | None, names: Collection[str], read: Read | None, where: str
) -> list[str]:
    whole = f"{stem}.{variant}{SUFFIX}" if variant else f"{stem}{SUFFIX}"
    # diffusers has written the variant before and after the word 'safetensors'
    spellings = (
        (f"{stem}{INDEX}.{variant}.json", f"{stem}.{variant}{INDEX}.json")
        if variant
        else (f"{stem}{INDEX}.json",)
    )
    index = next((name for name in spellings if name in names), None)
    if whole in names and (stem == "model" or index is None):
        return [whole]
    if index is not None and read is not None:
        return _indexed(index, names, read, where)
    # an index that nothing can read, without shards beside it, says nothing of the whole file
    return _numbered(stem, variant, names, where) or ([whole] if whole in names else [])


def _indexed(index: str, names: Collection[str], read: Read, where: str) -> list[str]:
    """The shards that an index names.

    Raises:
        IntegrityError: it is damaged, leads elsewhere, or names files that are not there.
    """
    try:
        mapped = parse_json(read(index))["weight_map"].values()
        shards = sorted({str(name) for name in mapped})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{index} of {where} cannot be read: {_reason(error)}") from error
    for name in shards:
        if PurePosixPath(name).name != name or not name.endswith(SUFFIX):
            raise IntegrityError(
                f"{index} of {where} names '{name[:80]}', which is not a safetensors file beside it"
            )
    _require_there(shards, names, f"{index} of {where} names")
    return shards


def _numbered(stem: str, variant: str | None, names: Collection[str], where: str) -> list[str]:
    """The shards of a stem by their own numbers, when the index is not there."""
    totals: dict[int, set[str]] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match and match["stem"] == stem and (match["before"] or match["after"]) == variant:
            totals.setdefault(int(match["total"]), set()).add(name)
    if not totals:
        return []
    if len(totals) > 1:
        saves = ", ".join(f"{len(totals[total])} of {total}" for total in sorted(totals))
        raise IntegrityError(
            f"{where} has shards of several saves ({saves}) and no index",
            f"bring {stem}{INDEX}.json, or remove the shards that do not belong to the model",
        )
    total, found = totals.popitem()
    example = sorted(found)[0]
    wanted = [re.sub(r"-\d{5}-of-", f"-{number:05}-of-", example) for number in range(1, total + 1)]
    _require_there(wanted, found, f"the shards of {where} are incomplete: they need")
    return wanted


def _require_there(wanted: list[str], names: Collection[str], what: str) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise IntegrityError(
            f"{what} {', '.join(missing[:NAMED])}{more}, which does not exist",
            "bring the missing files, or download the checkpoint again",
        )


def _require_one_save(folder: Path, names: Collection[str], files: list[Path]) -> None:
    """Refuse `model.safetensors` beside an index of shards that hold other weights."""
    index = f"model{INDEX}.json"
    if [path.name for path in files] != ["model.safetensors"] or index not in names:
        return
    try:
        shards = _indexed(
            index, names, lambda n: read_regular(folder / n, LARGEST_JSON), str(folder)
        )
    except IntegrityError:
        return  # The index is of an earlier save; transformers does not look at it either.
    if shards != ["model.safetensors"] and _sampled(files) != _sampled(
        [folder / name for name in shards]
    ):
        raise IntegrityError(
            f"{folder} has model.safetensors and, by {index}, other weights in {len(shards)} "
            "shards: the folder holds two saved models",
            f"remove the one that is not meant: model.safetensors, or {index} with its shards",
        )


def _sampled(files: list[Path]) -> dict[str, tuple[object, ...]]:
    """For each tensor its type, its shape and its first bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in files:
        with path.open("rb") as file:
            for name, tensor in read_header(path).tensors.items():
                file.seek(tensor.start)
                start = file.read(min(SAMPLE, tensor.end - tensor.start))
                found[name] = (tensor.dtype, tensor.shape, start)
    return found


def _instead(names: Collection[str]) -> str:
    """What a folder without weights has in their place."""
    if any(name.startswith("adapter") and name.endswith(SUFFIX) for name in names):
        return "an adapter and no weights of a model"
    if any(name.startswith("consolidated") and name.endswith(SUFFIX) for name in names):
        return "only weights in their maker's own layout (consolidated.safetensors)"
    if any(name.endswith(".gguf") for name in names):
        return "only weights of llama.cpp (GGUF)"
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5")) for name in names):
        return "only pickled weights, which can run code when read"
    return "no weights"


def _is_index_of(name: str, weights: Collection[str]) -> bool:
    """Whether an index belongs to the weights that were chosen: those are shards of its stem."""
    stem = name.partition(".")[0]
    return INDEX in name and any(
        (match := SHARD.fullmatch(file)) and match["stem"] == stem for file in weights
    )


def _is_text(name: str) -> bool:
    return name.endswith(TEXT_FILES)


def _parent(path: PurePosixPath) -> str:
    return "" if path.parent == PurePosixPath() else str(path.parent)


def _reader(folder: str, read: Read | None) -> Read | None:
    if read is None:
        return None
    return lambda name: read(f"{folder}/{name}" if folder else name)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
