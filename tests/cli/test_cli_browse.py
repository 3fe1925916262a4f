"""The verbs that browse: list, show, plan, plugins, doctor."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from pathlib import Path

from cli.world import Said, current, put


def test_list(zoo: Callable[..., Said], home: Path) -> None:
    put(home, current("mlx-4bit"), build="mlx-4bit", format="mlx")
    said = zoo("list", "user/tiny")
    assert said.code == 0
    header, one, huge = said.out.splitlines()
    assert header.split() == [
        "NAME", "TASK", "PARAMS", "SIZE", "MEMORY", "FITS", "LICENSE", "FORMATS", "INSTALLED",
        "NOTES", "SUMMARY",
    ]  # fmt: skip
    assert one.split() == [
        "user/tiny:one", "text", "1.0M", "4", "B", "~404.4", "MB", "yes", "MIT", "torch,mlx",
        "mlx-4bit", "=", "user/tiny", "says", "little",
    ]  # fmt: skip
    assert "no" in huge.split()
    assert "gated, unpinned" in huge
    assert "~1800000.0 GB" in huge


def test_list_leaves_garbage_collection_as_it_was(zoo: Callable[..., Said]) -> None:
    assert gc.isenabled()
    assert zoo("list", "no-such-model").code == 1
    assert gc.isenabled()


def test_list_filters_and_json(zoo: Callable[..., Said], home: Path) -> None:
    put(home, current("torch"))
    put(home, "of-another-version", build="mlx-4bit", format="mlx")

    def refs(*line: str) -> list[str]:
        return [m["ref"] for m in zoo("list", *line, "--json").json["models"]]

    assert {"user/tiny:one", "user/tiny:huge", "mistral:7b-instruct"} <= set(refs())
    assert refs("TINY", "--task", "image") == ["user/tiny:huge"]
    assert refs("--family", "stranger") == ["user/tiny:huge"]
    assert refs("user/tiny", "--format", "mlx") == ["user/tiny:one"]
    assert refs("user/tiny", "--fits") == ["user/tiny:one"]
    assert refs("--installed") == ["user/tiny:one"]
    limited = zoo("list", "--limit", "1", "--json").json
    assert len(limited["models"]) == 1
    assert limited["total"] > 1
    model = zoo("list", "user/tiny", "--json").json["models"][0]
    assert set(model) == {
        "ref", "name", "aliases", "title", "summary", "task", "family", "license", "license_name",
        "commercial", "gated", "pinned", "parameters", "context", "languages", "tags",
        "download_bytes", "download_exact", "default_build", "disk_bytes", "memory_bytes", "fits",
        "formats", "installed", "checked",
    }  # fmt: skip
    assert model["installed"] == ["torch"]
    assert model["checked"] == []
    put(home, current("mlx-4bit"), build="mlx-4bit", format="mlx", check={"status": "passed"})
    assert refs("--checked") == ["user/tiny:one"]
    assert zoo("list", "user/tiny", "-q").out.split() == ["user/tiny:one", "user/tiny:huge"]


def test_list_finds_what_people_call_it(zoo: Callable[..., Said]) -> None:
    def refs(*line: str) -> set[str]:
        return {m["ref"] for m in zoo("list", *line, "--json").json["models"]}

    assert "whisper:tiny" in refs("transcription")
    assert refs("--task", "transcription") == refs("--task", "speech") == refs("asr")
    assert {"whisper:small", "whisper:kotoba-v2.0", "mistral:nemo-instruct"} <= refs("japanese")
    assert "whisper:tiny.en" not in refs("japanese")
    assert refs("sdxl", "turbo") == {"stable-diffusion:xl-turbo"}
    assert "mistral:mini" in refs("4bit", "text")
    assert "mistral:mini" in refs("iphone", "stories")
    assert refs("whisper", "--license", "permissive", "--max-size", "160MB", "japanese") == {
        "whisper:tiny"
    }
    assert "mistral:codestral-22b" not in refs("--license", "commercial")
    assert refs("--license", "mit", "zephyr") == {"mistral:zephyr-7b-beta"}
    sizes = [m["download_bytes"] for m in zoo("list", "--sort", "size", "--json").json["models"]]
    assert sizes == sorted(sizes)
    small = zoo("list", "--max-memory", "600 MB", "--json").json["models"]
    assert small
    assert max(m["memory_bytes"] for m in small) <= 600e6


def test_list_says_what_was_meant(zoo: Callable[..., Said]) -> None:
    assert "did you mean 'whisper' for 'whispr'?" in zoo("list", "whispr").err
    assert "no model has all of these words" in zoo("list", "whisper", "sdxl").err
    said = zoo("list", "--task", "transcribtion")
    assert said.code == 2
    assert "did you mean 'transcription'?" in said.err
    said = zoo("list", "--license", "mitt")
    assert said.code == 2
    assert "did you mean 'MIT'?" in said.err
    assert zoo("list", "--max-size", "large").code == 2


def test_the_size_is_never_less_than_the_files(zoo: Callable[..., Said]) -> None:
    """Where some files are of unknown size, those that are known are still counted whole."""
    for model in zoo("list", "--json").json["models"]:
        files = zoo("show", model["ref"], "--json").json["source"]["files"]
        assert model["download_bytes"] >= sum(file["size"] or 0 for file in files), model["ref"]
        assert model["download_exact"] or any(f["size"] is None for f in files) or not files


def test_list_warns_of_what_is_broken(zoo: Callable[..., Said], home: Path) -> None:
    said = zoo("list")
    assert said.code == 0
    warnings = [x for x in said.err.splitlines() if x.startswith("warning: user/spoilt:only: ")]
    assert len(warnings) == 1
    assert "famly" in warnings[0]
    (Path(os.environ["ZOO_CONFIG"]) / "catalog.toml").write_text("schema = [")
    said = zoo("list")
    assert said.code == 0
    assert "warning: user: catalog" in said.err
    assert "mistral:7b-instruct" in said.out


def test_list_without_a_match(zoo: Callable[..., Said]) -> None:
    said = zoo("list", "no-such-thing")
    assert (said.code, said.out) == (1, "")
    assert "no model matches" in said.err
    assert "hint: " in said.err
    assert zoo("list", "no-such-thing", "--json").json["models"] == []


def test_show(zoo: Callable[..., Said], home: Path) -> None:
    check = {
        "status": "passed", "metrics": {"top1": 0.987, "positions": 10.0}, "limits": {"top1": 0.9},
        "tools": {"torch": "2.13"},
    }  # fmt: skip
    put(home, current("torch"), check=check)
    said = zoo("show", "wee")
    assert said.code == 0
    for words in (
        "Tiny model (user/tiny:one)", "license     MIT - Commercial use allowed",
        "Ship the license text with it", "folder weights (pinned)", "128 tokens",
        "quantize (4 bits, groups of 64)", "macOS15", "top1 at least 0.9", "perplexity 3.5",
        "torch: passed, made 2025-01-01", "with torch 2.13", "0.987  at least 0.9",
        "share of positions where both rank the same token", "0" * 64, "zoo run user/tiny:one",
        'zoo.load("user/tiny:one")',
    ):  # fmt: skip
        assert words in said.out, words
    huge = zoo("show", "tiny:huge")
    assert "terms first at https://huggingface.co/owner/huge" in huge.out
    assert "UNPINNED until the first pull" in huge.out


def test_show_json(zoo: Callable[..., Said]) -> None:
    data = zoo("show", "tiny", "--json").json
    assert set(data) == {
        "ref", "title", "summary", "task", "family", "license", "terms", "gated", "chat",
        "languages", "language_names", "tags", "parameters", "dtypes", "context", "url", "source",
        "tokenizer", "adapters", "builds", "refused", "check", "metrics", "run", "commands",
    }  # fmt: skip
    assert set(data["builds"][0]) == {
        "name", "format", "optimize", "minimum_os", "target", "bits_per_weight", "bytes",
        "stored_bytes", "memory_bytes", "fits", "default", "installed", "made", "limits", "check",
        "lint", "words", "offered_by", "compression",
    }  # fmt: skip
    assert data["source"]["files"] == [{"path": "w.bin", "size": 4, "sha256": "0" * 64}]
    assert data["source"]["exact"] is True
    assert data["builds"][1]["bits_per_weight"] == 4.5
    assert data["builds"][1]["limits"] == {"top1": 0.9}
    assert data["terms"]["commercial"] == "yes"
    assert set(data["commands"]) == {"shell", "python", "swift"}


def test_compare(zoo: Callable[..., Said], home: Path) -> None:
    put(home, current("torch"), check={"status": "passed", "metrics": {"top1": 0.987}})
    said = zoo("compare", "tiny", "tiny:huge")
    assert said.code == 0
    rows = {line[:16].strip(): line[16:].split() for line in said.out.splitlines()[1:]}
    assert rows["license"] == ["MIT", "Apache", "2.0"]
    assert rows["gated"] == ["no", "yes"]
    assert rows["fits here"] == ["yes", "no"]
    assert rows["top1"] == ["0.987", "not", "run"]
    builds = zoo("compare", "tiny/torch", "tiny:one/mlx-4bit")
    assert "user/tiny:one/mlx-4bit" in builds.out.splitlines()[0]
    models = zoo("compare", "mistral", "whisper", "sd", "--json").json["models"]
    assert [m["ref"] for m in models] == [
        "mistral:7b-instruct",
        "whisper:tiny",
        "stable-diffusion:1.5",
    ]
    assert set(models[0]["builds"][0]) == {
        "name", "format", "bits_per_weight", "disk_bytes", "disk_exact", "memory_bytes", "minimum_os",
        "fits", "figures",
    }  # fmt: skip
    assert zoo("compare", "mistral").code == 2
    assert zoo("compare", "mistral", "nowhere").code == 3


def test_compare_groups_the_figures_of_an_adapter_below_its_name(
    zoo: Callable[..., Said], home: Path
) -> None:
    metrics = {"top1": 0.987, "kl": 0.01, "pirate:top1": 0.9}
    put(home, current("torch"), check={"status": "passed", "metrics": metrics})
    put(
        home, current("mlx-4bit"), build="mlx-4bit", format="mlx",
        check={"status": "passed", "metrics": {"top1": 0.95, "wild:top1": 0.8}},
    )  # fmt: skip
    said = zoo("compare", "tiny/torch", "tiny/mlx-4bit", "tiny:huge")
    rows = [line.rstrip() for line in said.out.splitlines()]
    after = rows[next(i for i, row in enumerate(rows) if row.startswith("minimum OS")) + 1 :]
    assert [(row[:16].rstrip(), row[16:].split()) for row in after] == [
        ("top1", ["0.987", "0.95", "not", "run"]),
        ("kl", ["0.01", "-", "not", "run"]),
        ("adapter pirate", []),
        ("  top1", ["0.9", "-", "not", "run"]),
        ("adapter wild", []),
        ("  top1", ["-", "0.8", "not", "run"]),
    ]
    disk = next(row for row in rows if row.startswith("on disk"))
    assert disk.count("~") == 1, "what is installed is measured"
    models = zoo("compare", "tiny/torch", "tiny:huge", "--json").json["models"]
    assert models[0]["builds"][0]["figures"] == metrics


def test_card(zoo: Callable[..., Said], home: Path) -> None:
    config = Path(os.environ["ZOO_CONFIG"])
    recipe = (config / "one.toml").read_text()
    (config / "one.toml").write_text(recipe.replace("says little", "<img src=x> *bold* | [a](b)"))
    card = zoo("card", "tiny").out
    assert card.startswith("# Tiny model\n\n\\<img src=x\\> \\*bold\\* \\| \\[a\\](b)\n")
    assert "| `torch` | 16 |" in card
    assert "**Commercial use allowed.**" in card
    assert "```python\nimport zoo" in card


def test_verbs_of_other_tools_are_explained(zoo: Callable[..., Said]) -> None:
    for verb, meant in {
        "search": "zoo list", "info": "zoo show", "download": "zoo pull", "remove": "zoo rm",
        "ps": "zoo ls", "convert": "zoo build", "generate": "zoo run", "help": "zoo --help",
    }.items():  # fmt: skip
        said = zoo(verb, "mistral")
        assert said.code == 2
        assert f"'{verb}' is not a zoo command; you may want: {meant}" in said.err
    assert "did you mean 'prune'?" in zoo("prunes").err
    assert "zoo run NAME INPUT -v" in zoo("bench").err
    for verb in ("tune", "serve"):
        said = zoo(verb, "mistral")
        assert (said.code, said.err.splitlines()[0]) == (
            2, f"error: '{verb}' is not a zoo command, and there is no equivalent",
        )  # fmt: skip


def test_show_after_the_first_pull(zoo: Callable[..., Said], home: Path) -> None:
    home.mkdir()
    files = [{"path": "w.bin", "size": 4, "sha256": "1" * 64}]
    sources = {"owner/huge@main": {"commit": "c" * 40, "files": files}}
    (home / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": sources}))
    assert f"owner/huge@{'c' * 40} (main, locked by the first pull)" in zoo("show", "tiny:huge").out


def test_plan(zoo: Callable[..., Said]) -> None:
    said = zoo("plan", "tiny", "--build", "mlx-4bit")
    assert said.code == 0
    assert said.out.startswith("user/tiny:one/mlx-4bit (mlx)\n")
    assert "to do" in said.out
    data = zoo("plan", "tiny:one/mlx-4bit", "--json").json
    assert set(data) == {
        "ref", "build", "format", "pinned", "steps", "bytes_needed", "memory_bytes",
        "machine_memory_bytes", "fits", "license", "license_name", "commercial", "gated", "missing",
        "install",
    }  # fmt: skip
    assert [s["name"] for s in data["steps"]] == ["download", "convert", "optimize", "run"]
    assert set(data["steps"][0]) == {"name", "provider", "done", "bytes"}


def test_plugins(zoo: Callable[..., Said]) -> None:
    said = zoo("plugins")
    assert said.code == 0
    assert "mistral.torch" in said.out
    plugins = zoo("plugins", "--json").json["plugins"]
    assert set(plugins[0]) == {
        "kind", "name", "distribution", "version", "module", "status", "missing", "install",
        "reason",
    }  # fmt: skip
    assert {p["kind"] for p in plugins} >= {"family", "format"}


def test_doctor(zoo: Callable[..., Said], home: Path) -> None:
    said = zoo("doctor")
    assert said.code == 1
    assert "problem: user/spoilt:only" in said.out
    config = Path(os.environ["ZOO_CONFIG"])
    (config / "catalog.toml").unlink()
    data = zoo("doctor", "--json").json
    assert set(data) == {
        "machine", "memory_bytes", "home", "free_bytes", "writable", "python", "zoo", "packages",
        "formats", "token", "offline", "leftovers", "problems",
    }  # fmt: skip
    assert data["token"] is False
    token = Path(os.environ["HF_HOME"]) / "token"
    token.parent.mkdir()
    token.write_text("hf_secret")
    said = zoo("doctor")
    assert "hub token  yes" in said.out
    assert "hf_secret" not in said.out + said.err
    put(home, "k1").joinpath("manifest.json").write_text("{")
    (home / "zoo.lock").write_text("{")
    problems = " ".join(zoo("doctor", "--json").json["problems"])
    assert "k1 is corrupt" in problems
    assert "zoo.lock" in problems


def test_cost_starts_no_large_build_unasked(zoo: Callable[..., Said]) -> None:
    said = zoo("cost", "mistral")
    assert said.code == 2
    assert "'mistral:7b-instruct/coreml-fp16' is not built yet" in said.err
    assert "GB" in said.err
    assert "or allow it with -y" in said.err
