"""What Python shows of objects: short lines, tables in notebooks, plain data."""

from __future__ import annotations

import io
import json
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import zoo
from zoo.api import fit_device
from zoo.catalogs.catalog import open_catalog
from zoo.display import notices
from zoo.progress import Event
from zoo.reports.devices import find_device
from zoo.tasks.text.template import ChatTemplate

EVIL = "<script>alert(1)</script>\x1b[31m\u202e"


def test_the_catalog_can_be_looked_through() -> None:
    catalog = zoo.catalog()
    (listing,) = [x for x in catalog if x.ref == "whisper:tiny"]
    assert (listing.name, listing.task, listing.license) == (
        "whisper", "automatic-speech-recognition", "Apache-2.0",
    )  # fmt: skip
    assert listing.download_bytes > 150e6
    assert "ja" in listing.languages
    assert {build.format for build in listing.builds} == {"mlx", "coreml", "torch"}
    assert listing.build.memory_bytes > 0
    assert repr(listing).startswith("<whisper:tiny: automatic-speech-recognition, 153.7 MB")
    data = json.loads(json.dumps(listing.to_dict()))
    assert data["default_build"] in [build["name"] for build in data["builds"]]
    assert repr(catalog) == f"<Catalog of {len(catalog)} models: zoo>"
    assert "<td>whisper:tiny</td>" in catalog._repr_html_()


def test_recipes_plans_and_verdicts_are_short_and_become_data() -> None:
    recipe = zoo.show("mistral:mini")
    assert repr(recipe).startswith("<Recipe mistral:mini: text-generation, ")
    assert json.loads(json.dumps(recipe.to_dict()))["family"] == "mistral"
    plan = zoo.plan("mistral:mini/torch")
    assert repr(plan).startswith("<Plan mistral:mini/torch: ")
    assert json.loads(json.dumps(plan.to_dict()))["build"] == "torch"
    assert "<th>step</th>" in plan._repr_html_()
    verdict = zoo.Verdict("passed", metrics={"top1": 0.99}, limits={"top1": 0.9})
    assert json.loads(json.dumps(verdict.to_dict()))["status"] == "passed"
    assert "<td>0.99</td><td>0.9</td>" in verdict._repr_html_()


def test_nothing_in_a_recipe_is_markup_in_a_notebook() -> None:
    recipe = replace(open_catalog().resolve("mistral:mini")[0], title=EVIL, ref=EVIL)
    shown = recipe._repr_html_()
    assert "<script" not in shown
    assert not {"\x1b", "\u202e"} & set(shown)


def test_a_hint_is_part_of_a_traceback_and_speaks_python_there() -> None:
    with pytest.raises(zoo.NotFound) as caught:
        zoo.show("mistrall")
    text = "".join(traceback.format_exception(caught.value))
    assert "did you mean 'mistral'?" in text
    assert "hint: zoo.catalog() lists all models" in text
    assert caught.value.hint == "zoo list shows all models"


OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda folder: zoo.show(str(folder)), "family="),
        (lambda folder: zoo.show("mistral:mini", family="mistral"), ""),
        (lambda folder: zoo.load("mistral:mini", build="coreml-int4",
                                 adapter={"pirate": 0.5}), 'format="torch"'),
        (lambda folder: find_device("iphone-99"), "zoo.reports.devices.Device"),
        (lambda folder: fit_device("whisper:mini", find_device("iphone-15-pro"), context=9), ""),
        (lambda folder: ChatTemplate(folder, {}).render([], {}), "generate"),
    ],
    ids=["family", "no family", "adapters", "device", "context", "template"],
)  # fmt: skip
def test_no_traceback_names_an_option_of_the_command_line(
    call: Callable[[Path], Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_file({"a": np.zeros(4, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(zoo.ZooError) as caught:
        call(tmp_path)
    text = "".join(traceback.format_exception_only(caught.value))
    assert said in text
    assert not OPTION.findall(text.replace(str(tmp_path), ""))


class Watched(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Watched()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(notices, "EVERY", 0)
    listener = notices.Notices()
    listener(Event("download", "start"))
    listener(Event("download", "update", 5_000_000, 20_000_000))
    listener(Event("download", "note", message="half\x1b[2J"))
    listener(Event("download", "update", 20_000_000, 20_000_000))
    listener(Event("download", "done"))
    shown = terminal.getvalue()
    assert "\rzoo: download 5.0 MB of 20.0 MB (25 %)" in shown
    assert "zoo: half [2J\n" in shown
    assert shown.endswith("\r")
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    listener(Event("download", "update", 1, 2))
    listener(Event("download", "note", message="said"))
    assert log.getvalue() == "zoo: said\n"
