"""Each kind of plugin that `zoo new` begins, and the ways to break it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conftest import Sandbox
from faults.zygote import Zygote

from zoo.testing import install_plugin


@dataclass(frozen=True)
class Plugin:
    """A plugin that `zoo new` began, installed by pip.

    Attributes:
        site: where it is installed.
        package: its package.
        hooks, toml: its module of hooks and its file of data, in the package.
        group, name, value: its entry point.
        ref: what it runs.
        method: the method of its models that does the work.
    """

    site: Path
    package: str
    hooks: str
    toml: str
    group: str
    name: str
    value: str
    ref: str
    method: str

    @property
    def distribution(self) -> str:
        return self.package.replace("_", "-")

    @property
    def info(self) -> Path:
        return self.site / f"{self.package}-0.1.dist-info"

    @property
    def file(self) -> str:
        return f"{self.package}/{self.hooks}"

    @property
    def data(self) -> str:
        return f"{self.package}/{self.toml}"

    @property
    def model(self) -> str:
        return self.ref.removesuffix("/half")

    @property
    def attribute(self) -> str:
        """What its entry point names in the module; empty for the module itself."""
        return self.value.partition(":")[2]

    def before(self, code: str) -> None:
        """Put code at the top of the module of hooks."""
        file = self.site / self.file
        file.write_text(f"{code}\n{file.read_text()}")

    def after(self, code: str) -> None:
        """Put code at the end of the module of hooks."""
        file = self.site / self.file
        file.write_text(f"{file.read_text()}\n{code}\n")

    def hook(self, code: str) -> None:
        """Have another hook, in place of the one of that name if there is one."""
        self.after(f"import types, zoo\n\n@zoo.hookimpl\n{code}")
        if self.attribute:
            self.after(
                f"{self.attribute} = types.ModuleType(__name__)\nvars({self.attribute}).update("
                "{k: v for k, v in globals().items() if hasattr(v, 'zoo_impl')})"
            )

    def model_method(self, name: str, code: str) -> None:
        """Have models with another method, which knows the one that it replaces as `whole`."""
        self.after(f"_run = {self.attribute + '.run' if self.attribute else 'run'}")
        takes = "artifact" if self.hooks == "model.py" else "recipe, artifact, adapters"
        self.hook(
            f"def run({takes}):\n    model = _run({takes})\n    whole = model.{name}\n"
            f"    def method(*given, **options):\n        {code}\n"
            f"    model.{name} = method\n    return model"
        )

    def entry(self, old: str, new: str) -> None:
        """Change the file of the entry points."""
        file = self.info / "entry_points.txt"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def requires(self, line: str) -> None:
        """Have another requirement."""
        file = self.info / "METADATA"
        text = file.read_text()
        file.write_text(text.replace("\nName: ", f"\nRequires-Dist: {line}\nName: ", 1))


def twin(plugin: Plugin) -> None:
    """Another distribution with the same entry point."""
    module = f"{plugin.package}_twin"
    groups = {plugin.group: {plugin.name: module}}
    install_plugin(plugin.site, f"{plugin.distribution}-twin", {f"{module}.py": ""}, groups)


@dataclass(frozen=True)
class Break:
    """A way to break a plugin.

    Attributes:
        how: what is done to the plugin.
        words: what the message has; fields of the plugin in braces.
        code: the exit code of running its model.
        found: whether `zoo plugins --check` finds it, without running anything.
        other: words and code for the kinds of plugins that end in another way.
    """

    how: Callable[[Plugin], object]
    words: str
    code: int = 8
    found: bool = True
    other: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def expected(self, kind: str, plugin: Plugin) -> tuple[str, int]:
        words, code = self.other.get(kind, (self.words, self.code))
        return words.format(p=plugin), code


UNLOADED = "the plugin '{p.name}' of {p.distribution} 0.1 cannot be loaded: "
FAILED = "run of '{p.model}' failed in {p.distribution} 0.1: "
LATER = "the plugin '{p.name}' of {p.distribution} 0.1 failed: "
NOBODY = "no installed plugin provides the family '{p.name}'"
NO_BUILD = ("'mistral:mini' has no build 'half'", 3)

BREAKS = {
    "module gone": Break(lambda p: (p.site / p.file).unlink(), UNLOADED),
    "syntax error": Break(lambda p: p.after("1 +"), UNLOADED + "SyntaxError"),
    "no text": Break(lambda p: (p.site / p.file).write_bytes(b"\xff\x00"), UNLOADED + "SyntaxError"),
    "import missing": Break(
        lambda p: p.before("import no_such"), UNLOADED + "ModuleNotFoundError: No module named 'no_such'"
    ),
    "exception at import": Break(lambda p: p.after("1 / 0"), UNLOADED + "ZeroDivisionError"),
    "exit at import": Break(lambda p: p.after("raise SystemExit(0)"), UNLOADED + "SystemExit: 0"),
    "noise at import": Break(lambda p: p.after("print('noise')"), "noise", 0, found=False),
    "strange argument": Break(
        lambda p: p.hook("def run(token): pass"), "takes 'token', which the hook does not offer"
    ),
    "wrong annotation": Break(
        lambda p: p.hook("def run(artifact: int): pass"),
        "'run' of {p.distribution} 0.1 declares 'artifact' as int, but the hook passes Path",
    ),
    "misspelt hook": Break(
        lambda p: p.hook("def runn(): pass"), "implements 'runn', which is not a hook, did you mean 'run'"
    ),
    "nothing returned": Break(
        lambda p: p.hook("def run(): pass"), FAILED + "returned nothing", found=False,
        other={"format": ("zoo-half 0.1 does not run the family 'mistral' in the format 'half'", 8)},
    ),
    "a number returned": Break(
        lambda p: p.hook("def run(): return 42"), FAILED + "returned 42, which is not a ", found=False
    ),
    "exception": Break(
        lambda p: p.hook("def run(): raise ValueError('boom')"), FAILED + "ValueError: boom", found=False
    ),
    "exit": Break(
        lambda p: p.hook("def run(): raise SystemExit(0)"), FAILED + "SystemExit: 0", found=False
    ),
    "build changed": Break(
        lambda p: p.hook("def run(artifact): (artifact / 'stray').write_text('x')"),
        FAILED + "it wrote 'stray' in", found=False,
    ),
    "exception after load": Break(
        lambda p: p.model_method(p.method, "raise RuntimeError('half way')"),
        LATER + "RuntimeError: half way", found=False,
    ),
    "exit after load": Break(
        lambda p: p.model_method(p.method, "raise SystemExit(0)"), LATER + "SystemExit: 0", found=False
    ),
    "wrong group": Break(
        lambda p: p.entry(f"[{p.group}]", f"[{p.group[:-1]}]"), NOBODY, other={"format": NO_BUILD}
    ),
    "wrong value": Break(lambda p: p.entry(p.value, "!!!"), NOBODY, other={"format": NO_BUILD}),
    "no such attribute": Break(
        lambda p: p.entry(p.value, p.value.partition(":")[0] + ":none"), UNLOADED + "AttributeError"
    ),
    "no hooks": Break(
        lambda p: p.entry(p.value, "pathlib:PurePath"),
        "the plugin '{p.name}' of {p.distribution} 0.1 has no hooks",
    ),
    "made for another zoo": Break(
        lambda p: p.requires("zoo-ml>=99"), "{p.distribution} 0.1 is made for zoo-ml>=99"
    ),
    "requirement missing": Break(
        lambda p: p.requires("warp-drive>=2"), "needs warp-drive, which is not installed", found=False
    ),
    "two for one": Break(twin, "'{p.name}' is provided by "),
    "data unreadable": Break(
        lambda p: (p.site / p.data).write_text("["), "{p.data} cannot be read",
        2, other={"format": ("{p.data} cannot be read", 3)},
    ),
    "data gone": Break(
        lambda p: (p.site / p.data).unlink(), "{p.data} does not exist",
        2, other={"format": ("{p.data} does not exist", 3)},
    ),
}  # fmt: skip


class World:
    """The three plugins in an environment with nothing else but the wheel, and what to ask of it.

    Args:
        sandbox: a home for zoo.
        python: of the environment, where pip has installed the plugins.
        site: its site-packages.
    """

    def __init__(self, sandbox: Sandbox, python: Path, site: Path) -> None:
        self.env = {k: v for k, v in sandbox.env.items() if k != "PYTHONPATH"}
        self.site, self.whole = site, sandbox.folder / "whole"
        self.plugins = {
            "task": Plugin(
                site, "zoo_sentence_embedding", "model.py", "catalog.toml", "zoo.families",
                "sentence-embedding.plain", "zoo_sentence_embedding.model",
                "sentence-embedding/vowels:plain", "embed",
            ),
            "format": Plugin(
                site, "zoo_half", "hooks.py", "builds.toml", "zoo.formats", "half",
                "zoo_half.hooks", "mistral:mini/half", "tokens",
            ),
            "plugin": Plugin(
                site, "zoo_acme", "__init__.py", "catalog.toml", "zoo.families",
                "llama.torch", "zoo_acme:torch", "acme/tiny:random", "tokens",
            ),
        }  # fmt: skip
        for folder in self._folders():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(folder, self.whole / folder.name, ignore=ignored)
        scratch = sandbox.folder / "scratch"
        scratch.mkdir()
        heavy = ("torch", "transformers.models.auto.modeling_auto", "zoo.formats.torch")
        self.zygote = Zygote(scratch, python, imports=heavy)

    def _folders(self) -> list[Path]:
        """What belongs to the plugins, and to what was installed to break them."""
        return [f for p in self.plugins.values() for f in self.site.glob(f"{p.package}*")]

    def restore(self) -> None:
        """Have every plugin whole again."""
        for path in self._folders():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.whole, self.site, dirs_exist_ok=True)

    def zoo(self, *args: str) -> tuple[int, str, str]:
        """Exit code, output and messages of a command."""
        said = self.zygote.run(*args, env=self.env)
        return said["code"], said["out"], said["err"]

    def run(self, ref: str) -> tuple[int, str, str]:
        few = () if ref.startswith("sentence-embedding") else ("--max-tokens", "2")
        return self.zoo("run", ref, "the sun is red", "--no-check", *few)
