"""Write the pictures of the documentation: terminals as SVG, still and animated, the site as PNG.

Run with `make screens`. The commands run in a pseudo-terminal against the miniatures, so what a
picture shows is what they print. The site needs Playwright and a Chromium.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
ZOO = Path(sys.executable).parent / "zoo"
WIDTH = 108
SCREENS = {
    "terminal-browse": (("list", "whisper", "--limit", "6"), ("plan", "mistral/mlx-4bit")),
    "terminal-build": (
        ("build", "mistral:mini/coreml-int4", "-q"),
        ("lint", "mistral:mini/coreml-int4", "--for", "gpu"),
    ),
}
"""The commands of each picture."""

RECORDED = (
    ("list", "japanese", "transcription", "--limit", "5"),
    ("run", "mistral:mini", "Once upon a time", "--max-tokens", "60"),
    ("run", "whisper:mini", "recipes/whisper/clips/01.wav"),
    ("run", "stable-diffusion:mini", "a large red ring on the left", "-o", "ring.png"),
    ("build", "mistral:mini/coreml-int4"),
    ("lint", "mistral:mini/coreml-int4", "--for", "gpu"),
)
"""The commands of the recording."""

PREPARED = ("mistral:mini", "whisper:mini", "stable-diffusion:mini")
"""What is built before the recording begins, so that it shows how a model runs."""

FONTS = re.compile(r"@font-face \{.*?\}", re.S)
"""What rich fetches from the network; the fonts of the reader's system serve as well."""


def run(arguments: tuple[str, ...], home: Path) -> str:
    """What a command prints to a terminal of `WIDTH` columns, escapes and all."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    env = {**os.environ, "ZOO_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    env.pop("NO_COLOR", None)
    command = [str(ZOO), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    pieces = []
    while piece := _read(ours):
        pieces.append(piece)
    os.close(ours)
    process.wait()
    return b"".join(pieces).decode(errors="replace").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's way to say that the other side is closed
        return b""


def picture(name: str, commands: tuple[tuple[str, ...], ...], home: Path) -> None:
    """Write `docs/images/NAME.svg` with the commands and what they print."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        for arguments in commands:
            words = " ".join(f'"{word}"' if " " in word else word for word in arguments)
            console.print(Text(f"$ zoo {words}", style="bold"))
            output = run(arguments, home).replace(str(home), "~/.cache/zoo").strip("\n")
            console.print(Text.from_ansi(output))
            console.print()
        svg = console.export_svg(title="zoo", theme=MONOKAI)
        (IMAGES / f"{name}.svg").write_text(FONTS.sub("", svg), encoding="utf-8")


def record(home: Path, folder: Path) -> None:
    """Write `docs/images/zoo.svg`, a recording of commands with their output."""
    from recording import Recording

    env = {
        **os.environ, "ZOO_HOME": str(home), "PATH": f"{ZOO.parent}:{os.environ['PATH']}",
        "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "TERM_PROGRAM": "iTerm.app",
    }  # fmt: skip
    env.pop("NO_COLOR", None)
    for name in PREPARED:
        subprocess.run([ZOO, "build", name, "-q", "--no-check"], env=env, check=True)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    recording = Recording(WIDTH, 20, (home, "~/.cache/zoo"))
    for arguments in RECORDED:
        recording.run(("zoo", *arguments), env, folder)
    (IMAGES / "zoo.svg").write_text(recording.svg("zoo in a terminal"), encoding="utf-8")


def site(folder: Path, home: Path) -> None:
    """Write the first view of the catalog's site, in light and dark, on a desktop and a phone."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium is installed: the pictures of the site stay as they are")
        return
    from playwright.sync_api import sync_playwright

    env = {**os.environ, "ZOO_HOME": str(home)}
    subprocess.run([ZOO, "site", folder], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1100, "height": 760},
                color_scheme=scheme,
            )
            page.goto((folder / "index.html").as_uri())
            page.screenshot(path=str(IMAGES / f"site-{scheme}.png"))
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        for title, commands in SCREENS.items():
            picture(title, commands, home)
        work = Path(name) / "work"
        work.mkdir()
        record(Path(name) / "recorded", work)
        site(Path(name) / "site", home)


if __name__ == "__main__":
    main()
