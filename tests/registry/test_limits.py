"""A build whose check failed is judged again when its limits change, and is not made again."""

from __future__ import annotations

import json

CODE = """
import zoo

class Echo(zoo.Model):
    def __init__(self, text):
        self.text = text

    def __call__(self, text):
        return self.text.format(text)

@zoo.hookimpl
def convert(source, workdir):
    with open(CALLS, "a") as calls:
        calls.write("c")
    (workdir / "voice.txt").write_text("{}")
    return workdir

@zoo.hookimpl
def optimize(converted, workdir):
    (workdir / "voice.txt").write_text("{}!")
    return workdir

@zoo.hookimpl
def run(artifact):
    return Echo((artifact / "voice.txt").read_text())
"""
TASK = """
import zoo

class Echoing(zoo.Task):
    title = "Echo"
    metrics = {"likeness": zoo.Metric("how alike both are", "at least")}

    def model(self):
        return zoo.Model

    def measure(self, inputs, source, build, scorer=None):
        with open(CALLS, "a") as calls:
            calls.write("m")
        with source() as one, build() as other:
            return {"likeness": len(one("hi")) / len(other("hi"))}

TASK = Echoing()
"""


def test_changed_limits_judge_a_failed_build_again(sandbox):
    calls = sandbox.folder / "calls"
    sandbox.echo(CODE.replace("CALLS", repr(str(calls))))
    package = sandbox.site / "zoo_echo"
    (package / "task.py").write_text(TASK.replace("CALLS", repr(str(calls))))
    recipe = package / "recipes" / "one.toml"
    (recipe.parent / "check.txt").write_text("hi")
    plain = recipe.read_text()

    def limit(least: float) -> None:
        recipe.write_text(
            f'{plain}\n[check]\ninputs = ["check.txt"]\nlimits = {{ likeness = {least} }}\n'
        )

    def shown() -> dict:
        builds = json.loads(sandbox.zoo("show", "echo", "--json").stdout)["builds"]
        return next(build for build in builds if build["name"] == "plain-loud")

    limit(0.9)
    failed = sandbox.zoo("run", "echo:one/plain-loud", "hi")
    assert failed.returncode == 1
    assert "likeness is 0.6667, must be at least 0.9" in failed.stderr
    made = calls.read_text()
    assert (shown()["installed"], shown()["check"]["status"]) == (False, "failed")
    assert "failed" in sandbox.zoo("show", "echo").stdout

    assert sandbox.zoo("run", "echo:one/plain-loud", "hi").returncode == 1
    limit(0.8)
    assert sandbox.zoo("check", "echo:one/plain-loud").returncode == 1
    limit(0.5)
    assert sandbox.zoo("run", "echo:one/plain-loud", "hi").stdout == "hi!\n"
    assert (shown()["installed"], shown()["check"]["status"]) == (True, "passed")
    limit(0.7)
    assert sandbox.zoo("check", "echo:one/plain-loud").returncode == 1
    limit(0.6)
    assert sandbox.zoo("check", "echo:one/plain-loud").returncode == 0
    assert calls.read_text() == made, "nothing was made or measured again"

    assert sandbox.zoo("check", "echo:one/plain-loud").returncode == 0
    assert calls.read_text() == made + "m", "asked again, it measures"
    (recipe.parent / "check.txt").write_text("something else")
    limit(0.55)
    assert sandbox.zoo("check", "echo:one/plain-loud").returncode == 0
    assert calls.read_text() == made + "mm", "another input is measured"
