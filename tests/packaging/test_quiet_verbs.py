"""What only looks must not touch: no socket, no process, no plugin code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Sandbox
from faults.world import World

PROGRAM = """
import json, sys
from zoo.cli import app
seen = []
FORBIDDEN = ("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo",
             "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty",
             "pty.spawn", "ctypes.dlopen", "urllib.Request")
PLUGINS = ("zoo_mistral", "zoo_openelm", "zoo_whisper", "zoo_stable_diffusion", "zoo_echo")
def watch(event, arguments):
    if event in FORBIDDEN:
        seen.append([event, repr(arguments)[:200]])
    elif event == "import" and arguments[0].partition(".")[0] in PLUGINS:
        seen.append([event, arguments[0]])
sys.addaudithook(watch)
code = app.run(json.loads(sys.argv[1]))
sys.stdout.flush()
print("SEEN", json.dumps(seen), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A home with a model that was pulled and built."""
    folder = tmp_path_factory.mktemp("quiet")
    world = World(folder / "world", 50_000)
    sandbox = Sandbox(folder)
    sandbox.env = world.env
    done = sandbox.zoo("build", "large", "-q")
    assert done.returncode == 0, done.stderr
    world.close()
    return sandbox


@pytest.mark.parametrize(
    "line",
    [
        "list", "list --json", "list 4bit --fits --sort size", "list -q", "show large", "show mistral",
        "show mistral --json", "compare mistral whisper large", "card large", "catalog list", "catalog check", "completion bash",
        "plan large", "plan mistral",
        "plan large:one/plain-loud --json", "verify", "ls", "ls --json", "du", "plugins", "doctor",
        "prune --dry-run", "prune --old --downloads --dry-run", "provenance large:one/plain",
        "rm large --dry-run", "site SITE", "browse --print", "rm large -y",
    ],
)  # fmt: skip
def test_a_verb_that_looks_touches_nothing(filled: Sandbox, line: str, tmp_path: Path) -> None:
    line = line.replace("SITE", str(tmp_path / "site"))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = filled.python(f"import runpy, sys; sys.argv = ['x', {json.dumps(line.split())!r}]; "
                         f"runpy.run_path({str(program)!r})")  # fmt: skip
    assert done.returncode in (0, 1), done.stderr  # doctor may find something to say
    assert json.loads(done.stderr.rpartition("SEEN ")[2]) == []


def test_the_watch_sees(filled: Sandbox) -> None:
    """The hook of this test is not blind."""
    code = PROGRAM.replace("code = app.run", "import socket; socket.socket(); code = app.run")
    code = code.replace("sys.argv[1]", repr('["--version"]'))
    done = filled.python(code)
    assert "socket.__new__" in done.stderr
