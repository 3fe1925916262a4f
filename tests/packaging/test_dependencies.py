"""Every package that zoo imports itself is declared, where it is imported and as it is needed."""

import ast
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "google": "protobuf",
    "huggingface_hub": "huggingface-hub",
    "mlx_lm": "mlx-lm",
    "model_signing": "model-signing",
}
"""Where a package is called otherwise than the module that it brings."""

DUCKS = {"zoo/tasks/speech/audio.py": {"mlx", "torch"}}
"""Modules that know arrays of a package, and import it only where there is one already."""


def names(requirements: list[str]) -> set[str]:
    """The packages of a list of requirements, those of the extras that it names among them."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        if name == PROJECT["name"]:
            for extra in extras.split(","):
                found |= names(PROJECT["optional-dependencies"][extra])
        else:
            found.add(name)
    return found


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(given) for extra, given in PROJECT["optional-dependencies"].items()}
FOR_USERS = set().union(*(given for extra, given in EXTRAS.items() if extra != "dev"))


def imports(path: Path) -> set[str]:
    """The packages, by the names that they have on PyPI, that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    tops = {name.partition(".")[0] for name in found} - sys.stdlib_module_names
    return {DISTRIBUTIONS.get(t, t) for t in tops if t != "zoo" and not t.startswith("zoo_")}


def undeclared(folder: Path, declared: set[str]) -> dict[str, set[str]]:
    found = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if left := imports(path) - declared - DUCKS.get(name, set()):
            found[name] = left
    return found


OURS = [path.parent for path in ROOT.glob("plugins/*/__init__.py")]
"""The plugins in zoo's own distribution; others have a pyproject.toml and tests of their own."""


@pytest.mark.parametrize("folder", ["zoo", *(f"plugins/{path.name}" for path in OURS)])
def test_what_is_imported_is_declared(folder: str) -> None:
    assert undeclared(ROOT / folder, BASE | FOR_USERS) == {}


@pytest.mark.parametrize("part", ["catalogs", "cli", "files", "hub", "pipeline", "site"])
def test_the_core_needs_no_extra(part: str) -> None:
    assert undeclared(ROOT / "zoo" / part, BASE) == {}


def test_the_test_kit_needs_its_own_extra_alone() -> None:
    assert undeclared(ROOT / "zoo" / "testing", BASE | EXTRAS["testing"]) == {}


@pytest.mark.parametrize("name", ["coreml", "mlx", "torch"])
def test_a_format_needs_its_own_runtime_alone(name: str) -> None:
    """Language models are run by their format, with what text needs besides."""
    own = BASE | EXTRAS[f"{name}only"] | EXTRAS["text"]
    assert undeclared(ROOT / "zoo" / "formats" / name, own) == {}


@pytest.mark.parametrize(
    ("task", "extra"), [("text", "text"), ("speech", "speech"), ("pictures", "diffusion")]
)
def test_a_task_needs_its_own_extra_alone(task: str, extra: str) -> None:
    assert undeclared(ROOT / "zoo" / "tasks" / task, BASE | EXTRAS[extra]) == {}


ENTRIES = {
    name: re.fullmatch(r"([\w.]+) \[([\w,-]+)\]", value).groups()
    for name, value in PROJECT["entry-points"]["zoo.families"].items()
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_family_needs_the_extras_of_its_entry_point_alone(name: str) -> None:
    module, extras = ENTRIES[name]
    path = ROOT.joinpath("plugins", *module.split(".")).with_suffix(".py")
    declared = BASE.union(*(EXTRAS[extra] for extra in extras.split(",")))
    wanted = imports(path)
    if path.parent.name == name.partition(".")[2]:
        wanted = wanted.union(*map(imports, path.parent.glob("*.py")))
    assert wanted - declared == set()


@pytest.mark.parametrize("extra", ["coreml", "mlx", "torch"])
def test_an_extra_of_a_format_runs_every_family_in_it_and_its_reference(extra: str) -> None:
    """On every system: nothing that a Mac needs is left to other systems (and the reverse)."""
    for name, (_, extras) in ENTRIES.items():
        if name.endswith(f".{extra}"):
            assert EXTRAS[extra] >= set().union(*(EXTRAS[e] for e in extras.split(",")))
    assert EXTRAS[extra] >= EXTRAS["torchonly"], "builds are checked against PyTorch"
    marked = [r for r in PROJECT["optional-dependencies"]["coremlonly"] if ";" in r]
    assert marked == []


PRIVATE_PARTS = {
    "zoo/formats/coreml/compat.py": "coremltools==",
    "zoo/hub/xet.py": "huggingface-hub>=",
}


def test_private_parts_of_packages_are_used_in_two_bounded_modules() -> None:
    """Names with an underscore, imported from others, may change in any release."""
    found = set()
    for path in chain.from_iterable(tree.rglob("*.py") for tree in (ROOT / "zoo", *OURS)):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or str(node.module).startswith("zoo"):
                continue
            parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
            if any(p.startswith("_") and not p.startswith("__") for p in parts):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == set(PRIVATE_PARTS)
    extras = PROJECT["optional-dependencies"].values()
    declared = [*PROJECT["dependencies"], *chain.from_iterable(extras)]
    for start in PRIVATE_PARTS.values():
        (bound,) = {d for d in declared if d.startswith(start)}
        assert "<" in bound or "==" in bound
