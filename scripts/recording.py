"""Record command lines in a terminal, and write them as an animated SVG.

The commands run in a pseudo-terminal. `pyte` keeps the screen that their output makes, and the
picture shows each state of it for as long as it lasted. Typing is added, silence is cut to `PAUSE`,
and a command that takes longer than `LONGEST` is played faster. The SVG has its text as text, needs no script and no font,
and shows its last state where animations are not wanted.
"""

from __future__ import annotations

import base64
import os
import pty
import re
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fcntl import ioctl
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

FRAME = 0.1
"""Seconds that a state lasts at least."""

TYPING = 0.04
"""Seconds for each letter of a command."""

READING = 2.0
"""Seconds between the end of a command and the next one."""

PAUSE = 0.7
"""Seconds without output, at most."""

LONGEST = 4.0
"""Seconds of a command; what takes longer is played faster."""

IMAGE = re.compile(rb"\x1b\]1337;File=[^:]*:([A-Za-z0-9+/=]*)\x07\r?\n?")
"""An inline image, as iTerm2 defines it: https://iterm2.com/documentation-images.html."""

IMAGE_ROWS = 6
CELL_WIDTH, CELL_HEIGHT, FONT = 8.4, 18, 14
MARGIN, BAR = 14, 30
BACKGROUND, FOREGROUND = "#1e2127", "#d7dae0"
COLORS = {
    "black": "#3f4451", "red": "#f07178", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d7dae0",
    "brightblack": "#8b929e", "brightred": "#ff8b92", "brightgreen": "#b5e890",
    "brightbrown": "#ffd68f", "brightyellow": "#ffd68f", "brightblue": "#8cc8ff",
    "brightmagenta": "#dd9bf5", "brightcyan": "#7fd6e2", "brightwhite": "#ffffff",
}  # fmt: skip

Style = tuple[str, bool]
"""The color of some letters, and whether they are bold."""

Line = tuple[tuple[int, str, Style], ...]
"""The letters of a line: column, text and style of each run."""


@dataclass(frozen=True)
class State:
    """What a screen shows: its lines, and the PNG that begins at some of them."""

    lines: tuple[Line, ...]
    images: tuple[tuple[int, bytes], ...] = ()


