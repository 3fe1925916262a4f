"""Plugins: found without importing them, loaded alone, and named when they are at fault."""

from __future__ import annotations

import json
import signal
import time

import pytest

from zoo.testing.plugins import install_plugin

HOOK = "import zoo\n@zoo.hookimpl\n"
SLOW = """
import pathlib, time, zoo

@zoo.hookimpl
def convert(workdir):
    (workdir / "half").write_text("x")
    if not pathlib.Path(FLAG).exists():
        pathlib.Path(FLAG).touch()
        time.sleep(60)
    return workdir
"""
COUNTED = """
import zoo

@zoo.hookimpl
def convert(workdir):
    with open(CALLS, "a") as calls:
        calls.write("x")
    (workdir / "voice.txt").write_text("{}")
    return workdir
"""


def refused(sandbox, code, *args):
    """Building echo with these hooks fails and leaves nothing behind."""
    sandbox.echo(code)
    result = sandbox.zoo("build", "echo", *args)
    assert "Traceback" not in result.stderr
    assert [p for p in sandbox.artifacts() if "source" not in p.name] == []
    assert list((sandbox.home / "work").glob("*")) == []
    assert sandbox.zoo("verify").returncode == 0
    return result


def test_a_strangers_family_goes_through_every_step(sandbox):
    sandbox.echo()
    code = "import zoo; m = zoo.load({!r}); print(m.ref, m.build, m('hello'))"
    assert sandbox.python(code.format("echo")).stdout == "echo/echo:one plain hello\n"
    assert sandbox.python(code.format("parrot:one/plain-loud")).stdout == (
        "echo/echo:one plain-loud hello!!\n"
    )
    assert len(sandbox.artifacts()) == 4  # source, converted, and two builds


def test_finished_steps_are_not_done_again(sandbox):
    sandbox.echo()
    sandbox.zoo("build", "echo:one/plain-loud")
    before = [(p.name, p.stat().st_mtime_ns) for p in sandbox.artifacts()]
    assert sandbox.zoo("build", "echo:one/plain-loud").returncode == 0
    assert [(p.name, p.stat().st_mtime_ns) for p in sandbox.artifacts()] == before


def test_a_plugin_that_cannot_be_imported_breaks_only_itself(sandbox):
    sandbox.echo("raise RuntimeError('no\\nluck')")
    result = sandbox.zoo("build", "echo")
    assert result.returncode == 8
    assert "'echo.plain' of zoo-echo 0.3 cannot be loaded: RuntimeError: no luck" in result.stderr
    assert "pip uninstall zoo-echo" in result.stderr
    for verb in (["list"], ["plugins"], ["--version"], ["plan", "mistral:mini"], ["show", "echo"]):
        assert sandbox.zoo(*verb).returncode == 0, verb


def test_a_plugin_that_exits_does_not_end_zoo(sandbox):
    result = refused(sandbox, "import sys; sys.exit(0)")
    assert result.returncode == 8
    assert "SystemExit" in result.stderr


def test_listing_never_imports_a_plugin(sandbox):
    sandbox.echo("import pathlib; pathlib.Path('imported').touch()")
    for verb in (["list"], ["show", "echo"], ["plan", "echo"], ["plugins"], ["ls"], ["verify"]):
        assert sandbox.zoo(*verb, cwd=sandbox.folder).returncode == 0, verb
    assert not (sandbox.folder / "imported").exists()


def test_two_distributions_with_the_same_family_are_both_named(sandbox):
    sandbox.echo()
    groups = {"zoo.families": {"echo.plain": "zoo_other"}}
    install_plugin(sandbox.site, "zoo-other", {"zoo_other.py": ""}, groups, version="2.0")
    result = sandbox.zoo("build", "echo")
    assert result.returncode == 8
    assert "zoo-echo 0.3" in result.stderr
    assert "zoo-other 2.0" in result.stderr
    status = json.loads(sandbox.zoo("plugins", "--json").stdout)
    assert "conflict" in json.dumps(status)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def convertt(source): return source", "'convertt', which is not a hook, did you mean 'convert'"),
        ("def convert(sauce): return sauce", "takes 'sauce', which the hook does not offer, did you mean 'source'"),
        ("def convert(source: str): return source", "declares 'source' as str, but the hook passes Path"),
    ],
)  # fmt: skip
def test_a_wrong_hook_is_refused_at_load(sandbox, code, words):
    result = refused(sandbox, HOOK + code)
    assert result.returncode == 8
    assert words in result.stderr
    assert "zoo-echo 0.3" in result.stderr


