"""`zoo run` of a model that draws: files, previews, stdout, JSON, and what is refused early."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.world import RECIPE, Said
from zoo import api
from zoo.cli import drawing
from zoo.progress import Event
from zoo.tasks.pictures import command
from zoo.tasks.pictures.model import DenoisingStep, ImageModel
from zoo.tasks.pictures.options import ImageOptions


class Painter(ImageModel):
    """Draws a flat picture: red by the step, green by the seed, blue by what it goes on from."""

    ref, build, format = "user/tiny:one", "torch", "torch"

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], ImageOptions, Any]] = []

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        self.asked.append((list(prompts), options, mask))
        blue = 0 if image is None else image.getpixel((0, 0))[2]

        def pictures(number: int) -> list[Image.Image]:
            seeds = [options.seed + n for n in range(len(prompts))]
            return [Image.new("RGB", (8, 8), (number, seed % 256, blue)) for seed in seeds]

        if "long" in prompts[0]:
            warnings.warn("truncated: 'long'", stacklevel=2)
        for number in range(1, options.steps + 1):
            yield DenoisingStep(number, options.steps, partial(pictures, number), options.seed)

    def close(self) -> None:
        """It is used again in the same test."""

    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        return {}


@pytest.fixture
def painter(home: Path, monkeypatch: pytest.MonkeyPatch) -> Painter:
    model = Painter()
    drawn = (
        (RECIPE % ("0" * 64))
        .replace("text-generation", "text-to-image")
        .replace("top1", "unet_psnr")
    )
    (Path(os.environ["ZOO_CONFIG"]) / "one.toml").write_text(drawn)
    monkeypatch.setattr(api, "load", lambda *_, **__: model)
    return model


def color(path: Path | io.BytesIO) -> tuple[int, ...]:
    with Image.open(path) as opened:
        return opened.convert("RGB").getpixel((0, 0))


def test_a_picture_is_written_and_told(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path
) -> None:
    path = tmp_path / "fox.png"
    said = zoo("run", "tiny", "a fox", "-o", str(path), "--seed", "5", "--steps", "3")
    assert (said.code, said.out) == (0, f"{path}\n"), said.err
    assert color(path) == (3, 5, 0)
    assert said.err.splitlines() == [
        "zoo: generate",
        "zoo: generate 1 of 3 steps",
        "zoo: generate done",
    ]
    assert zoo("run", "tiny", "a fox", "-o", str(path), "-q", "--seed", "5").err == ""
    told = zoo("run", "tiny", "a long fox", "-o", str(path), "-q", "--seed", "5").err
    assert told == "zoo: truncated: 'long'\n"


def test_a_picture_is_named_after_its_prompt(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = zoo("run", "tiny", "A red/../fox, in snow!")
    assert (said.code, said.out) == (0, "a-red-fox-in-snow.png\n"), said.err
    assert "generates the same again" in said.err
    assert zoo("run", "tiny", "A red fox in snow").out == "a-red-fox-in-snow-2.png\n"
    assert zoo("run", "tiny", "雪", "--count", "2").out == "image-1.png\nimage-2.png\n"
    assert zoo("run", "tiny", "雪", "--count", "2").out == "image-2-1.png\nimage-2-2.png\n"


def test_several_pictures_are_of_seeds_in_a_row(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path
) -> None:
    line = ("run", "tiny", "a fox", "-o", str(tmp_path / "fox.jpg"), "--count", "3")
    said = zoo(*line, "--seed", "5", "--json")
    paths = [tmp_path / f"fox-{n}.jpg" for n in (1, 2, 3)]
    assert said.json == {
        "output": [str(path) for path in paths], "seed": 5,
        "ref": "user/tiny:one", "build": "torch", "format": "torch",
    }  # fmt: skip
    assert painter.asked[0][0] == ["a fox"] * 3
    assert [round(color(path)[1] / 10) for path in paths] == [0, 1, 1]
    assert sorted(tmp_path.glob("fox*")) == paths


def test_the_seed_of_a_picture_is_told_so_that_it_can_be_had_again(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path
) -> None:
    path = tmp_path / "fox.png"
    first = zoo("run", "tiny", "a fox", "-o", str(path), "--json").json
    wanted = color(path)
    other = zoo("run", "tiny", "a fox", "-o", str(path), "--json").json
    assert other["seed"] != first["seed"]
    again = zoo("run", "tiny", "a fox", "-o", str(path), "--json", "--seed", str(first["seed"]))
    assert again.json["seed"] == first["seed"]
    assert color(path) == wanted


def test_previews_are_written_every_few_steps(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fox.png"
    seen: list[tuple[int, int | None]] = []
    original = drawing.Lines.__call__

    def look(self: drawing.Lines, event: Event) -> None:
        if event.state in ("update", "done"):
            seen.append((event.done, color(path)[0] if path.exists() else None))
        original(self, event)

    monkeypatch.setattr(drawing.Lines, "__call__", look)
    zoo("run", "tiny", "a fox", "-o", str(path), "--steps", "5", "--preview", "2")
    assert seen == [(1, None), (2, None), (3, 2), (4, 2), (5, 4), (0, 4)]
    assert color(path)[0] == 5


def test_a_picture_goes_to_stdout_alone(home: Path, painter: Painter) -> None:
    from click.testing import CliRunner

    from zoo.cli import app

    with CliRunner().isolation() as streams:
        assert app.run(["run", "tiny", "a fox", "-o", "-", "--seed", "9"]) == 0
        made = streams[0].getvalue()
    assert made.endswith(b"IEND\xaeB`\x82")
    assert color(io.BytesIO(made))[1] == 9


class Watched(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("settings", "start", "end"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, b"\x1b]1337;File=inline=1;size=", b"\a\n"),
        ({"KITTY_WINDOW_ID": "1"}, b"\x1b_Ga=T,f=100,q=2,m=1;", b"\x1b\\\n"),
        ({"TERM_PROGRAM": "Apple_Terminal"}, b"", b""),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/tmux"}, b"", b""),
    ],
    ids=["iterm2", "kitty", "no pictures", "tmux"],
)
def test_a_picture_is_shown_where_the_terminal_can(
    painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str], start: bytes, end: bytes,
) -> None:  # fmt: skip
    for name in ("TERM_PROGRAM", "KITTY_WINDOW_ID", "TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    picture = Image.effect_noise((80, 80), 99).convert("RGB")
    step = DenoisingStep(1, 1, lambda: [picture], 5)
    monkeypatch.setattr(painter, "denoise", lambda *_: iter([step]))
    path = tmp_path / "fox.jpg"
    monkeypatch.setattr(sys, "stdout", Watched())
    told, *shown = command.generate(painter, "a fox", {"output": str(path)}, lambda event: None)
    assert told == f"{path}\n"
    assert len(shown) == bool(start)
    for data in shown:
        assert data.startswith(start)
        assert data.endswith(end)
        parts = re.findall(rb"[;:]([A-Za-z0-9+/=]+)(?:\a|\x1b)", data)
        assert all(len(part) <= 4096 for part in parts) or len(parts) == 1
        with Image.open(io.BytesIO(base64.b64decode(b"".join(parts)))) as opened:
            assert opened.format == "PNG"
            assert opened.tobytes() == picture.tobytes()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert len(list(command.generate(painter, "x", {"output": str(path)}, print))) == 1


def test_a_picture_is_gone_on_from(
    zoo: Callable[..., Said], painter: Painter, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8), (1, 2, 200)).save(tmp_path / "in.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "mask.png")
    given = ("--image", str(tmp_path / "in.png"), "--mask", str(tmp_path / "mask.png"))
    line = ("run", "tiny", "a fox", "-o", str(tmp_path / "out.png"), "--strength", "0.6", *given)
    assert zoo(*line).code == 0
    assert color(tmp_path / "out.png")[2] == 200
    _, asked, mask = painter.asked[0]
    assert asked.strength == 0.6
    assert mask.getpixel((0, 0)) == 255


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-o no/such/fox.png", "the folder 'no/such' for fox.png does not exist"),
        ("-o fox.xyz", "'fox.xyz' ends in .xyz, which is not an image format"),
        ("-o fox.webpp", "did you mean '.webp'?"),
        ("-o fox.hdf", "PIL cannot write an image in that format"),
        ("-o fox", "'fox' has no file extension"),
        ("-o /proc/fox.png", "the picture cannot be written to /proc/fox.png: "),
        ("-o folder.png", "the picture cannot be written to folder.png: Is a directory"),
        ("-o - --count 2", "stdout takes one picture, not 2"),
        ("-o - --preview 2", "a preview is written to a file"),
        ("-o - --json", "stdout takes a picture or JSON, not both"),
        (f"-o {'a' * 300}.png", "File name too long"),
        ("-o fox.png --image none.png", "the image none.png does not exist"),
        ("-o fox.png --image text.png", "the image text.png cannot be read"),
        ("-o fox.png --image clear.png", "the image is transparent in places"),
        ("-o fox.png --image grey.png --mask none.png", "the mask none.png does not exist"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_loaded(
    zoo: Callable[..., Said],
    painter: Painter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    words: str,
) -> None:
    place = tmp_path / "place"
    (place / "folder.png").mkdir(parents=True)
    (place / "text.png").write_text("no picture")
    Image.new("RGBA", (8, 8)).save(place / "clear.png")
    Image.new("L", (8, 8)).save(place / "grey.png")
    monkeypatch.chdir(place)
    monkeypatch.setattr(api, "load", lambda *_, **__: pytest.fail("it was loaded"))
    before = sorted(place.iterdir())
    said = zoo("run", "tiny", "a fox", *line.split())
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert sorted(place.iterdir()) == before


def test_a_terminal_is_shown_no_png(
    zoo: Callable[..., Said], painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zoo.tasks.pictures.command as module

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    fake = type("fake", (), {"stdout": Terminal()})
    monkeypatch.setattr(module, "sys", fake)
    said = zoo("run", "tiny", "a fox", "-o", "-")
    assert said.code == 2
    assert "a terminal cannot show a PNG" in said.err


def test_a_bar_leaves_what_goes_to_a_pipe_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with drawing.drawing() as listener:
        listener(Event("generate", "update", 1, 3, "steps"))
        print(json.dumps({"seed": 1}))
    shown = capsys.readouterr()
    assert shown.out == '{"seed": 1}\n'
    assert "1 of 3 steps" in shown.err
