"""Plugins that are each wrong in one way: one sentence that names them, and nothing left behind."""

from __future__ import annotations

import json

import pytest

from zoo.testing.plugins import install_plugin

HOOK = "import os, sys, zoo\n@zoo.hookimpl\n"
RUN = """
class Echo(zoo.Model):
    def __call__(self, text):
        {}

@zoo.hookimpl
def run(artifact):
    return Echo()
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def convert(source, workdir):\n    (workdir / 'a').write_text('x')", "wrote 'a' and returned nothing; return the folder"),
        ("def convert(source, workdir):\n    (source / 'voice.txt').write_text('x')\n    return source", "it changed 'voice.txt' in"),
        ("def convert(source):\n    (source / 'more').write_text('x')\n    return source", "it wrote 'more' in"),
        ("def convert(source):\n    (source / 'voice.txt').unlink()\n    return source", "it removed 'voice.txt' in"),
        ("def convert(workdir):\n    (workdir.parent / 'stray').write_text('x')\n    return workdir", "it wrote 'stray' beside the folder"),
        ("def convert(workdir): return workdir", "left no files"),
        ("def convert(workdir):\n    os.mkfifo(workdir / 'pipe')\n    return workdir", "left 'pipe', which is not a regular file"),
        ("def convert(workdir):\n    (workdir / 'w.pkl').write_text('x')\n    return workdir", "left 'w.pkl', a pickle"),
        ("def convert(workdir):\n    (workdir / 'a').symlink_to('/nowhere')\n    return workdir", "left 'a', a link that leads nowhere"),
        ("def convert(): sys.exit(7)", "convert of 'echo/echo:one' failed in zoo-echo 0.3: SystemExit: 7"),
        ("def convert(): raise KeyboardInterrupt", "convert of 'echo/echo:one' failed in zoo-echo 0.3: KeyboardInterrupt"),
        ("def convert(): raise GeneratorExit('panic')", "failed in zoo-echo 0.3: GeneratorExit: panic"),
        ("def convert(tokens: dict[str, int]): pass", "takes 'tokens', which the hook does not offer"),
        ("def convert(source: 'str | None'): pass", "declares 'source' as None | str, but the hook passes Path"),
        ("def convert(): pass\ndef run(artifact): pass", "has a function 'run' that is not marked"),
        ("def cost(tokens: int): pass", "declares 'tokens' as int, but the hook passes None | int"),
    ],
)  # fmt: skip
def test_a_wrong_hook_is_named(sandbox, code, words):
    sandbox.echo(HOOK + code)
    voice = sandbox.site / "zoo_echo" / "recipes" / "model" / "voice.txt"
    before = voice.read_bytes()
    done = sandbox.zoo("build", "echo")
    assert done.returncode == 8, done.stderr
    assert words in done.stderr
    assert "zoo-echo 0.3" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [p for p in sandbox.artifacts() if "source" not in p.name]
    voice.write_bytes(before)


@pytest.mark.parametrize(
    "signature",
    [
        "source: os.PathLike, adapters: dict",
        "source: 'os.PathLike[str] | str', adapters: 'dict[str, object]'",
        "source: object, build: 'typing.Any'",
        "source: 'Folder'",
    ],
)
def test_a_wider_annotation_is_taken(sandbox, signature):
    code = f"import typing\ndef convert(workdir, {signature}):\n"
    code += "    (workdir / 'voice.txt').write_text('{}')\n    return workdir\n"
    sandbox.echo(
        "import os, typing, zoo\n" + code.replace("def convert", "@zoo.hookimpl\ndef convert")
    )
    assert sandbox.zoo("build", "echo").returncode == 0


@pytest.mark.parametrize(
    "annotation", ["int | None", "'typing.Optional[int]'", "typing.Optional[int]"]
)
def test_an_optional_argument_is_taken_however_it_is_spelled(sandbox, annotation):
    sandbox.echo(f"import typing, zoo\n@zoo.hookimpl\ndef cost(tokens: {annotation}): return 1\n")
    done = sandbox.zoo("plugins", "--check", "--json")
    statuses = {p["name"]: p["status"] for p in json.loads(done.stdout)["plugins"]}
    assert statuses["echo.plain"] == "ok"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('half way')", "the plugin 'echo.plain' of zoo-echo 0.3 failed: RuntimeError: half way"),
        ("sys.exit(0)", "the plugin 'echo.plain' of zoo-echo 0.3 failed: SystemExit: 0"),
        ("raise GeneratorExit()", "of zoo-echo 0.3 failed: GeneratorExit"),
        ("raise KeyboardInterrupt()", "of zoo-echo 0.3 failed: KeyboardInterrupt"),
    ],
)  # fmt: skip
def test_a_fault_after_load_names_the_plugin(sandbox, body, words):
    sandbox.echo("import sys, zoo\n" + RUN.format(body))
    done = sandbox.zoo("run", "echo", "hi")
    assert done.returncode == 8
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in sandbox.zoo("run", "echo", "hi", "--debug").stderr


@pytest.mark.parametrize("path", ["sys.path.clear()", "sys.path = ['/nowhere']"])
def test_a_plugin_takes_no_folder_from_the_import_path(sandbox, path):
    sandbox.echo(f"import sys, zoo\n{path}\n" + RUN.format(f"{path}\n        return text"))
    done = sandbox.zoo("run", "echo", "hi", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "hi"


def test_what_a_plugin_prints_is_not_in_the_output(sandbox):
    noise = "print('noise'); os.write(1, b'noise')"
    sandbox.echo(f"import os, zoo\n{noise}\n" + RUN.format(f"{noise}\n        return text"))
    done = sandbox.zoo("run", "echo", "hi", "--json")
    assert json.loads(done.stdout)["text"] == "hi"
    assert done.stderr.count("noise") == 4
    assert sandbox.zoo("run", "echo", "hi").stdout == "hi\n"


def test_a_class_is_made_an_object_of_hooks(sandbox):
    code = "import zoo\nclass Hooks:\n    @zoo.hookimpl\n    def run(self): return Echo()\n"
    code += "class Echo(zoo.Model):\n    def __call__(self, text): return text\n"
    sandbox.echo(code, value="zoo_echo.plain:Hooks")
    assert sandbox.zoo("run", "echo", "hi").stdout == "hi\n"
    sandbox.echo(code.replace("class Hooks:", "class Hooks:\n    def __init__(self, a): pass"),
                 value="zoo_echo.plain:Hooks")  # fmt: skip
    assert "cannot be made without arguments" in sandbox.zoo("run", "echo", "hi").stderr


DOWNLOAD = """
@zoo.hookimpl
def download(dest):
    {}
    return dest
