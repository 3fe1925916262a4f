"""The default `download`, with the real client of the Hub against a Hub on this machine."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from zoo import hub as zoo_hub
from zoo.digests import git_sha1, sha256
from zoo.errors import Gated, IntegrityError, NoRoom, NotFound, Offline
from zoo.progress import Event, Progress
from zoo.recipe import Build, File, Recipe, Source
from zoo.testing.loopback_hub import Fault, LoopbackHub

REPO = "acme/tiny"
WEIGHTS = "model.safetensors"
BODY = f"^GET /cdn/{REPO}/.*{WEIGHTS}"
TREE = f"^GET /api/models/{REPO}/tree"
CONTENT = {
    WEIGHTS: bytes(range(256)) * 2000,
    "config.json": b'{"model_type": "tiny"}',
    "tokenizer/vocab.txt": b"a\nb\n",
    "pytorch_model.bin": b"a pickle",
}
PATHS = (WEIGHTS, "config.json", "tokenizer/vocab.txt")
Usage = namedtuple("Usage", "total used free")


@dataclass
class Puller:
    """Pulls from a Hub and remembers what was told meanwhile."""

    hub: LoopbackHub
    cache: Path
    events: list[Event] = field(default_factory=list)

    @property
    def commit(self) -> str:
        return self.hub.commit(REPO)

    @property
    def notes(self) -> list[str]:
        return [e.message for e in self.events if e.state == "note"]

    def pull(self, *files: File | str, **source: str) -> Path:
        """Pull some files of the pinned commit, unless `source` says otherwise."""
        listed = tuple(File(f) if isinstance(f, str) else f for f in files)
        pinned = source or {"revision": self.commit}
        return pull(Source(files=listed, **{"repo": REPO, **pinned}), self.events)

    def blobs(self, repo: str = REPO) -> list[Path]:
        folder = self.cache / f"models--{repo.replace('/', '--')}"
        return sorted(p for p in folder.glob("blobs/*") if p.is_file())

    def forget(self) -> None:
        """Begin to count requests and notes anew."""
        self.hub.requests.clear()
        self.events.clear()


def pull(source: Source, events: list[Event] | None = None, home: Path = Path()) -> Path:
    recipe = Recipe(
        schema=1,
        family="tiny",
        title="Tiny",
        summary="",
        task="text-generation",
        license="MIT",
        parameters=1,
        source=source,
        build={"plain": Build(format="plain")},
        home=home,
    )
    listener = [] if events is None else events
    return zoo_hub.download(recipe, Path("unused"), Progress("download", listener.append))


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def sha256_of(name: str) -> str:
    return hashlib.sha256(CONTENT[name]).hexdigest()


def pinned_file(name: str) -> File:
    return File(name, len(CONTENT[name]), sha256_of(name))


def assert_right(folder: Path, names: tuple[str, ...] = PATHS) -> None:
    for name in names:
        assert (folder / name).read_bytes() == CONTENT[name], name


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    root = tmp_path / "repositories"
    write(root / REPO / "main", CONTENT)
    with LoopbackHub(root) as running:
        yield running


@pytest.fixture
def puller(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Puller:
    """The client reads its environment once, at import: what it read is replaced."""
    cache = tmp_path / "cache" / "hub"
    files = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(zoo_hub, "PAUSES", (0.01, 0.01))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    return Puller(hub, cache)


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


def test_no_pickle_is_fetched_unless_listed(puller: Puller) -> None:
    folder = puller.pull()
    assert_right(folder)
    assert not puller.hub.seen("pytorch_model")
    assert_right(puller.pull("pytorch_model.bin"), ("pytorch_model.bin",))


def test_a_repository_of_pickles_alone_is_refused(puller: Puller) -> None:
    write(puller.hub.root / "acme/pickles/main", {"pytorch_model.bin": b"a pickle"})
    with pytest.raises(NotFound, match="none of the files that are fetched by default"):
        puller.pull(repo="acme/pickles", branch="main")


def test_a_name_is_no_pattern(puller: Puller) -> None:
    write(puller.hub.root / REPO / "main", {"a[1].txt": b"brackets", "a1.txt": b"none"})
    folder = puller.pull("a[1].txt")
    assert [p.name for p in folder.iterdir()] == ["a[1].txt"]


def test_a_flipped_byte_is_noticed_and_fetched_again(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, flip_at=1000))
    assert_right(puller.pull(*PATHS))
    assert len(puller.hub.seen(BODY)) == 2
    assert "fetching it again" in puller.notes[0]
    assert len(puller.blobs()) == len(PATHS)


def test_a_small_file_is_checked_as_well(puller: Puller) -> None:
    puller.hub.faults.append(Fault("^GET .*/config.json", flip_at=3))
    assert_right(puller.pull())
    assert "git sha1" in puller.notes[0]


def test_wrong_bytes_are_never_left_behind(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, times=9, flip_at=1000))
    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"{WEIGHTS}' has the sha256 .*, expected "):
            puller.pull(*PATHS)
        assert sha256_of(WEIGHTS) not in {blob.name for blob in puller.blobs()}
        assert not list(puller.cache.rglob(f"snapshots/*/{WEIGHTS}"))
    puller.hub.faults.clear()
    assert_right(puller.pull(*PATHS))


def test_a_rotted_file_in_the_cache_is_replaced(puller: Puller) -> None:
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    blob.write_bytes(b"\xff" + blob.read_bytes()[1:])
    puller.forget()
    assert_right(puller.pull(*PATHS))
    assert len(puller.hub.seen(BODY)) == 1
    assert len(puller.notes) == 1


def test_a_truncated_file_in_the_cache_is_replaced(puller: Puller) -> None:
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    os.truncate(blob, 1000)
    assert_right(puller.pull(*map(pinned_file, PATHS)))
    assert "has 1000 bytes, expected 512000" in puller.notes[0]


def test_a_rotted_file_is_not_returned_without_the_network(
    puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate((puller.pull(*PATHS) / WEIGHTS).resolve(), 1000)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Offline, match="offline mode is on"):
        puller.pull(*PATHS)
    assert sha256_of(WEIGHTS) not in {blob.name for blob in puller.blobs()}


def test_a_shared_blob_is_discarded_to_its_end(puller: Puller) -> None:
    """A blob may be a link itself, into a store that several repositories share."""
    blob = (puller.pull(*PATHS) / WEIGHTS).resolve()
    shared = puller.cache / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"rotten")
    blob.unlink()
    blob.symlink_to(shared)
    assert_right(puller.pull(*PATHS))
    assert not shared.exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(BODY, cut_after=200_000, reset=True), "the connection failed"),
        (Fault(BODY, status=503), "it answered 503"),
        (Fault(TREE, times=2, status=503), ""),
        (Fault("^GET /api/models/acme/tiny/revision", times=2, status=503), "it answered 503"),
        (Fault(BODY, cut_after=200_000), ""),
        (Fault(BODY, page=b"<html>log in</html>"), "wrong length"),
        (Fault("^HEAD", status=503), ""),
    ],
    ids=lambda value: str(getattr(value, "match", "")),
)
def test_a_fault_that_passes_is_survived(puller: Puller, fault: Fault, said: str) -> None:
    puller.hub.faults.append(fault)
    assert_right(puller.pull(*PATHS, branch="main"))
    assert fault.times == 0
    assert said in " ".join(puller.notes)


def test_a_fault_that_stays_ends_with_its_status(puller: Puller) -> None:
    puller.hub.faults.append(Fault(BODY, times=99, status=503))
    with pytest.raises(Offline, match="it answered 503"):
        puller.pull(*PATHS)
    assert len(puller.notes) == 2


def test_a_login_page_in_place_of_the_hub(puller: Puller) -> None:
    puller.hub.faults.append(Fault("", times=99, page=b"<html>log in</html>"))
    with pytest.raises(Offline) as caught:
        puller.pull(*PATHS, branch="main")
    assert "login page" in str(caught.value.hint)


def test_a_recipe_with_other_digests_is_an_integrity_error(puller: Puller) -> None:
    wrong = File(WEIGHTS, len(CONTENT[WEIGHTS]), "0" * 64)
    with pytest.raises(IntegrityError, match=f"{WEIGHTS}' .*{sha256_of(WEIGHTS)}, expected 0000"):
        puller.pull(wrong, "config.json")
    assert [blob.name for blob in puller.blobs()] == [
        git_sha1(puller.hub.root / REPO / "main" / "config.json")
    ]


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


def test_a_hub_that_is_down(puller: Puller) -> None:
    puller.hub.__exit__()
    with pytest.raises(Offline, match=f"'{REPO}' .*cannot be fetched from {puller.hub.url}"):
        puller.pull(*PATHS, branch="main")


def test_a_hub_that_is_down_is_not_needed_for_what_is_cached(puller: Puller) -> None:
    puller.pull(*PATHS, branch="main")
    puller.hub.__exit__()
    assert_right(puller.pull(*PATHS, branch="main"))


def test_offline_mode(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Offline, match=f"offline mode is on.*'{REPO}'"):
        puller.pull(*PATHS)
    assert puller.hub.requests == []


def test_offline_mode_with_a_file_too_few(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    puller.pull("config.json", branch="main")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_right(puller.pull("config.json", branch="main"), ("config.json",))
    with pytest.raises(Offline, match=f"offline mode is on.*'{REPO}'"):
        puller.pull(*PATHS, branch="main")


def test_a_small_disk_is_refused_before_the_first_byte(
    puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 100_000))
    with pytest.raises(NoRoom, match=r"needs 0\.5 MB more on disk.* has 0\.1 MB free"):
        puller.pull(*PATHS)
    assert not puller.hub.seen("^GET .*/resolve/")
    puller.pull("config.json")


def test_what_is_cached_needs_no_room(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    puller.pull(*PATHS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 0))
    assert_right(puller.pull(*PATHS))


def test_a_disk_that_fills_up(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **options: object) -> list[SimpleNamespace]:
        if options.get("dry_run"):
            return [SimpleNamespace(filename=p, will_download=False) for p in PATHS]
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("while writing") from error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    with pytest.raises(NoRoom, match=f"the disk filled up while '{REPO}'"):
        puller.pull(*PATHS)


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
