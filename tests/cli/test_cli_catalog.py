"""Catalogs that a person adds: folders, and archives by their address."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cli.world import RECIPE, Said
from zoo.errors import Offline
from zoo.hub import catalog_archive

CATALOG = 'schema = 1\n[models.small]\ndefault = "one"\nvariants = { one = "recipes/one.toml" }\n'


def folder_of(path: Path, recipe: str = RECIPE) -> Path:
    (path / "recipes").mkdir(parents=True)
    (path / "catalog.toml").write_text(CATALOG)
    (path / "recipes" / "one.toml").write_text(recipe % ("0" * 64))
    (path / "recipes" / "check.txt").write_text("Once.\n")
    return path


def archive_of(path: Path, **more: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.add(path, arcname="acme-1.0")
        for name, data in more.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


class Web:
    def __init__(self, url: str, files: dict[str, bytes]) -> None:
        self.url, self.files = url, files


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, format: str, *args: object) -> None:
            assert "Bearer" not in self.headers.get("Authorization", "")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Web(f"http://127.0.0.1:{server.server_port}", files)
        server.shutdown()


def test_a_folder_is_read_where_it_is(zoo: Callable[..., Said], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "acme")
    assert zoo("catalog", "add", str(folder)).code == 0
    assert [m["ref"] for m in zoo("list", "acme/", "--json").json["models"]] == ["acme/small:one"]
    recipe = folder / "recipes" / "one.toml"
    recipe.write_text(recipe.read_text().replace("Tiny model", "Changed model"))
    assert "Changed model (acme/small:one)" in zoo("show", "acme/small").out
    rows = {row["name"]: row for row in zoo("catalog", "list", "--json").json["catalogs"]}
    assert rows["acme"]["origin"] == str(folder)
    assert rows["acme"]["models"] == 1
    again = zoo("catalog", "add", str(folder))
    assert again.code == 2
    assert "there is a catalog 'acme' already" in again.err
    assert zoo("catalog", "add", str(folder), "--name", "Zoo!").code == 2
    assert zoo("catalog", "add", str(folder), "--name", "zoo").code == 2
    assert zoo("catalog", "remove", "acme").code == 0
    assert zoo("show", "acme/small").code == 3
    assert (folder / "catalog.toml").is_file()
    assert zoo("catalog", "remove", "acme").code == 3


def test_an_invalid_catalog_is_not_added(zoo: Callable[..., Said], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "acme", RECIPE.replace("license", "licence"))
    said = zoo("catalog", "add", str(folder))
    assert said.code == 2
    assert "licence: unknown key, did you mean 'license'?" in said.err
    assert "acme" not in zoo("catalog", "list").out
    assert zoo("catalog", "add", str(tmp_path)).code == 3


def test_an_archive_is_fetched_checked_and_unpacked(
    zoo: Callable[..., Said], tmp_path: Path, web: Web
) -> None:
    data = archive_of(folder_of(tmp_path / "acme"))
    digest = hashlib.sha256(data).hexdigest()
    web.files["/acme.tar.gz"] = data
    address = f"{web.url}/acme.tar.gz"
    bare = zoo("catalog", "add", address)
    assert bare.code == 2
    assert "it is not https" in bare.err
    said = zoo("catalog", "add", address, "--sha256", digest)
    assert said.code == 0, said.err
    assert f"added the catalog 'acme', SHA-256 {digest}" in said.err
    assert "Tiny model (acme/small:one)" in zoo("show", "acme/small").out


def test_secrets_in_the_address_of_a_catalog_are_neither_shown_nor_kept(
    zoo: Callable[..., Said], tmp_path: Path, web: Web
) -> None:
    place = "/acme.tar.gz?token=hf_SECRETSECRET&X-Amz-Signature=SECRET"
    data = web.files[place] = archive_of(folder_of(tmp_path / "acme"))
    address = web.url.replace("//", "//user:SECRET@") + place
    added = zoo("catalog", "add", address, "--sha256", hashlib.sha256(data).hexdigest())
    assert added.code == 0, added.err
    listed = zoo("catalog", "list", "--json")
    assert [c["origin"] for c in listed.json["catalogs"] if c["name"] == "acme"] != [None]
    said = [added, listed, zoo("catalog", "list"), zoo("catalog", "add", address)]
    assert "SECRET" not in "".join(one.out + one.err for one in said)
    kept = [path for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"SECRET" in path.read_bytes()]


def key_pair(folder: Path) -> tuple[Path, Path]:
    made = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(
        made.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_an_archive_is_held_to_the_key_of_its_publisher(
    zoo: Callable[..., Said], tmp_path: Path, web: Web
) -> None:
    folder, stranger = folder_of(tmp_path / "acme"), tmp_path / "stranger"
    stranger.mkdir()
    private, public = key_pair(tmp_path)

    def add(key: Path) -> Said:
        data = web.files["/acme.tar.gz"] = archive_of(folder)
        digest = hashlib.sha256(data).hexdigest()
        line = ("catalog", "add", f"{web.url}/acme.tar.gz", "--sha256", digest)
        return zoo(*line, "--key", str(key))

    assert (add(public).code, "is not signed" in add(public).err) == (5, True)
    signed = zoo("catalog", "sign", str(folder), "--key", str(private))
    assert (signed.code, signed.out) == (0, f"{folder / 'catalog.sig'}\n"), signed.err
    other = add(key_pair(stranger)[1])
    assert (other.code, "its signature is not good" in other.err) == (5, True)
    assert add(private).code == 2
    assert add(tmp_path / "none.pem").code == 3
    for name in ("recipes/one.toml", "recipes/more.toml", ".git/config"):
        file = folder / name
        before = file.read_bytes() if file.exists() else None
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((before or b"") + b"# more")
        said = add(public)
        assert (said.code, "its signature is not good" in said.err) == (5, True), name
        file.unlink() if before is None else file.write_bytes(before)
    assert "acme" not in zoo("catalog", "list").out
    assert add(public).code == 0
    assert "Tiny model (acme/small:one)" in zoo("show", "acme/small").out
    local = zoo("catalog", "add", str(folder), "--name", "b", "--key", str(public))
    assert (local.code, "a folder may change" in local.err) == (2, True)
    assert zoo("catalog", "sign", str(tmp_path), "--key", str(private)).code == 3


def refused(zoo: Callable[..., Said], web: Web, data: bytes, code: int, words: str) -> None:
    web.files["/acme.tar.gz"] = data
    digest = hashlib.sha256(data).hexdigest()
    said = zoo("catalog", "add", f"{web.url}/acme.tar.gz", "--sha256", digest)
    assert (said.code, words in said.err) == (code, True), said.err
    assert "acme" not in zoo("catalog", "list").out


def test_what_is_no_catalog_is_refused(
    zoo: Callable[..., Said], tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "acme")
    changed = zoo("catalog", "add", f"{web.url}/gone.tar.gz", "--sha256", "0" * 64)
    assert (changed.code, "there is nothing at" in changed.err) == (3, True)
    web.files["/acme.tar.gz"] = archive_of(folder)
    changed = zoo("catalog", "add", f"{web.url}/acme.tar.gz", "--sha256", "0" * 64)
    assert changed.code == 5
    assert "it changed, or is another file; it was not used" in changed.err
    refused(zoo, web, b"<!DOCTYPE html><title>404</title>", 5, "is a web page, not an archive")
    refused(zoo, web, b"plain words", 5, "is not an archive")
    refused(zoo, web, archive_of(tmp_path / "acme" / "recipes"), 3, "there is no catalog.toml")
    monkeypatch.setattr(catalog_archive, "LARGEST", 1 << 20)
    refused(zoo, web, archive_of(folder, bomb=bytes(2 << 20)), 5, "unpacks to more than 1 MB")
    refused(zoo, web, bytes(3 << 20), 5, "is larger than 1 MB")
    refused(zoo, web, b"\xfd7zXZ\0" + bytes(600), 5, "is not an archive")
    assert zoo("catalog", "add", f"{web.url}/page", "--sha256", "0" * 64).code == 2
    bad = zoo("catalog", "add", "http://[::1/acme.zip", "--sha256", "0" * 64)
    assert (bad.code, "unexpected" in bad.err) == (2, False), bad.err
    bad = zoo("catalog", "add", f"{web.url}0000/acme.zip", "--sha256", "0" * 64)
    assert (bad.code, "cannot be reached" in bad.err) == (7, True), bad.err
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert zoo("catalog", "add", f"{web.url}/acme.tar.gz", "--sha256", "0" * 64).code == 7


def test_a_server_that_keeps_us_waiting_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(size: int) -> Iterator[bytes]:
        for _ in range(9):
            time.sleep(0.02)
            yield bytes(size)

    monkeypatch.setattr(catalog_archive, "SECONDS", 0.05)
    assert len(b"".join(catalog_archive.bounded(slowly(1 << 16), "http://a/x.zip"))) == 9 << 16
    with pytest.raises(Offline, match="sends too slowly"):
        list(catalog_archive.bounded(slowly(1), "http://a/x.zip"))


def test_a_record_that_is_damaged_affects_only_its_own_catalog(
    zoo: Callable[..., Said], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "acme")
    zoo("catalog", "add", str(folder))
    record = tmp_path / "config" / "catalogs" / "acme" / "added.json"
    record.write_text("{")
    listed = zoo("list")
    assert listed.code == 0
    assert "mistral:mini" in listed.out
    assert "remove it: zoo catalog remove acme" in zoo("show", "acme/small").err
    assert zoo("catalog", "remove", "acme").code == 0


def test_the_shipped_catalog_lacks_only_what_no_public_page_says(zoo: Callable[..., Said]) -> None:
    known = [f"--allow={kind}" for kind in ("unpinned", "unhashed", "unsized")]
    said = zoo("catalog", "check", *known, "--json").json
    assert said["models"] == 67
    assert {(gap["ref"], gap["kind"]) for gap in said["gaps"]} == {
        (f"mistral:{name}", "languages")
        for name in ("mathstral-7b", "codestral-22b", "openchat-3.5")
    }, "their model cards name no natural language"


def test_gaps_are_named(zoo: Callable[..., Said], tmp_path: Path) -> None:
    recipe = RECIPE.replace('license = "MIT"', 'license = "LicenseRef-Odd"').replace(
        "size = 4, ", ""
    )
    folder = folder_of(tmp_path / "acme", recipe)
    said = zoo("catalog", "check", str(folder), "--json")
    assert said.code == 1
    assert {gap["kind"] for gap in said.json["gaps"]} == {"unsized", "license", "languages"}
    assert zoo("catalog", "check", "nowhere").code == 3