def test_a_module_without_hooks_is_refused(sandbox):
    result = refused(sandbox, "def convert(source): return source")
    assert result.returncode == 8
    assert "has no hooks" in result.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def convert(): raise ValueError('bad\\nweights')", "convert of 'echo/echo:one' failed in zoo-echo 0.3: ValueError: bad weights"),
        ("def convert(): return 'here'", "returned 'here', which is not a folder"),
        ("def convert(workdir): return workdir / 'none'", "which is not a folder"),
        ("def convert(workdir): return workdir.parent.parent", "neither below its work folder"),
        ("def convert(): raise zoo.InputError('weights of the wrong kind')", "weights of the wrong kind"),
    ],
)  # fmt: skip
def test_a_step_that_fails_names_itself_and_publishes_nothing(sandbox, code, words):
    result = refused(sandbox, HOOK + code)
    assert result.returncode == (2 if "InputError" in code else 8)
    assert words in result.stderr


def test_run_must_return_a_model(sandbox):
    sandbox.echo(HOOK + "def run(): return 7")
    result = sandbox.python("import zoo; zoo.load('echo')")
    assert "returned 7, which is not a zoo.Model" in result.stderr


def test_an_unknown_pass_is_refused_by_the_format(sandbox):
    sandbox.echo()
    recipe = sandbox.site / "zoo_echo" / "recipes" / "one.toml"
    recipe.write_text(recipe.read_text().replace('"loud"', '"quiet"'))
    result = sandbox.zoo("build", "echo:one/plain-loud")
    assert result.returncode == 2
    assert "'loud', not 'quiet'" in result.stderr


def test_a_missing_extra_is_named_with_its_cure(sandbox):
    value = "zoo_echo.plain [gpu]"
    sandbox.echo(value=value, requires=("warp-drive; extra == 'gpu'",))
    result = sandbox.zoo("build", "echo")
    assert result.returncode == 8
    assert "needs warp-drive, which is not installed" in result.stderr
    assert "pip install 'zoo-echo[gpu]'" in result.stderr
    assert "warp-drive" in sandbox.zoo("plan", "echo", "--json").stdout
    assert sandbox.zoo("pull", "echo").returncode == 0


def test_a_full_disk_ends_in_one_sentence(sandbox):
    result = refused(sandbox, HOOK + "def convert(): open('/dev/full', 'w').write('x' * 99999)")
    assert result.returncode == 6
    assert "echo/echo:one': the disk is full" in result.stderr
    assert "zoo prune" in result.stderr


@pytest.mark.parametrize(("blow", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_build_leaves_a_store_that_goes_on(sandbox, blow, code):
    flag = sandbox.folder / "flag"
    sandbox.echo(SLOW.replace("FLAG", repr(str(flag))))
    process = sandbox.start("build", "echo")
    for _ in range(1200):
        if flag.exists():
            break
        time.sleep(0.05)
    process.send_signal(blow)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert sandbox.zoo("verify").returncode == 0
    assert sandbox.zoo("build", "echo").returncode == 0
    assert list((sandbox.home / "work").glob("*")) == []


def test_many_processes_build_once(sandbox):
    sandbox.echo(COUNTED.replace("CALLS", repr(str(sandbox.folder / "calls"))))
    processes = [sandbox.start("build", "echo") for _ in range(4)]
    assert [p.wait(60) for p in processes] == [0, 0, 0, 0]
    assert (sandbox.folder / "calls").read_text() == "x"