@dataclass
class Recording:
    """Commands in one terminal.

    Attributes:
        columns, rows: the size of the terminal.
        renamed: a path that the output names, and what is shown in its place.
        frames: each state with the seconds that it lasts.
    """

    columns: int
    rows: int
    renamed: tuple[Path, str]
    frames: list[tuple[State, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._screen = _Screen(self.columns, self.rows)

    def run(self, words: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Type a command, run it, and add what it shows."""
        self._show(b"\x1b[1m$ ", 5 * TYPING)
        for letter in " ".join(f'"{word}"' if " " in word else word for word in words):
            self._show(letter.encode(), TYPING)
        self._show(b"\x1b[0m\r\n", TYPING)
        output = list(_output([*words], env, cwd, self.columns, self.rows))
        starts = [0.0, *(when for when, _ in output)]
        gaps = [min(PAUSE, after - before) for before, after in pairwise(starts)]
        speed = max(1.0, sum(gaps) / LONGEST)
        for gap, (_, data) in zip(gaps, output, strict=True):
            self._wait(gap / speed)
            path, shown = self.renamed
            self._show(data.replace(str(path).encode(), shown.encode()), 0.0)
        self._wait(READING)

    def _show(self, data: bytes, seconds: float) -> None:
        self._screen.feed(data)
        self.frames.append((self._screen.state(), seconds))

    def _wait(self, seconds: float) -> None:
        state, before = self.frames[-1]
        self.frames[-1] = state, before + seconds

    def svg(self, title: str) -> str:
        """The recording as an animated SVG."""
        self._wait(READING)
        return _Film(self).text(title)


def _output(
    command: list[str], env: Mapping[str, str], cwd: Path, columns: int, rows: int
) -> Iterable[tuple[float, bytes]]:
    """What a command prints to a terminal of this size, with the seconds since its start."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(env), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    while True:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not data:
            break
        yield time.monotonic() - began, data
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")


class _Screen:
    """A terminal that shows images, which scroll with the text."""

    def __init__(self, columns: int, rows: int) -> None:
        import pyte

        class Scrolling(pyte.Screen):  # type: ignore[misc]
            def index(inner) -> None:  # noqa: N805
                if inner.cursor.y == inner.lines - 1:
                    self._images = [(row - 1, png) for row, png in self._images if row > 0]
                super().index()

        self._images: list[tuple[int, bytes]] = []
        self._screen: Any = Scrolling(columns, rows)
        self._stream: Any = pyte.ByteStream(self._screen)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        begun = data.rfind(b"\x1b]1337")
        whole = begun < 0 or b"\x07" in data[begun:]
        data, self._rest = (data, b"") if whole else (data[:begun], data[begun:])
        while found := IMAGE.search(data):
            self._feed(data[: found.start()])
            self._feed(b"\r\n" * IMAGE_ROWS)
            self._images.append((self._screen.cursor.y - IMAGE_ROWS, base64.b64decode(found[1])))
            data = data[found.end() :]
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        # pyte knows no faint text, which is gray here
        self._stream.feed(re.sub(rb"\x1b\[2(;\d+)?m", b"\x1b[90m", data))

    def state(self) -> State:
        lines = [self._line(row) for row in range(self._screen.lines)]
        return State(tuple(lines), tuple(self._images))

    def _line(self, row: int) -> Line:
        cells = self._screen.buffer[row]
        letters = [(column, cells[column]) for column in range(self._screen.columns)]
        runs = []
        for style, group in groupby(letters, key=lambda cell: _style(cell[1])):
            found = list(group)
            text = "".join(cell.data for _, cell in found)
            if text.strip():
                column = found[0][0] + len(text) - len(text.lstrip())
                runs.append((column, text.strip(), style))
        return tuple(runs)


def _style(cell: Any) -> Style:
    color = cell.bg if cell.reverse else cell.fg
    if color == "default":
        return FOREGROUND, cell.bold
    return COLORS.get(color, f"#{color}"), cell.bold


class _Film:
    """The frames of a recording one below the other, moved past a window."""

    def __init__(self, recording: Recording) -> None:
        self.states: list[State] = []
        self.starts: list[float] = []
        now = 0.0
        for state, seconds in _slower(recording.frames):
            if not self.states or self.states[-1] != state:
                self.states.append(state)
                self.starts.append(now)
            now += seconds
        self.seconds = now
        self.width = round(recording.columns * CELL_WIDTH + 2 * MARGIN)
        self.height = recording.rows * CELL_HEIGHT + BAR + MARGIN
        self.frame = recording.rows * CELL_HEIGHT
        self._named: dict[Line, str] = {}
        self._images: dict[bytes, str] = {}

    def text(self, title: str) -> str:
        film = [self._frame(number, state) for number, state in enumerate(self.states)]
        keys = [
            f"{100 * start / self.seconds:.3f}%{{transform:translateY({-self.frame * number}px)}}"
            for number, start in enumerate(self.starts)
        ]
        last = -self.frame * (len(self.states) - 1)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title><style>"
            f"text{{font:{FONT}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
            "monospace;white-space:pre}.b{font-weight:700}"
            f".film{{animation:film {self.seconds:.2f}s step-end infinite}}"
            "@media (prefers-reduced-motion:reduce){.film{animation:none;"
            f"transform:translateY({last}px)}}}}"
            f"@keyframes film{{{''.join(keys)}}}</style><defs>"
            f"{''.join(self._definition(line, name) for line, name in self._named.items())}"
            f"{''.join(self._picture(png, name) for png, name in self._images.items())}</defs>"
            f'<rect x=".5" y=".5" width="{self.width - 1}" height="{self.height - 1}" rx="9" '
            f'fill="{BACKGROUND}" stroke="#565c68"/>'
            + "".join(
                f'<circle cx="{20 + 18 * number}" cy="17" r="5.5" fill="{color}"/>'
                for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
            )
            + f'<svg x="{MARGIN}" y="{BAR}" width="{self.width - 2 * MARGIN}" '
            f'height="{self.frame}"><g class="film">{"".join(film)}</g></svg></svg>\n'
        )

    def _frame(self, number: int, state: State) -> str:
        top = number * self.frame
        parts = []
        for row, line in enumerate(state.lines):
            if line:
                name = self._named.setdefault(line, f"l{len(self._named)}")
                parts.append(f'<use href="#{name}" y="{top + row * CELL_HEIGHT}"/>')
        for row, png in state.images:
            name = self._images.setdefault(png, f"i{len(self._images)}")
            parts.append(f'<use href="#{name}" y="{top + row * CELL_HEIGHT + 4}"/>')
        return "".join(parts)

    def _definition(self, line: Line, name: str) -> str:
        runs = []
        for column, text, (color, bold) in line:
            weight = ' class="b"' if bold else ""
            runs.append(
                f'<text x="{column * CELL_WIDTH:.1f}" y="14" fill="{color}"{weight} '
                f'textLength="{len(text) * CELL_WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
                f"{escape(text, quote=False)}</text>"
            )
        return f'<g id="{name}">{"".join(runs)}</g>'

    def _picture(self, png: bytes, name: str) -> str:
        side = IMAGE_ROWS * CELL_HEIGHT - 8
        data = base64.b64encode(png).decode()
        return (
            f'<image id="{name}" width="{side}" height="{side}" '
            f'href="data:image/png;base64,{data}"/>'
        )


def _slower(frames: Iterable[tuple[State, float]]) -> Iterable[tuple[State, float]]:
    """The frames, of which those shorter than `FRAME` are joined with what follows."""
    left = 0.0
    for state, seconds in frames:
        left += seconds
        if left >= FRAME:
            yield state, left
            left = 0.0
