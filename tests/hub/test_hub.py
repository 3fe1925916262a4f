"""The default `download`: what a pull brings, from a Hub on this machine or from a folder."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path

import huggingface_hub
import pytest
from worlds.hub_world import (
    BODY,
    CONTENT,
    PATHS,
    REPO,
    WEIGHTS,
    Puller,
    assert_right,
    pinned_file,
    pull,
    safetensors,
    sha256_of,
    write,
)

from zoo.catalogs.source import File, Source
from zoo.errors import Gated, IntegrityError, NotFound
from zoo.files.digests import git_sha1, sha256
from zoo.hooks import defaults as zoo_hub
from zoo.testing.loopback_hub import LoopbackHub

Usage = namedtuple("Usage", "total used free")


def test_a_pull_brings_the_right_bytes_in_the_layout_of_the_cache(puller: Puller) -> None:
    folder = puller.pull(*PATHS)
    assert_right(folder)
    assert folder == puller.cache / "models--acme--tiny" / "snapshots" / puller.commit
    names = {sha256(folder / WEIGHTS), *(git_sha1(folder / p) for p in PATHS[1:])}
    assert {blob.name for blob in puller.blobs()} == names
    assert zoo_hub.fetched_commit(folder) == puller.commit
    assert puller.notes == []


def test_progress_counts_the_bytes(puller: Puller) -> None:
    puller.pull(*PATHS)
    total = sum(len(CONTENT[name]) for name in PATHS)
    counts = [(e.done, e.total) for e in puller.events if e.state == "update"]
    assert counts == sorted(counts)
    assert counts[-1] == (total, total)


def test_a_pinned_commit_is_asked_for_once(puller: Puller) -> None:
    puller.pull(*PATHS)
    assert len(puller.hub.seen(BODY)) == 1
    puller.forget()
    assert_right(puller.pull(*PATHS))
    assert puller.hub.requests == []


def test_a_branch_leads_to_its_commit(puller: Puller) -> None:
    assert zoo_hub.fetched_commit(puller.pull(*PATHS, branch="main")) == puller.commit


def test_a_repository_may_answer_to_the_commit_of_a_recipe(puller: Puller) -> None:
    puller.hub.alias_commit(REPO, "0123456789" * 4)
    folder = puller.pull(*PATHS, revision="0123456789" * 4)
    assert zoo_hub.fetched_commit(folder) == "0123456789" * 4
    assert_right(folder)


def test_no_pickle_is_fetched_even_if_listed(puller: Puller) -> None:
    folder = puller.pull()
    assert_right(folder)
    assert not puller.hub.seen("pytorch_model")
    with pytest.raises(IntegrityError, match=r"pytorch_model\.bin', which is a pickled checkpoint"):
        puller.pull(WEIGHTS, "pytorch_model.bin")
    assert not puller.hub.seen("pytorch_model")


def test_a_repository_of_pickles_alone_is_refused(puller: Puller) -> None:
    write(puller.hub.root / "acme/pickles/main", {"pytorch_model.bin": b"a pickle"})
    with pytest.raises(NotFound, match="none of the files that are fetched by default"):
        puller.pull(repo="acme/pickles", branch="main")


def test_a_name_is_no_pattern(puller: Puller) -> None:
    write(puller.hub.root / REPO / "main", {"a[1].txt": b"brackets", "a1.txt": b"none"})
    folder = puller.pull("a[1].txt")
    assert [p.name for p in folder.iterdir()] == ["a[1].txt"]


def test_a_recipe_with_other_digests_is_refused_before_the_first_byte(puller: Puller) -> None:
    wrong = File(WEIGHTS, len(CONTENT[WEIGHTS]), "0" * 64)
    with pytest.raises(IntegrityError, match=f"{WEIGHTS}' .*{sha256_of(WEIGHTS)}, expected 0000"):
        puller.pull(wrong, "config.json")
    assert puller.blobs() == []
    small = File("config.json", len(CONTENT["config.json"]), "0" * 64)
    with pytest.raises(IntegrityError, match=r"config\.json' has the sha256 .*, expected 0000"):
        puller.pull(small)
    assert puller.blobs() == []


def test_a_gated_repository_says_what_to_do(puller: Puller) -> None:
    puller.hub.gated.add(REPO)
    with pytest.raises(Gated, match=REPO) as caught:
        puller.pull(*PATHS)
    assert f"{puller.hub.url}/{REPO}" in str(caught.value.hint)
    assert "hf auth login" in str(caught.value.hint)


def test_a_gated_repository_opens_to_its_token(
    puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    puller.hub.gated.add(REPO)
    monkeypatch.setenv("HF_TOKEN", puller.hub.token)
    assert_right(puller.pull(*PATHS))


def test_a_refused_token_is_never_shown(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mistaken")
    with pytest.raises(Gated, match="refuses your token") as caught:
        puller.pull(*PATHS)
    assert "hf_mistaken" not in f"{caught.value.message} {caught.value.hint} {puller.notes}"


def test_an_unknown_repository(puller: Puller) -> None:
    with pytest.raises(NotFound, match="no repository 'acme/none', or it is private") as caught:
        puller.pull(repo="acme/none", branch="main")
    assert "HF_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize("revision", [{"branch": "none"}, {"revision": "0" * 40}], ids=str)
def test_an_unknown_revision(puller: Puller, revision: dict[str, str]) -> None:
    name = next(iter(revision.values()))
    with pytest.raises(NotFound, match=f"'{REPO}' has no revision '{name}'"):
        puller.pull(*PATHS, **revision)


def test_a_missing_file_is_named_before_anything_is_fetched(puller: Puller) -> None:
    with pytest.raises(NotFound, match=f"'{REPO}' .*{puller.commit}.* has no file 'none.json'"):
        puller.pull(WEIGHTS, "none.json")
    assert not puller.hub.seen(BODY)


def test_a_folder_is_taken_where_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "weights", CONTENT)
    files = tuple(map(pinned_file, PATHS))
    assert pull(Source(folder="weights", files=files), home=tmp_path) == folder
    assert pull(Source(folder=str(folder))) == folder
    assert zoo_hub.fetched_commit(folder) is None


def test_a_folder_without_a_file(tmp_path: Path) -> None:
    write(tmp_path / "weights", {"config.json": b"{}"})
    with pytest.raises(NotFound, match=f"has no file '{WEIGHTS}'"):
        pull(Source(folder="weights", files=(File(WEIGHTS),)), home=tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"short", "has 5 bytes, expected 22"), (b"x" * 22, "has the sha256 .*, expected ")],
)
def test_a_folder_with_other_bytes(tmp_path: Path, data: bytes, said: str) -> None:
    write(tmp_path / "weights", {"config.json": data})
    with pytest.raises(IntegrityError, match=f"'config.json' {said}"):
        pull(Source(folder="weights", files=(pinned_file("config.json"),)), home=tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="weights does not exist"):
        pull(Source(folder="weights"), home=tmp_path)


def test_other_programs_share_what_was_pulled(puller: Puller) -> None:
    """The Hub's own client finds the files, knows that they are all, and asks for nothing."""
    folder = puller.pull(branch="main")
    puller.forget()
    options = {"cache_dir": puller.cache, "allow_patterns": ["*.safetensors", "*.json"]}
    found = huggingface_hub.snapshot_download(REPO, local_files_only=True, **options)
    assert Path(found) == folder
    assert huggingface_hub.get_cached_repo_tree(REPO, cache_dir=puller.cache)
    (repo,) = huggingface_hub.scan_cache_dir(puller.cache).repos
    assert {file.file_name for file in next(iter(repo.revisions)).files} == {
        Path(path).name for path in PATHS
    }
    assert puller.hub.requests == []


