"""The folder of a build for an app: its resources, a description, and examples to test with.

    DIR/Resources/    the files that the app reads, by the names that runtimes expect
    DIR/zoo.json      what the model is, where it comes from, and every file with its SHA-256
    DIR/examples/     inputs of the check, for those of the examples that are files
    DIR/README.md     how to load it

The examples in `zoo.json` are inputs of the check with the outputs of this build, which the code of
an app can be tested with: greedy text, a transcript, an image.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.catalogs.formats import format_of
from zoo.catalogs.licenses import license_of
from zoo.catalogs.pairs import usable
from zoo.catalogs.recipe import Recipe
from zoo.errors import IntegrityError, NotFound, UsageError
from zoo.files import room, system
from zoo.files.digests import sha256, unique
from zoo.files.safe_folder import SafeFolder
from zoo.store.artifacts import Artifact
from zoo.store.reports import CHECK, Reports

RESOURCES, EXAMPLES = "Resources", "examples"


def app_formats(recipe: Recipe) -> list[str]:
    """The formats of a recipe that are for apps and installed, a Mac's first choice first."""
    found = [name for name in recipe.formats if _is_for_apps(recipe, name)]
    installed = [name for name in found if usable(recipe.family, name)]
    return sorted(installed or found, key=lambda name: format_of(name).apple_rank)


def app_format(recipe: Recipe, build: str | None, format: str | None) -> str | None:
    """The format to look for a build in: that of a Mac's first choice, unless something is named.

    Raises:
        UsageError: the builds in it are not for apps, and which formats are.
    """
    if build is None and format is None:
        format = next(iter(app_formats(recipe)), None)
    chosen = recipe.build[build].format if build in recipe.build else format
    if chosen is not None and _is_for_apps(recipe, chosen):
        return format
    others = app_formats(recipe)
    which = f"builds of '{recipe.ref}' in the format '{chosen}' are" if chosen else "its builds are"
    raise UsageError(
        f"{which} not for apps",
        f"choose another: --format {others[0]}" if others else None,
        in_python=f'choose another: format="{others[0]}"' if others else None,
    )


def _is_for_apps(recipe: Recipe, format: str) -> bool:
    return bool(format_of(format).app_notes(recipe))


def require_new(dest: Path) -> None:
    """Refuse a folder that exists or cannot be created.

    Raises:
        UsageError: `dest` exists.
        NotFound: the folder that it would be in is not there.
    """
    dest = dest.absolute()
    if os.path.lexists(dest):
        raise UsageError(f"'{dest}' exists already", "name a new folder with --to")
    if not dest.parent.is_dir():
        raise NotFound(f"there is no folder '{dest.parent}'", "create it first")


def write_app(recipe: Recipe, artifact: Artifact, reports: Reports, dest: Path) -> dict[str, Any]:
    """Write the folder, whole or not at all.

    Args:
        recipe: the recipe of the build.
        artifact: the build.
        reports: those of the store, with the examples of its check.
        dest: the folder to make.

    Returns: what `zoo.json` says.

    Raises:
        UsageError, NotFound: as for `require_new`.
        IntegrityError: a file of the build is not what the store recorded.
        NoRoom: the disk cannot hold it.
    """
    dest = dest.absolute()
    require_new(dest)
    room.require(dest.parent, {"the app's files": artifact.manifest.size}, f"'{dest}'", "free some")
    draft = dest.parent / f".zoo-app.{unique()}"
    try:
        resources = draft / RESOURCES
        resources.mkdir(parents=True)
        files = _copy_files(recipe, artifact, resources)
        described = _described(recipe, artifact, files)
        described["examples"] = _examples(recipe, reports, artifact.manifest.key, draft)
        text = json.dumps(described, indent=2, ensure_ascii=False)
        (draft / "zoo.json").write_text(text + "\n", encoding="utf-8")
        (draft / "README.md").write_text(_readme(recipe, described), encoding="utf-8")
        os.rename(draft, dest)
    except OSError as error:
        raise system.explain(error) from error
    finally:
        if os.path.lexists(draft):
            SafeFolder(dest.parent).remove(draft.name)
    return described


def _copy_files(recipe: Recipe, artifact: Artifact, folder: Path) -> list[dict[str, Any]]:
    made = artifact.manifest
    stored = {file.path: file for file in made.files}
    names = format_of(made.format or "").app_files(recipe, tuple(stored))
    copied = []
    for path, name in sorted(names.items(), key=lambda pair: pair[1]):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path / path, target)
        if sha256(target) != stored[path].sha256:
            raise IntegrityError(
                f"'{path}' of {made.key} is not what was stored",
                f"repair it: zoo verify --repair {made.key}",
            )
        copied.append({"path": name, "size": stored[path].size, "sha256": stored[path].sha256})
    return copied


def _described(recipe: Recipe, artifact: Artifact, files: list[dict[str, Any]]) -> dict[str, Any]:
    made, license, source = artifact.manifest, license_of(recipe.license), recipe.source
    build = recipe.build[made.build or ""]
    return {
        "ref": recipe.ref,
        "build": made.build,
        "format": made.format,
        "key": made.key,
        "title": recipe.title,
        "task": recipe.task,
        "family": recipe.family,
        "license": recipe.license,
        "license_url": license.url or None,
        "source": source.repo or source.folder or source.url,
        "revision": source.revision,
        "minimum_os": build.minimum_os,
        "context": recipe.context,
        "chat": recipe.chat,
        "languages": list(recipe.languages),
        "defaults": dict(recipe.defaults),
        "adapters": list(recipe.adapter),
        "figures": (made.check or {}).get("metrics") or {},
        "files": files,
    }


def _examples(recipe: Recipe, reports: Reports, key: str, draft: Path) -> list[dict[str, str]]:
    """The examples of the check, whose files are copied."""
    found = (reports.read(key, CHECK) or {}).get("examples")
    listed: list[dict[str, str]] = []
    for example in found if isinstance(found, list) else ():
        entry = {"adapter": str(example["adapter"]), "input": str(example["input"])}
        if (recipe.home / entry["input"]).is_file():
            data = (recipe.home / entry["input"]).read_bytes()
            entry["input"] = _kept(draft, PurePosixPath(entry["input"]).name, data)
        if example.get("output"):
            entry["output"] = str(example["output"])
        if image := reports.file(key, str(example.get("image", ""))) if "image" in example else b"":
            entry["image"] = _kept(draft, str(example["image"]), image)
        listed.append(entry)
    return listed


def _kept(draft: Path, name: str, data: bytes) -> str:
    folder = draft / EXAMPLES
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return f"{EXAMPLES}/{name}"


def _readme(recipe: Recipe, described: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in described["figures"].items())
    lines = [
        f"# {recipe.title}",
        f"{recipe.summary}. Made by zoo from {described['source']} as "
        f"`{described['ref']}/{described['build']}`.",
        f"- License: {recipe.license}. Ship its text with the app.",
        f"- Minimum system: {described['minimum_os'] or 'any that runs the format'}.",
        f"- Check: {figures or 'not run'}.",
        "- `Resources/` has the files to add to the app; `zoo.json` has their hashes, and inputs "
        "with the outputs of this build to test the app with.",
        format_of(str(described["format"])).app_notes(recipe),
    ]
    return "\n\n".join(lines) + "\n"
