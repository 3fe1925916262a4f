"""The commands that a page offers to copy: for the shell, for Python and for Swift."""

from __future__ import annotations

from typing import NamedTuple

from zoo.catalogs.formats import format_of
from zoo.catalogs.recipe import Recipe
from zoo.tasks.task import Task

PACKAGE = ".mlpackage"

PYTHON = """import zoo

model = zoo.load("{ref}")
{example}"""

SWIFT = """import CoreML

// zoo app {ref}/{build} --to App
let package = URL(filePath: "App/Resources/model.mlpackage")
let compiled = try await MLModel.compileModel(at: package)
let model = try await MLModel.load(contentsOf: compiled, configuration: .init())
print(model.modelDescription)"""


class Commands(NamedTuple):
    """What a person types to use a model; `swift` is empty where no build is for Core ML."""

    shell: str
    python: str
    swift: str


def commands(ref: str, recipe: Recipe, task: Task) -> Commands:
    """The commands for a model.

    Args:
        ref: its reference.
        recipe: its recipe, which names builds and adapters.
        task: says how a model of the task is called.
    """
    run = f"zoo run {ref} {task.example}"
    shell = [run]
    shell += [f"{run} --adapter {name}" for name in list(recipe.adapter)[:1]]
    packaged = [n for n, b in recipe.build.items() if PACKAGE in format_of(b.format).packages]
    small = next((n for n in packaged if recipe.build[n].optimize), next(iter(packaged), ""))
    if small:
        shell.append(f"zoo build {ref}/{small}")
    return Commands(
        shell="\n".join(shell),
        python=PYTHON.format(ref=ref, example=task.python_example),
        swift=SWIFT.format(ref=ref, build=small) if small else "",
    )
