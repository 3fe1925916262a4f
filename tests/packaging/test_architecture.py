"""What holds the structure together: public faces, what plugins import, modules that stand alone."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACES = (
    "zoo.decoders",
    "zoo.tasks",
    "zoo.formats",
    "zoo.formats.coreml",
    "zoo.formats.coreml.execute",
    "zoo.formats.coreml.package",
    "zoo.formats.mlx",
    "zoo.formats.torch",
)
FOR_PLUGINS = {
    "zoo",
    "zoo.audio",
    "zoo.decoders",
    "zoo.images",
    "zoo.tasks",
    "zoo.testing",
    "zoo.formats",
    "zoo.formats.coreml",
    "zoo.formats.mlx",
    "zoo.formats.torch",
}
HEAVY = {"PIL", "coremltools", "diffusers", "huggingface_hub", "mlx", "numpy", "torch"}


def source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def for_type_checkers(module: str) -> dict[str, str]:
    """What a face imports under TYPE_CHECKING: names, and the modules that they are of."""
    (block,) = (
        node
        for node in ast.parse(source(module).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{module} must say 'as {alias.name}'"
            found[alias.name] = str(node.module)
    return found


def documented(module: str, name: str) -> str | None:
    """The docstring of a class, function or constant, as its own source has it."""
    body = ast.parse(source(module).read_text()).body
    for number, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
        targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            after = body[number + 1] if number + 1 < len(body) else None
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                return str(after.value.value)
    return None


@pytest.mark.parametrize("face", FACES)
def test_a_face_lists_its_names_the_same_for_people_checkers_and_python(face: str) -> None:
    module, checked = import_module(face), for_type_checkers(face)
    assert sorted(checked) == sorted(module.__all__) == dir(module)
    for name, home in checked.items():
        assert getattr(module, name) is getattr(import_module(home), name)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = module.nothing_of_the_kind


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_has_a_docstring(face: str) -> None:
    bare = [n for n, home in for_type_checkers(face).items() if not documented(home, n)]
    assert not bare


@pytest.mark.parametrize("face", FACES)
def test_public_functions_and_methods_say_what_they_raise_and_are_given(face: str) -> None:
    """Each has a docstring, and one that is given several things names every one of them."""
    faults = []
    for name, home in for_type_checkers(face).items():
        for node in ast.parse(source(home).read_text()).body:
            if getattr(node, "name", None) != name:
                continue
            if isinstance(node, ast.FunctionDef):
                faults += missing(f"{home}.{name}", node)
            elif isinstance(node, ast.ClassDef):
                inherited = {
                    m for base in getattr(import_module(home), name).__mro__[1:] for m in vars(base)
                }
                for method in node.body:
                    public = isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
                    if public and method.name not in inherited and not ast.get_docstring(method):
                        faults.append(f"{home}.{name}.{method.name} has no docstring")
    assert not faults


def missing(where: str, node: ast.FunctionDef) -> list[str]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    text = ast.get_docstring(node) or ""
    if len(given) < 3:
        return []
    return [f"{where} does not say what '{a.arg}' is" for a in given if a.arg not in text]


def test_a_face_imports_nothing_heavy() -> None:
    code = f"import sys, json, {', '.join(FACES)}; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(out.stdout)}
    assert not loaded & HEAVY


def imported(path: Path) -> set[str]:
    """The modules of zoo that a file imports, also within its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] == "zoo"}


def test_plugins_import_public_faces_alone() -> None:
    files = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("tests/plugins/**/*.py")]
    assert len(files) > 40
    private = {str(f.relative_to(ROOT)): imported(f) - FOR_PLUGINS for f in files}
    assert not {name: modules for name, modules in private.items() if modules}


ALONE = """
import contextlib, gc, importlib, sys, traceback

for name in sys.argv[1:]:  # what others wrote is imported once: only ours are to be first
    with contextlib.suppress(BaseException):
        importlib.import_module(name)
gc.disable()
for name in sys.argv[1:]:
    for ours in [known for known in sys.modules if known.startswith("zoo")]:
        del sys.modules[ours]
    try:
        importlib.import_module(name)
    except BaseException:
        print(name, traceback.format_exc().splitlines()[-1])
"""


@pytest.mark.long
def test_every_module_can_be_imported_alone_and_first() -> None:
    ours = ROOT.glob("plugins/*/__init__.py")  # others are distributions of their own
    trees = (("zoo", ROOT), *((p.parent.name, ROOT / "plugins") for p in ours))
    names = [
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for name, root in trees
        for path in sorted((root / name).rglob("*.py"))
    ]
    assert len(names) > 150
    run = [sys.executable, "-c", ALONE, *names]
    out = subprocess.run(run, capture_output=True, text=True, check=True)
    assert out.stdout == ""