def test_what_other_programs_pulled_is_used_after_it_was_verified(puller: Puller) -> None:
    huggingface_hub.snapshot_download(REPO, cache_dir=puller.cache, allow_patterns=list(PATHS))
    puller.forget()
    assert_right(puller.pull(*PATHS))
    assert not puller.hub.seen(BODY)
    blob = (puller.cache / "models--acme--tiny/snapshots" / puller.commit / WEIGHTS).resolve()
    blob.write_bytes(CONTENT[WEIGHTS][:-1] + b"?")
    assert_right(puller.pull(*PATHS))
    assert len(puller.hub.seen(BODY)) == 1


def test_a_gate_is_met_before_the_first_byte(puller: Puller) -> None:
    puller.hub.gated.add(REPO)
    with pytest.raises(Gated):
        puller.pull(*PATHS)
    assert not puller.hub.seen("^GET .*/resolve/")


def test_a_token_goes_to_the_hub_alone(
    puller: Puller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with LoopbackHub(puller.hub.root) as elsewhere:
        puller.hub.cdn = elsewhere.url
        monkeypatch.setenv("HF_TOKEN", puller.hub.token)
        assert_right(puller.pull(*PATHS))
        assert [request.authorized for request in elsewhere.seen(WEIGHTS)] == [False]
    assert all(request.authorized for request in puller.hub.seen("resolve"))
    assert not [path for path in puller.cache.rglob("*") if _holds(path, puller.hub.token)]


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text.encode() in path.read_bytes()


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil.json", "a/../../evil.json", "a\\evil.json", "CON.json"]
)
def test_a_listing_cannot_name_a_file_outside(
    puller: Puller, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    puller.hub.extra_entries = [{"type": "file", "path": name, "size": 3, "oid": "a" * 40}]
    with pytest.raises(IntegrityError, match="not a plain path inside its folder"):
        puller.pull(branch="main")
    assert not puller.hub.seen("^GET .*/resolve/")


def test_a_listing_cannot_name_two_files_that_are_one_elsewhere(puller: Puller) -> None:
    puller.hub.extra_entries = [{"type": "file", "path": "CONFIG.json", "size": 3, "oid": "a" * 40}]
    with pytest.raises(IntegrityError, match="cannot tell apart"):
        puller.pull(branch="main")


def test_weights_with_a_crafted_header_are_refused(puller: Puller) -> None:
    write(puller.hub.root / "acme/crafted/main", {WEIGHTS: b"\xff" * 8 + CONTENT[WEIGHTS][8:]})
    with pytest.raises(IntegrityError, match="not a valid safetensors file: its header claims"):
        puller.pull(repo="acme/crafted", branch="main")


def test_second_copies_of_weights_are_not_fetched(hub: LoopbackHub, puller: Puller) -> None:
    other = {
        "consolidated.safetensors": safetensors({"x": b"1" * 64}),
        "model.fp16.safetensors": safetensors({"w": b"2" * 64}),
        "onnx/model.safetensors": safetensors({"w": b"3" * 64}),
    }
    write(hub.root / REPO / "main", {**CONTENT, **other})
    folder = puller.pull(branch="main")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == set(PATHS)
    shards = {
        f"model-0000{n}-of-00002.safetensors": safetensors({f"w{n}": b"4" * 64}) for n in (1, 2)
    }
    stale = {"model-00001-of-00003.safetensors": safetensors({"old": b"5" * 64})}
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(shards, 1)}}
    content = {
        **CONTENT,
        **shards,
        **stale,
        "model.safetensors.index.json": json.dumps(index).encode(),
    }
    del content[WEIGHTS]
    (hub.root / REPO / "main" / WEIGHTS).unlink()
    write(hub.root / REPO / "main", content)
    folder = puller.pull(branch="main")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in there if name.endswith(".safetensors")} == set(shards)
