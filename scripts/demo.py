"""The demo: every family of miniatures, through MLX and Core ML, in one process.

    python scripts/demo.py

Each command is the one that a person types; it is run by the same entry point as `zoo`.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # miniatures are too small for more threads

from zoo.cli.app import run

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "demo"
CLIPS = ROOT / "recipes" / "whisper" / "clips"
STORY, PICTURE = "Once upon a time", "a large red ring on the left"
BOLD, DIM, PLAIN = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> None:
    heading("1. What is in the catalog")
    zoo("list", "miniature")
    text()
    lint()
    speech()
    pictures()
    heading("Next")
    print("zoo list                      all models")
    print("zoo show mistral:mini         builds, sizes, license, check limits")
    print("zoo run mistral:mini          with a prompt of your own")


def text() -> None:
    """The same prompt by MLX, by Core ML, and with a LoRA adapter."""
    heading("2. Text: Mistral's architecture in 8-bit MLX")
    zoo("build", "mistral:mini/mlx-8bit", "-q")
    story("mistral:mini/mlx-8bit", "--max-tokens", "120")
    figures("mistral:mini/mlx-8bit", top1="{:.1%} of next tokens agree with the original")
    heading("3. The same model in 4-bit Core ML, with and without its LoRA adapter 'pirate'")
    zoo("build", "mistral:mini/coreml-int4", "-q")
    story("mistral:mini/coreml-int4", "--max-tokens", "60")
    story("mistral:mini/coreml-int4", "--max-tokens", "60", "--adapter", "pirate")
    figures("mistral:mini/coreml-int4", top1="{:.1%} of next tokens agree with the original")


def lint() -> None:
    """Why the same build is not for the Neural Engine."""
    heading(
        "4. Device lint: why this build is not for the Neural Engine, read from the package alone"
    )
    build = "mistral:mini/coreml-int4"
    zoo("lint", build, "--for", "iphone-neural-engine", "--fail-on", "silent", "-q", answer=1)


def speech() -> None:
    """A clip of speech, beside what was said."""
    heading("5. Speech: Whisper's architecture in 8-bit MLX")
    clip = CLIPS / "01.wav"
    print(f"{DIM}spoken:{PLAIN} {clip.with_suffix('.txt').read_text(encoding='utf-8').strip()}")
    zoo("run", "whisper:mini/mlx-8bit", str(clip.relative_to(ROOT)), "-q")
    figures("whisper:mini/mlx-8bit", wer="{:.1%} word error rate against the original")


def pictures() -> None:
    """One prompt, in the base style and in a style of a LoRA adapter."""
    heading("6. Pictures: Stable Diffusion's architecture in 6-bit Core ML, in two styles")
    build = "stable-diffusion:mini/coreml-6bit"
    zoo("build", build, "-q")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, style in (("ring", ()), ("ring-ink", ("--adapter", "ink"))):
        path = OUTPUT / f"{name}.png"
        relative = str(path.relative_to(ROOT))
        zoo("run", build, PICTURE, "--seed", "1", "--steps", "10", "-o", relative, "-q", *style)
        show(path)
    figures(build, picture_psnr="{:.1f} dB from the pictures of the original")


def story(build: str, *options: str) -> None:
    """Continue the prompt, which is echoed before its continuation."""
    zoo("run", build, STORY, *options, "-q", before=f"{DIM}{STORY}{PLAIN}")


def zoo(*arguments: str, before: str = "", answer: int = 0) -> None:
    """Print a command and run it; `before` goes in front of what it prints.

    Args:
        answer: the exit code that the command has to have.
    """
    shown = " ".join(f'"{a}"' if " " in a else a for a in arguments)
    print(f"\n{BOLD}$ zoo {shown}{PLAIN}", flush=True)
    print(before, end="", flush=True)
    if (code := run([*arguments])) != answer:
        sys.exit(code or 1)


def figures(build: str, **wanted: str) -> None:
    """What the stored check of a build measured, in words."""
    metrics = _metrics(build)
    for name, sentence in wanted.items():
        if name in metrics:
            print(f"{DIM}checked:{PLAIN} {sentence.format(metrics[name])}")


def _metrics(build: str) -> dict[str, float]:
    said = StringIO()
    with redirect_stdout(said):
        run(["ls", "--json"])
    rows: list[dict[str, Any]] = json.loads(said.getvalue())["artifacts"]
    for row in rows:
        if f"{row['ref']}/{row['build']}" == build and row.get("check"):
            metrics: dict[str, float] = row["check"].get("metrics", {})
            return metrics
    return {}


def show(path: Path) -> None:
    """A picture in the terminal, two pixels a character; its size where there is no terminal."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if not sys.stdout.isatty():
        print(f"{path.name}: {picture.width}x{picture.height} pixels")
        return
    picture = picture.resize((40, 40))
    for row in range(0, picture.height, 2):
        cells = []
        for column in range(picture.width):
            upper, lower = picture.getpixel((column, row)), picture.getpixel((column, row + 1))
            cells.append("\x1b[38;2;{};{};{};48;2;{};{};{}m\u2580".format(*upper, *lower))
        print("".join(cells) + PLAIN)


def heading(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}\n{'-' * len(text)}", flush=True)


if __name__ == "__main__":
    main()
