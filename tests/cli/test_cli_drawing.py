"""What the command line draws: lines, bars and tables."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from zoo.cli import drawing, output
from zoo.progress import Event


def test_lines_are_rare_and_readable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(drawing, "time", SimpleNamespace(monotonic=lambda: next(clock) / 2))
    with drawing.drawing() as listener:
        for done in range(8):
            listener(Event("download", "update", done * 10**6, 5 * 10**9))
        listener(Event("check", "update", 3, None, "positions"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "zoo: download 0 B of 5.0 GB"
    assert len(lines) < 5


def test_tables_fit_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (output.Column("NAME"), output.Column("LONG", drop=1), output.Column("N", right=True))
    output.table(columns, [("a\x1b[31m", "x" * 90, 1)])
    assert capsys.readouterr().out.splitlines()[1] == f"a [31m  {'x' * 90}  1"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    output.table(columns, [("a", "x" * 90, 1)])
    assert "xx" not in capsys.readouterr().out


def test_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(drawing, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = drawing.Lines()
    for done in (0, 10**9, 2 * 10**9, 5 * 10**8):
        lines(Event("download", "update", done, 5 * 10**9))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "zoo: download 0 B of 5.0 GB"
    assert said[1] == "zoo: download 1.0 GB of 5.0 GB, 83.3 MB/s, 48 s left"
    assert said[3] == "zoo: download 500.0 MB of 5.0 GB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert drawing.duration(seconds) == text
