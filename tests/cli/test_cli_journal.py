"""`--verbose` and `--log`: what a command did, and when; and what is said on Windows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.world import Said

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \d+ (.*)")
BUILD = "mistral:mini/torch"


def lines_of(log: Path) -> list[str]:
    found = [LINE.fullmatch(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert all(found), "each line has the time and the process"
    return [line[1] for line in found if line]


def test_a_log_has_the_command_its_steps_and_its_end(
    zoo: Callable[..., Said], tmp_path: Path
) -> None:
    log = tmp_path / "zoo.log"
    said = zoo("--log", str(log), "build", BUILD)
    assert said.code == 0, said.err
    first, *steps, last = lines_of(log)
    assert first.endswith(f"zoo --log {log} build {BUILD}")
    assert any(re.match(r"download done in \d+\.\d s: mistral-mini-source-", s) for s in steps)
    assert any(re.match(r"convert done in \d+\.\d s: mistral-mini-torch-", s) for s in steps)
    assert last == "exit code 0"
    assert "done in" not in said.err, "a log says it in the terminal's place"


def test_a_log_is_appended_to_and_keeps_tracebacks_but_no_secrets(
    zoo: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "zoo.log"
    monkeypatch.setenv("ZOO_LOG", str(log))
    assert zoo("list", "--limit", "1").code == 0
    said = zoo("show", "nowhere")
    assert said.code == 3
    assert "Traceback" not in said.err
    url = "https://me:hunter2@host.invalid/acme.zip"
    assert zoo("catalog", "add", url).code != 0
    text = "\n".join(lines_of(log))
    assert text.count("exit code") == 3
    assert "Traceback" in text
    assert "no model is called 'nowhere'" in text
    assert "exit code 3" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("path", ["nowhere/zoo.log", "."])
def test_a_log_that_cannot_be_written_is_an_error(
    zoo: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = zoo("--log", path, "list")
    assert said.code == 2
    assert path in said.err
    assert not said.out


def test_verbose_says_what_each_step_took(zoo: Callable[..., Said]) -> None:
    said = zoo("build", BUILD, "-v")
    assert said.code == 0, said.err
    assert re.search(r"zoo: convert done in \d+\.\d s: mistral-mini-torch-", said.err)
    assert "zoo: convert done\n" not in said.err, "the end of a step is said once"
    again = zoo("build", BUILD, "--verbose")
    assert "zoo: build is done already: mistral-mini-torch-" in again.err
    quiet = zoo("build", BUILD)
    assert "already" not in quiet.err


def test_windows_is_refused_before_anything_is_imported() -> None:
    code = """
import sys
from zoo.cli.start import main

sys.platform = "win32"
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: zoo runs on macOS and Linux, not on Windows"
    assert "WSL" in done.stderr
    assert not done.stdout


def test_a_log_in_a_pipe_that_nobody_reads_is_not_waited_for(
    zoo: Callable[..., Said], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    said = zoo("--log", str(tmp_path / "pipe"), "list", "--limit", "1")
    assert said.code == 2
    assert f"the log file {tmp_path / 'pipe'} cannot be written" in said.err


def test_a_log_on_a_full_disk_is_said_once(sandbox) -> None:
    done = sandbox.zoo("--log", "/dev/full", "list", "--limit", "1")
    assert done.returncode == 0
    assert done.stderr.count("the log file cannot be written") == 1
    assert "Traceback" not in done.stderr


def test_a_log_of_arguments_that_are_no_text(sandbox, tmp_path: Path) -> None:
    log = tmp_path / os.fsdecode(b"\xff.log")
    done = sandbox.zoo("--log", str(log), "show", os.fsdecode(b"\xfe\x1b[31m"))
    assert done.returncode in (2, 3), done.stderr
    assert "unexpected" not in done.stderr
    assert "\\udcfe [31m" in log.read_text(encoding="utf-8")
