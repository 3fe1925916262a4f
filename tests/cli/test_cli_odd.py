"""The command line in odd surroundings: closed and full streams, foreign folders, odd paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli import app, failures, output
from zoo.display.redaction import redacted

ZOO = str(Path(sys.executable).parent / "zoo")
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
EVIL = "\x1b]0;pwned\x07\x9b2J\u202eevil\u2066"


def shell(sandbox, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], env=sandbox.env, text=True, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("list >&-", {0}),
        ("list 2>&-", {0}),
        ("list >&- 2>&-", {0}),
        ("list > /dev/full", {6}),
        ("--help > /dev/full", {6}),
        ("doctor --json > /dev/full", {6}),
        ("show nope 2> /dev/full", {3}),
        ("run mistral:mini <&-", {2}),
        ("prune <&-", {0, 2}),
    ],
)
def test_streams_that_are_closed_or_full(sandbox, line: str, codes: set[int]) -> None:
    done = shell(sandbox, f"{ZOO} {line}")
    assert done.returncode in codes
    assert "unexpected" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_working_folder_that_is_gone(sandbox, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    for verb, code in (("list", 0), ("show ./x", 2), ("import x.tar", 3)):
        done = shell(sandbox, f"cd {gone}; rmdir {gone}; {ZOO} {verb}")
        gone.mkdir()
        assert done.returncode == code, done.stderr
        assert "unexpected" not in done.stderr


@pytest.mark.parametrize("variable", ["ZOO_HOME", "ZOO_CONFIG", "ZOO_LOCK"])
def test_a_path_in_the_environment_that_is_none(sandbox, variable: str) -> None:
    sandbox.env[variable] = "~nosuchuser/x"
    done = sandbox.zoo("plan", "mistral:mini")
    assert done.returncode == 2
    assert f"error: {variable} is '~nosuchuser/x'" in done.stderr


def test_an_interrupt_after_the_work_is_done_changes_nothing(sandbox) -> None:
    program = (
        "import atexit, os, signal, sys\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.argv = ['zoo', '--version']\n"
        "from zoo.cli.start import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=sandbox.env, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_while_the_program_starts(sandbox) -> None:
    """Ctrl-C at any of its first moments after Python itself has started is one line."""
    program = (
        "import os, signal, sys, threading, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from zoo.cli.start import main\n"
        "delay, sys.argv = float(sys.argv[1]), ['zoo', 'list']\n"
        "threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()\nmain()\n"
    )
    for delay in (0.01, 0.02, 0.03, 0.06):
        done = subprocess.run(
            [sys.executable, "-c", program, str(delay)],
            env=sandbox.env, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 130)


def test_an_interrupt_that_a_library_swallows(sandbox) -> None:
    """What goes wrong after Ctrl-C is not blamed on a plugin."""
    sandbox.echo(
        "import os, signal\nfrom zoo import hookimpl\n\n\n@hookimpl\ndef convert(recipe, source, workdir):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except BaseException:\n        raise AttributeError('half imported') from None\n"
    )
    done = sandbox.zoo("build", "echo:one")
    assert (done.returncode, done.stderr.count("error")) == (130, 0), done.stderr
    assert "interrupted" in done.stderr


def test_nothing_from_outside_steers_a_terminal(sandbox) -> None:
    recipe = f'schema = 1\ntitle = "T"\n{_toml(EVIL)} = {_toml(EVIL)}\n'
    (sandbox.config / "one.toml").write_text(recipe)
    (sandbox.config / "catalog.toml").write_text(
        'schema = 1\n[models.t]\ndefault = "one"\nvariants = { one = "one.toml" }\n'
    )
    for line in (("list",), ("show", "t"), ("doctor",), ("list", "--json"), ("doctor", "--json")):
        done = sandbox.zoo(*line)
        assert not STEERING.search(done.stdout + done.stderr), line


def _toml(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'


def test_a_document_is_read_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    data = {"name": EVIL + "\x7f\ud800 \U0001f600\U000e0001 é"}
    output.document(data)
    shown = capsys.readouterr().out
    assert json.loads(shown) == data
    assert not STEERING.search(shown)
    assert "é" in shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("at http://user:pw-SECRET@host/x", "pw-SECRET"),
        ("https://cdn.host/a?X-Amz-Signature=SECRET&Expires=1", "SECRET"),
        ("/cdn/a?Policy=SECRET", "SECRET"),
        ("{'authorization': 'Bearer SECRETtoken'}", "SECRETtoken"),
        ("the token hf_SECRETSECRET is bad", "hf_SECRETSECRET"),
        ("it said sesame-open", "sesame-open"),
    ],
)
def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, text: str, secret: str) -> None:
    monkeypatch.setenv("HF_TOKEN", "sesame-open")
    assert secret not in redacted(text)


def test_a_traceback_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("http://user:pw-SECRET@host: " + EVIL)

    monkeypatch.setattr("zoo.cli.verbs.list.open_catalog", fail)
    app.run(["--debug", "list"])
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "pw-SECRET" not in shown
    assert not STEERING.search(shown)


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(13, "Permission denied", "/x"), 1),
        (OSError(5, "Input/output error"), 1),
        (OSError(30, "Read-only file system", "/x"), 1),
        (OSError(24, "Too many open files", "/x"), 1),
        (OSError(28, "No space left on device"), 6),
        (OSError(27, "File too large", "/x"), 6),
        (IsADirectoryError(21, "Is a directory", "/x"), 1),
        (FileNotFoundError(2, "No such file or directory"), 2),
        (MemoryError(), 6),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    assert failures.tell(error) == code
    assert "unexpected" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [Unreadable(), SystemExit(0), GeneratorExit()])
def test_an_exception_of_any_kind_is_told(
    capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    assert failures.tell(error) == 1
    assert type(error).__name__ in capsys.readouterr().err


def test_a_message_of_megabytes_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    failures.tell(failures.ZooError("x" * 3_000_000))
    assert len(capsys.readouterr().err) < 3_000


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(0)", "import sys; sys.exit(3)", "raise BaseException('x')",
        "raise GeneratorExit", "raise RecursionError", "import os; raise OSError(5, 'I/O error')",
    ],
)  # fmt: skip
def test_whatever_a_hook_raises_is_that_plugins_fault(sandbox, code: str) -> None:
    sandbox.echo(plain=f"import zoo\n\n@zoo.hookimpl\ndef convert(source):\n    {code}\n")
    done = sandbox.zoo("build", "echo", "--no-check")
    assert done.returncode == (1 if "OSError" in code else 8), done.stderr
    assert "Traceback" not in done.stderr
    assert not list((sandbox.home / "work").glob("*"))


def test_a_warning_of_a_plugin_steers_no_terminal(sandbox) -> None:
    code = f"import warnings\n    warnings.warn({EVIL!r})\n    return source"
    sandbox.echo(plain=f"import zoo\n\n@zoo.hookimpl\ndef convert(source):\n    {code}\n")
    done = sandbox.zoo("build", "echo", "--no-check")
    assert "pwned" in done.stderr
    assert not STEERING.search(done.stderr)


def test_the_entry_point_imports_nothing_heavy(sandbox) -> None:
    done = sandbox.python("import sys, zoo.cli.start; print('click' in sys.modules)")
    assert done.stdout.strip() == "False"
