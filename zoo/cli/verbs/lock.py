"""`zoo lock`: a project's models, pinned in a file that goes with the project.

JSON: {file, models: [{ref, build}]}. `build` is null where the source alone is locked.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo import api, machine
from zoo.catalogs.pins import Lock, lock_name
from zoo.cli import options, output
from zoo.errors import UsageError


@click.command(name="lock")
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=options.completed("names")
)
@click.option(
    "--file", "path", type=click.Path(path_type=Path), default=Path("zoo.lock"), show_default=True,
    help="The lock file of the project.",
)  # fmt: skip
@options.as_json
def command(names: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Pin models in a lock file of the project; zoo sync reproduces them elsewhere.

    A NAME with a build, such as mistral:mini/mlx-4bit, locks the build too. Commits and hashes are
    those of the recipe and of what was pulled here; nothing is asked of the network.
    """
    known = Lock(machine.lock_file()).entries()
    models, sources = {}, {}
    for name in names:
        recipe, build = api.resolve(name)
        models[recipe.ref] = build or ""
        for source in (*recipe.sources, *recipe.adapter.values()):
            if source.repo is None:
                continue
            if source.revision is None:
                raise UsageError(
                    f"'{recipe.ref}' has a source without a commit, {source.repo}",
                    f"pull it once, which pins it: zoo pull {recipe.ref}",
                )
            key = lock_name(source)
            files = [asdict(file) for file in source.files if file.sha256]
            sources[key] = known.get(key) or {"commit": source.revision, "files": files}
    Lock(path.absolute()).add_models(models, sources)
    if as_json:
        locked = [{"ref": ref, "build": build or None} for ref, build in models.items()]
        output.document({"file": str(path.absolute()), "models": locked})
    else:
        output.note(f"locked {', '.join(models)} in {path}")