"""


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("pass", 3, "what zoo-echo 0.3 brought of 'echo/echo:one' has no file 'voice.txt'"),
        ("(dest / 'voice.txt').write_text('other')", 5, "is not what the recipe pins: 'voice.txt' has"),
    ],
)  # fmt: skip
def test_what_a_download_brings_is_verified_before_it_is_published(sandbox, body, code, words):
    sandbox.echo("import zoo\n" + DOWNLOAD.format(body))
    done = sandbox.zoo("pull", "echo")
    assert done.returncode == code
    assert words in done.stderr
    assert sandbox.artifacts() == []


def test_a_plugin_for_another_zoo_says_so_before_anything_else(sandbox):
    sandbox.echo(HOOK + "def convertt(): pass", requires=("zoo-ml>=99",))
    done = sandbox.zoo("build", "echo")
    assert done.returncode == 8
    assert "zoo-echo 0.3 is made for zoo-ml>=99, and this is 0.1.0" in done.stderr
    assert "zoo-echo 0.3 is made for zoo-ml>=99" in sandbox.zoo("plugins", "--check").stdout


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        (
            ("zoo-ml[warp]", "warp-drive>=2"),
            "needs warp-drive, which is not installed",
        ),
        (("numpy>=99; extra == 'gpu'",), "'echo.plain' needs numpy>=99 ("),
    ],
)
def test_requirements_are_held_to_their_versions(sandbox, requires, words):
    sandbox.echo(value="zoo_echo.plain [gpu]", requires=requires)
    done = sandbox.zoo("build", "echo")
    assert done.returncode == 8
    assert words in done.stderr


def test_the_key_of_a_build_has_what_the_extras_of_zoo_bring(sandbox):
    sandbox.echo(requires=("zoo-ml[mlx]",))
    assert sandbox.zoo("build", "echo").returncode == 0
    manifest = next(p for p in sandbox.artifacts() if "source" not in p.name) / "manifest.json"
    tools = json.loads(manifest.read_text())["inputs"]["made_by"]["family"]["tools"]
    assert {"mlx", "mlx-lm", "numpy", "transformers"} <= set(tools)
    assert "zoo-ml" not in tools


def test_typos_in_entry_points_are_found(sandbox):
    groups = {
        "zoo.family": {"brk.plain": "zoo_brk"},
        "zoo.families": {"brk": "zoo_brk"},
        "zoo.catalogs": {"zoo": "zoo_brk:c.toml", "Acme": "zoo_brk:c.toml"},
    }
    install_plugin(sandbox.site, "zoo-brk", {"zoo_brk/__init__.py": ""}, groups)
    done = sandbox.zoo("plugins", "--check")
    assert done.returncode == 8
    assert (
        "group 'zoo.family', which zoo does not know, did you mean 'zoo.families'?" in done.stderr
    )
    assert "the family 'brk' of zoo-brk names no format" in done.stderr
    assert "the catalog 'zoo' of zoo-brk 0.1 has a name that is zoo's own" in done.stdout
    assert "the catalog 'Acme' of zoo-brk 0.1 has a name that is not in lower case" in done.stdout
    assert "mistral:mini" in sandbox.zoo("list").stdout


def test_check_reads_every_recipe_of_a_catalog(sandbox):
    sandbox.echo()
    recipe = sandbox.site / "zoo_echo" / "recipes" / "one.toml"
    recipe.write_text(recipe.read_text().replace("schema = 1", "schema = 2\nnew = 3"))
    done = sandbox.zoo("plugins", "--check")
    assert done.returncode == 8
    assert "this version of zoo reads schema 1, not 2" in done.stdout
    assert "unknown key" not in done.stdout


def test_a_name_that_may_be_of_a_broken_catalog_says_so(sandbox):
    sandbox.echo()
    (sandbox.site / "zoo_echo" / "catalog.toml").write_text("[")
    done = sandbox.zoo("run", "echo", "hi")
    assert done.returncode == 3
    assert "catalogs that cannot be read: echo: catalog" in done.stderr


def test_a_person_chooses_between_plugins(sandbox):
    sandbox.echo()
    groups = {"zoo.families": {"echo.plain": "zoo_other"}}
    code = "import zoo\n" + RUN.format("return 'other'")
    install_plugin(sandbox.site, "zoo-other", {"zoo_other.py": code}, groups)
    assert sandbox.zoo("run", "echo", "hi").returncode == 8
    off = {"env": {"ZOO_PLUGINS_OFF": "zoo_other"}}
    assert sandbox.zoo("run", "echo", "hi", **off).stdout == "hi\n"
    (sandbox.config / "plugins.toml").write_text('[prefer]\n"echo.plain" = "zoo-other"\n')
    assert sandbox.zoo("run", "echo", "hi").stdout == "other\n"
    plugins = json.loads(sandbox.zoo("plugins", "--json").stdout)["plugins"]
    echoes = {p["distribution"]: p["status"] for p in plugins if p["name"] == "echo.plain"}
    assert echoes == {"zoo-echo": "off", "zoo-other": "ok"}
    (sandbox.config / "plugins.toml").write_text("prefers = 3\n")
    assert "unknown key 'prefers'" in sandbox.zoo("doctor").stdout


def test_hooks_and_requirements_of_what_is_installed(sandbox):
    sandbox.echo()
    pairs = json.loads(sandbox.zoo("plugins", "--hooks", "--json").stdout)["pairs"]
    hooks = {pair["name"]: pair["hooks"] for pair in pairs}
    assert hooks["echo.plain"] == {
        "download": "zoo", "convert": "zoo-echo 0.3", "optimize": "zoo-echo 0.3",
        "run": "zoo-echo 0.3", "cost": None, "lint": None, "annotate": None,
    }  # fmt: skip
    assert "zoo-echo==0.3" in sandbox.zoo("plugins", "--freeze").stdout.splitlines()


def test_timing_names_what_is_heavy(sandbox):
    sandbox.echo("import numpy, zoo\n" + RUN.format("return text"))
    timed = sandbox.zoo("plugins", "--timing").stdout
    assert "imports numpy; import them inside functions" in timed
