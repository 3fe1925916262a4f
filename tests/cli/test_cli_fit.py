"""`zoo fit`: sizes against what an app may have on a device."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.world import Said
from zoo import api
from zoo.reports.costs import Memory
from zoo.reports.devices import devices, find_device
from zoo_openelm.config import read_openelm_config

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_small_model_fits_a_phone_and_a_large_one_does_not(zoo: Callable[..., Said]) -> None:
    small = zoo("fit", "mistral:mini", "--device", "iphone-15-pro", "--json")
    assert small.code == 0
    assert small.json["build"] == "mlx", "the source itself does not run on a phone"
    assert small.json["entitlement"] is False
    large = zoo(
        "fit", "mistral:7b-instruct-v0.3/coreml-fp16", "--device", "iphone-15-pro", "--json"
    )
    assert large.code == 1
    assert large.json["needed"] > 14_000_000_000
    assert "an app may have 6.0 GB" in large.json["reasons"][0]
    assert large.json["instead"] is not None
    instead = zoo(
        "fit", f"mistral:7b-instruct-v0.3/{large.json['instead']}", "--device", "iphone-15-pro"
    )
    assert instead.code == 0, "the build that is offered fits"


def test_the_entitlement_and_its_source_are_told(zoo: Callable[..., Said]) -> None:
    said = zoo("fit", "mistral:7b-instruct-v0.3/mlx-4bit", "--device", "iphone-15-pro")
    assert said.code == 0
    assert "fits, with the entitlement alone" in said.out
    assert "https://github.com/introlab/rtabmap/pull/1446" in said.out


def test_one_package_of_more_than_a_phone_loads_does_not_fit(zoo: Callable[..., Said]) -> None:
    """Where the memory would do: 4 GB of a flexible package, on an iPad of 16 GB."""
    name = "mistral:7b-instruct-v0.3/coreml-int4"
    said = zoo("fit", name, "--device", "ipad-pro-m4-16gb", "--json")
    assert said.code == 1
    assert any("one package has" in reason for reason in said.json["reasons"])
    assert zoo("fit", name, "--memory", "16GB").code == 0, "a Mac loads it"


def test_memory_of_ones_own_decides(zoo: Callable[..., Said]) -> None:
    needed = zoo("fit", "mistral:mini/mlx", "--json").json["needed"]
    assert zoo("fit", "mistral:mini/mlx", "--memory", str(needed)).code == 0
    assert zoo("fit", "mistral:mini/mlx", "--memory", str(needed - 1)).code == 1


def test_a_finished_build_is_counted_by_its_own_shapes(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Memory(1_000_000, 2_000_000, 3_000_000, 1_000_000, context=512)
    monkeypatch.setattr(api, "memory_of", lambda pipeline: made)
    said = zoo("fit", "mistral:mini/coreml-fp16", "--memory", "1GB", "--context", "512", "--json")
    assert said.code == 0
    assert said.json["exact"] is True
    assert said.json["needed"] == 7_200_000 + said.json["runtime"]
    longer = zoo("fit", "mistral:mini/coreml-fp16", "--memory", "1GB", "--context", "600", "--json")
    assert longer.code == 1
    assert "options = { context = 600 }" in longer.json["reasons"][0]


@pytest.mark.parametrize("family", ["mistral", "openelm"])
def test_the_estimate_of_caches_is_what_a_build_keeps(
    zoo: Callable[..., Said], family: str
) -> None:
    """By the recipe before there is a build, and by the config of the miniature."""
    folder = RECIPES / family / "mini"
    if family == "mistral":
        config = json.loads((folder / "config.json").read_text())
        heads = config["num_hidden_layers"] * config["num_key_value_heads"]
    else:
        heads = sum(read_openelm_config(folder).kv_heads)
    per_token = 2 * heads * 32 * 2
    said = zoo("fit", f"{family}:mini/coreml-fp16", "--json").json
    assert said["exact"] is False
    assert said["caches"] == 1024 * per_token, "the context of the miniature"
    shorter = zoo("fit", f"{family}:mini/coreml-fp16", "--context", "100", "--json").json
    assert said["needed"] - shorter["needed"] == 924 * per_token


def test_the_caches_of_speech_are_estimated(zoo: Callable[..., Said]) -> None:
    """By the recipe of the miniature, and by the config of the same folder."""
    folder = RECIPES / "whisper" / "mini"
    config = json.loads((folder / "config.json").read_text())
    positions = config["max_source_positions"] + config["max_target_positions"]
    caches = 2 * 2 * config["decoder_layers"] * config["d_model"] * positions
    for line in (["whisper:mini/coreml-fp16"], [f"{folder}", "--family", "whisper"]):
        said = zoo("fit", *line, "--json").json
        assert (said["exact"], said["caches"]) == (False, caches)
    large = zoo("fit", "whisper:large-v3/mlx-4bit", "--json").json
    assert large["caches"] == 2 * 2 * 32 * 1280 * (1500 + 448)


def test_large_pictures_need_room_for_their_decoder(zoo: Callable[..., Said]) -> None:
    """Four results of 256 channels at full size, and one of them again, outweigh 4-bit weights."""
    for name, side in (("1.5", 512), ("2.1", 768), ("xl-base", 1024)):
        said = zoo("fit", f"stable-diffusion:{name}/mlx-4bit", "--json").json
        assert said["activations"] >= 5 * side * side * 256 * 2
    assert zoo("fit", "stable-diffusion:xl-base/mlx-4bit", "--memory", "4.5GB").code == 1


def test_a_long_context_may_be_what_does_not_fit(zoo: Callable[..., Said]) -> None:
    line = ("fit", "mistral:7b-instruct-v0.3/mlx-4bit", "--device", "iphone-15-pro")
    assert zoo(*line, "--context", "1024").code == 0
    said = zoo(*line, "--context", "32768")
    assert said.code == 1
    assert "4.3 GB (estimate)" in said.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--device", "iphone-15-pr"], "did you mean 'iphone-15-pro'?"),
        (["--device", "iphone-15-pro", "--memory", "8GB"], "not both"),
        (["--memory", "much"], "is not a size"),
        (["--memory", "9" * 400 + "GB"], "a size must be above zero, and below"),
        (["--context", "999999"], "can hold 1,024 tokens, not 999,999"),
    ],
)
def test_a_bad_question_is_one_sentence(
    zoo: Callable[..., Said], line: list[str], words: str
) -> None:
    said = zoo("fit", "mistral:mini", *line)
    assert said.code == 2
    assert words in said.err


def test_a_context_is_for_language_models(zoo: Callable[..., Said]) -> None:
    assert "is not one" in zoo("fit", "whisper:mini", "--context", "10").err


def test_every_device_has_a_source_and_limits_below_its_memory() -> None:
    assert len(devices()) >= 30
    for device in devices().values():
        assert device.source.startswith("https://")
        assert device.app < (device.entitled or 0) < device.memory
        assert device.phone
    assert find_device("iphone-15-pro").most == 6_000_000_000
