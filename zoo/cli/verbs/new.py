"""`zoo new`: a plugin to begin with, or the recipe of a checkpoint.

JSON: {path, files}. `files` are those that were written, relative to `path` where it is a folder. A
recipe is written with --to alone.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import options, output
from zoo.errors import UsageError

FORMATS = "torch,mlx,coreml"


@click.command(name="new")
@click.argument("kind", type=click.Choice(["plugin", "task", "format", "recipe"]))
@click.argument("name")
@click.option("--family", metavar="TYPE", help="The model type in transformers, such as llama.")
@click.option("--formats", metavar="LIST", default=FORMATS, show_default=True,
              help="The formats of a plugin.")  # fmt: skip
@click.option("--measure", is_flag=True,
              help="Make each build of a recipe, and set limits by its figures.")  # fmt: skip
@click.option("--to", type=click.Path(path_type=Path), metavar="PATH",
              help="The folder of the project, or the file of the recipe.")  # fmt: skip
@options.as_json
@options.quiet
def command(
    kind: str,
    name: str,
    family: str | None,
    formats: str,
    measure: bool,
    to: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Create a plugin project, or the recipe of a checkpoint.

    \b
    zoo new plugin NAME --family TYPE  a family of decoders, such as llama
    zoo new task NAME                  a task, with a first model of it
    zoo new format NAME                a format, with builds for every language model
    zoo new recipe ./checkpoint        or hf:owner/name: the recipe, on stdout

    A plugin is a complete small project: its tests pass as it is. Prints its folder.
    """
    if kind == "recipe":
        _recipe(name, family, measure, to, as_json, quiet)
        return
    from zoo.scaffold import project

    if measure:
        raise UsageError("--measure is for a recipe")
    target = to or Path(f"zoo-{name}")
    if kind == "plugin":
        if family is None:
            raise UsageError(
                "a plugin needs the family that it is for",
                f"zoo new plugin {name} --family llama",
            )
        wanted = [format.strip() for format in formats.split(",") if format.strip()]
        project.new_plugin(name, family, wanted or FORMATS.split(","), target)
    elif family is not None:
        raise UsageError(f"--family is for a plugin or a recipe, not for a {kind}")
    elif kind == "task":
        project.new_task(name, target)
    else:
        project.new_format(name, target)
    if as_json:
        made = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
        output.document({"path": str(target), "files": made})
        return
    output.tell(target)
    if not quiet:
        output.note(f"begin with: cd {target} && pip install -e '.[test]' && pytest")


def _recipe(
    name: str,
    family: str | None,
    measure: bool,
    to: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from zoo.cli.drawing import drawing
    from zoo.scaffold.describe import new_recipe

    if as_json and to is None:
        raise UsageError("a recipe is TOML, on stdout", "write it into a file with --to")
    if to is not None and to.exists():
        raise UsageError(f"{to} exists already", "choose another file with --to")
    with drawing(quiet) as listener:
        text = new_recipe(name, family, to, measure=measure, listener=listener)
    if to is None:
        output.tell(text.rstrip())
    else:
        to.write_text(text, encoding="utf-8")
        if as_json:
            output.document({"path": str(to), "files": [to.name]})
        else:
            output.tell(to)
