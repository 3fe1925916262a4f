"""The documentation site builds strictly, fetches nothing, and its commands and snippets do what they say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from zoo.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
GENERATED = ("api.md", "cli.md")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
DOWNLOAD = "downloads a model"
NOT_RUN = {
    "zoo browse": "opens a web browser",
    "zoo check": "measures for as long as the build before it took; tests/pipeline runs it",
    "zoo cost": "tests/cli runs it",
    "zoo build ./my-checkpoint": "a build of minutes for one command; tests/pipeline runs it",
    "zoo app mistral:mini/mlx-4bit": "one build is enough here; tests/families run it",
    "zoo app stable-diffusion/": DOWNLOAD,
    "zoo build mistral:mini/coreml-int4 --adapter ./my-lora": "likewise",
    "zoo run mistral ": DOWNLOAD,
    "zoo run whisper ": DOWNLOAD,
    "zoo run whisper:large": DOWNLOAD,
    "zoo run stable-diffusion ": DOWNLOAD,
    "zoo run stable-diffusion:xl": DOWNLOAD,
    "zoo run stable-diffusion:mini": "twenty steps; tests/families run it",
    "zoo run hf:": DOWNLOAD,
    "zoo show hf:": DOWNLOAD,
    "zoo pull": DOWNLOAD,
    "zoo export mistral:7b": DOWNLOAD,
    "zoo import mistral.tar": DOWNLOAD,
    "zoo sign": "tests/store runs it",
    "zoo import mini.tar --key": "tests/store runs it",
    "zoo catalog": "the catalog is the reader's own; tests/cli runs it",
    "zoo list brand": "likewise",
}
"""Commands of the pages that this file only parses, by how they begin, and why."""
PLACEHOLDERS = ("KEY", "NAME", "PATH")
RUNS = (ROOT / "README.md", DOCS / "tutorial.md", DOCS / "how-to" / "your-own-checkpoint.md")
"""The pages whose Python is run here; that of the others downloads, or is run by the tests of its subject."""


def commands() -> dict[str, str]:
    """Each command of the pages, and the first page that shows it."""
    found: dict[str, str] = {}
    for page in PAGES:
        if page.name in GENERATED or "plugins" in page.parts:
            continue
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M):
            for line in block.splitlines() if language in ("", "sh") else ():
                command = line.partition(" #")[0].strip()
                if command.startswith("zoo "):
                    found.setdefault(command, page.stem)
    return found


def words(command: str) -> list[str]:
    """The arguments of a command, without the redirections of the shell."""
    plain = re.sub(r" [<>] \S+", "", command)
    return shlex.split(plain)[1:]


def reason_not_to_run(command: str) -> str | None:
    return next((why for start, why in NOT_RUN.items() if command.startswith(start.rstrip()) and
                 (f"{command} ").startswith(start)), None)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the pages name, and a store of its own."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (folder / "my-checkpoint").symlink_to(ROOT / "recipes" / "mistral" / "mini")
    (folder / "my-lora").symlink_to(ROOT / "recipes" / "mistral" / "mini-pirate")
    shutil.copy(ROOT / "recipes" / "whisper" / "clips" / "01.wav", folder / "talk.wav")
    for name in ("private.pem", "public.pem"):
        (folder / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_HOME", str(folder / "home"))
        patch.setenv("ZOO_CONFIG", str(folder / "config"))
        patch.setenv("HF_HOME", str(folder / "hf"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_builds_strictly_with_every_page(site: Path) -> None:
    home = (site / "index.html").read_text()
    for page in DOCS.rglob("*.md"):
        path = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert (site / path).is_file()
        assert f'href="{path}"' in home or path == "index.html", f"name {path} in mkdocs.yml"


def test_the_site_fetches_nothing(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)', page.read_text()
        )
        assert not fetched, page.name


@pytest.mark.parametrize(
    "page",
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("training/*.md"),
        *DOCS.rglob("*.md"),
    ],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for target in (a or b for a, b in LINK.findall(text)):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("command", [c for c in commands() if "hf:" not in c])
def test_each_command_is_valid(command: str, place: Path) -> None:
    arguments = words(command)
    if any(word in PLACEHOLDERS for word in arguments):
        arguments = ["mistral:mini" if word in PLACEHOLDERS else word for word in arguments]
    context = click.Context(app.zoo_command, info_name="zoo", obj=app.Settings())
    verb = app.zoo_command.get_command(context, arguments[0])
    assert verb is not None, arguments[0]
    verb.make_context(arguments[0], arguments[1:], parent=context)


def test_each_command_on_a_miniature_works(place: Path) -> None:
    for command, page in commands().items():
        placeholder = any(word in PLACEHOLDERS for word in words(command))
        if placeholder or page == "integrity" or reason_not_to_run(command):
            continue
        with CliRunner().isolation() as streams:
            code = app.run(words(command))
            said = streams[1].getvalue().decode()
        assert code == 0, f"{page}: {command}\n{said}"


def test_no_command_is_left_out_in_vain() -> None:
    for start in NOT_RUN:
        assert any(f"{command} ".startswith(start) for command in commands()), start


def test_the_loop_of_the_swift_page_writes_what_zoo_writes(place: Path) -> None:
    """The loop of `TextModel` in docs/how-to/core-ml-in-swift.md, step by step, on the executor."""
    import numpy as np

    import zoo
    from zoo.formats.coreml import open_program

    folder = zoo.build("mistral:mini/coreml-int4").path
    program = open_program(folder / "model.mlpackage")
    state, length, written = program.make_state(), 0, []
    with zoo.load("mistral:mini/coreml-int4") as model:
        assert isinstance(model, zoo.TextModel)
        tokens = model.encode("Once upon a time")
        wanted = list(model.tokens(tokens, zoo.Sampling(max_tokens=12)))
    while len(written) < len(wanted):
        end = length + len(tokens)
        mask = [
            [0 if other <= at else -40_000 for other in range(end)] for at in range(length, end)
        ]
        inputs = {
            "inputIds": np.array([tokens], np.int32),
            "causalMask": np.array([[mask]], np.float16),
            "logitIndices": np.array([len(tokens) - 1], np.int32),
        }
        tokens = [int(program.predict(inputs, state)["logits"].argmax())]
        written += tokens
        length = end
    assert written == wanted


@pytest.mark.parametrize("page", RUNS, ids=lambda p: p.stem)
def test_python_of_the_first_pages_runs(page: Path, place: Path) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, page.name, "exec"), {})
