"""The files of a site: what is written, what is refused, and what a recipe cannot smuggle in."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Sandbox

from zoo.api import catalog
from zoo.pipeline.checks import write_examples
from zoo.site import charts
from zoo.site.examples import examples
from zoo.site.models import page_of
from zoo.store.reports import CHECK, Reports
from zoo.tasks.examples import Example, collecting, keep

NASTY = '</a><script>alert(1)</script><img src=x onerror=alert(2)>"\\u202egnp.exe'
RECIPE = """schema = 1
family = "mistral"
title = '''{nasty}'''
summary = '''{nasty}'''
task = "text-generation"
license = '''{nasty}'''
parameters = 1000
[source]
repo = "acme/model"
branch = "main"
[build.torch]
format = "torch"
"""


class Tags(HTMLParser):
    """The tags and the words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_recipe_cannot_put_markup_into_a_page(sandbox: Sandbox, tmp_path: Path) -> None:
    nasty = NASTY.replace("\\u202e", "\u202e")
    sandbox.catalog(
        'schema = 1\n[models.evil]\ndefault = "one"\n[models.evil.variants]\none = "one.toml"\n',
        one=RECIPE.format(nasty=nasty),
    )
    done = sandbox.zoo("site", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    for page in ("index.html", "models/user/evil/one.html"):
        text = (tmp_path / "site" / page).read_text()
        found = Tags(text)
        assert "alert(1)" in found.words
        assert "\u202e" not in text
        assert not [a for t, a in found.tags if t == "script" and "src" not in a]
        assert not [a for t, a in found.tags if any(name.startswith("on") for name in a)]


def test_what_cannot_be_read_is_named_and_the_rest_is_there(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.catalog(
        'schema = 1\n[models.bad]\ndefault = "one"\n[models.bad.variants]\none = "one.toml"\n',
        one="schema = 1\n",
    )
    done = sandbox.zoo("site", str(tmp_path / "site"), "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 0
    assert [problem["name"] for problem in data["problems"]] == ["user/bad:one"]
    assert data["models"] > 60
    assert "user/bad:one" in (tmp_path / "site" / "index.html").read_text()


def test_only_a_folder_of_ours_is_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = sandbox.zoo("site", str(mine))
    assert (done.returncode, "is not empty" in done.stderr) == (2, True)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    ours = tmp_path / "ours"
    assert sandbox.zoo("site", str(ours)).returncode == 0
    (ours / "CNAME").write_text("zoo.example")
    (ours / "models" / "zoo" / "stale.html").write_text("old")
    assert sandbox.zoo("site", str(ours)).returncode == 0
    assert (ours / "CNAME").is_file()
    assert not (ours / "models" / "zoo" / "stale.html").exists()
    blocked = sandbox.zoo("site", str(mine / "thesis.txt" / "site"))
    assert (blocked.returncode, "cannot be written" in blocked.stderr) == (2, True)


def test_browse_opens_the_page_of_a_model(sandbox: Sandbox, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    viewer = tmp_path / "viewer.py"
    viewer.write_text(f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])")
    env = {"BROWSER": f"{sys.executable} {viewer} %s"}
    done = sandbox.zoo("browse", "mistral:mini", env=env)
    assert done.returncode == 0, done.stderr
    address = done.stdout.strip()
    assert seen.read_text() == address
    assert "Mistral miniature" in Path(address.removeprefix("file://")).read_text()
    printed = sandbox.zoo("browse", "--print")
    assert printed.stdout.strip().endswith("/site/index.html")
    assert sandbox.zoo("browse", "mistrall").returncode == 3


def test_catalog_json_has_every_model_and_build(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.zoo("site", str(tmp_path / "site")).returncode == 0
    data = json.loads((tmp_path / "site" / "catalog.json").read_text())
    listed = json.loads(sandbox.zoo("list", "--json").stdout)["models"]
    assert [m["ref"] for m in data["models"]] == [m["ref"] for m in listed]
    mini = next(m for m in data["models"] if m["ref"] == "mistral:mini")
    assert (mini["commercial"], mini["pinned"]) == ("yes", True)
    assert {"mlx-4bit", "coreml-int4"} <= {build["name"] for build in mini["builds"]}
    assert all((tmp_path / "site" / m["page"]).is_file() for m in data["models"])


def test_no_two_models_share_a_page() -> None:
    refs = ["acme:mistral", "acme/mistral:mini", "acme/mistral.html:mini", "mistral:mini"]
    assert len({page_of(ref) for ref in refs}) == len(refs)


def test_labels_of_a_chart_do_not_cover_each_other() -> None:
    points = [charts.Point(f"b{n}", 1e9 + n * 1e6, 0.99) for n in range(5)]
    marks = charts.scatter(points).marks
    heights = sorted(mark.label_y for mark in marks)
    assert all(b - a >= charts.LINE for a, b in pairwise(heights))
    assert all(0 <= mark.x <= 100 for mark in marks)


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [1e12, 3.0], [-2.0, 40.0]])
def test_axes_hold_all_values(values: list[float]) -> None:
    chart = charts.scatter([charts.Point("x", abs(v), v) for v in values])
    assert chart.ys[0].value <= min(values) <= max(values) <= chart.ys[-1].value
    assert len(chart.ys) < 9


def test_outputs_of_a_check_are_kept_beside_the_build(tmp_path: Path) -> None:
    recipe = catalog().resolve("whisper:mini")[0]
    clip = str(recipe.home / "clips" / "01.wav")
    with collecting() as found:
        keep(Example(clip, "four", "for"))
        keep(Example("a ring", image=b"\x89PNG one", expected_image=b"\x89PNG two"))
    keep(Example("nobody collects it"))
    reports = Reports(tmp_path)
    write_examples(reports, "k", recipe, {"": found[:1], "ink": found[1:]})
    speech, image = examples(reports, "k")
    assert (speech.input, speech.output, speech.expected) == ("clips/01.wav", "four", "for")
    assert (image.adapter, image.input) == ("ink", "a ring")
    assert reports.file("k", image.image) == b"\x89PNG one"
    assert reports.file("k", image.expected_image) == b"\x89PNG two"


def test_a_damaged_report_is_no_report(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.write("k", CHECK, {"examples": []}, {"a.png": b"x"})
    assert (reports.read("k", CHECK), reports.file("k", "a.png")) == ({"examples": []}, b"x")
    (tmp_path / "reports" / "k" / "check.json").write_text("[1")
    assert reports.read("k", CHECK) is None
    assert reports.file("k", "../../secret") is None
    reports.remove("k")
    assert reports.file("k", "a.png") is None
