"""Where artifacts come from, as other tools read it; signatures; and repairs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Sandbox
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from faults.world import BODY, REPO, WEIGHTS, World
from huggingface_hub import ModelCard

from zoo.files.digests import sha256_uncached
from zoo.store import provenance
from zoo.store.artifacts import Manifest, Stored

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture
def built(tmp_path: Path, sandbox: Sandbox) -> Iterator[tuple[World, Sandbox]]:
    """A model pulled from a Hub and built."""
    world = World(tmp_path / "world", 100_000)
    sandbox.env = world.env
    done = sandbox.zoo("build", "large", "--build", "plain-loud", "-q")
    assert done.returncode == 0, done.stderr
    yield world, sandbox
    world.close()


def manifest_of(world: World, step: str) -> dict[str, Any]:
    entries = (json.loads(p.read_text()) for p in world.home.glob("artifacts/*/manifest.json"))
    return next(entry for entry in entries if entry["step"] == step)


def test_a_build_records_what_it_was_made_from(built: tuple[World, Sandbox]) -> None:
    world, _ = built
    origin = manifest_of(world, "build")["origin"]
    (source,) = origin["sources"]
    assert (source["repo"], source["commit"]) == (REPO, world.hub.commit(REPO))
    digests = {file["path"]: file["sha256"] for file in source["files"]}
    assert digests[WEIGHTS] == sha256_uncached(world.source / WEIGHTS)
    assert origin["recipe"]["license"] == "MIT"
    assert origin["build"]["optimize"] == [{"kind": "loud", "options": {"times": 2}}]


def test_the_model_card_is_one(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    said = sandbox.zoo("provenance", "large:one/plain-loud")
    assert said.returncode == 0, said.stderr
    card = ModelCard(said.stdout)
    assert card.data.license == "mit"
    assert card.data.base_model == [REPO]
    assert sha256_uncached(world.source / WEIGHTS) in said.stdout
    assert yaml.safe_load(said.stdout.split("---")[1])["pipeline_tag"] == "echo"


def test_the_bill_of_materials_keeps_to_its_schema(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    key = manifest_of(world, "build")["key"]
    said = sandbox.zoo("provenance", key, "--as", "cyclonedx").stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said) is None
    bom = json.loads(said)
    assert bom["components"][0]["purl"] == f"pkg:huggingface/{REPO}@{world.hub.commit(REPO)}"
    hashes = {f["name"]: f["hashes"][0]["content"] for f in bom["components"][0]["components"]}
    assert hashes[WEIGHTS] == sha256_uncached(world.source / WEIGHTS)


def test_the_statement_names_subjects_and_materials(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    said = json.loads(sandbox.zoo("provenance", "large:one/plain-loud", "--as", "in-toto").stdout)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    (subject,) = said["subject"]
    assert subject["name"] == "voice.txt"
    materials = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    digests = {m["uri"].rpartition("/")[2]: m["digest"]["sha256"] for m in materials}
    assert digests[WEIGHTS] == sha256_uncached(world.source / WEIGHTS)


@pytest.mark.parametrize(
    "origin",
    [{}, {"sources": 3}, {"sources": [3, {"files": [1, {"path": "x"}]}]}, {"recipe": "no"}],
    ids=str,
)
def test_an_origin_from_outside_may_say_anything(origin: dict[str, Any]) -> None:
    file = Stored("x", 1, 1, "0" * 64)
    manifest = Manifest("k", "r:v", "build", "b", "f", "2026-01-01T00:00:00Z", "data", {}, (file,))
    manifest = Manifest(**{**vars(manifest), "origin": origin})
    assert "0" * 64 in provenance.model_card(manifest)
    document = provenance.dump(provenance.bill_of_materials(manifest)).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    assert provenance.statement(manifest)["subject"]


def test_verify_repair_fetches_only_what_is_bad(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    blob = next(p for p in world.blobs() if p.parent.name == "blobs")
    data = bytearray(blob.read_bytes())
    data[5000] ^= 1
    stat = blob.stat()
    blob.write_bytes(data)
    os.utime(blob, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert sandbox.zoo("verify").returncode == 5
    world.hub.requests.clear()
    said = sandbox.zoo("verify", "--repair")
    assert said.returncode == 0, said.stderr
    assert f"fetched {WEIGHTS} again" in said.stdout
    assert len(world.hub.seen(BODY)) == 1
    assert not world.hub.seen("voice.txt")
    assert sandbox.zoo("verify").returncode == 0
    assert world.right(_pulled(sandbox))


def _pulled(sandbox: Sandbox) -> Any:
    from faults.world import Said

    done = sandbox.zoo("pull", "large", "-q")
    return Said(done.returncode, Path(done.stdout.strip()), done.stderr)


def test_verify_repair_removes_a_build_that_rotted(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    key = manifest_of(world, "build")["key"]
    (world.home / "artifacts" / key / "data" / "voice.txt").write_text("what?")
    said = sandbox.zoo("verify", "--repair", key)
    assert said.returncode == 0
    assert "the next run makes it again" in said.stdout
    assert sandbox.zoo("build", "large", "--build", "plain-loud", "-q").returncode == 0
    assert sandbox.zoo("verify").returncode == 0


def test_verify_repair_without_the_network_changes_nothing(built: tuple[World, Sandbox]) -> None:
    world, sandbox = built
    voice = next(world.hf.rglob("snapshots/*/voice.txt"))
    voice.resolve().write_text("what?")
    world.hub.__exit__()
    said = sandbox.zoo("verify", "--repair", env={"HF_HUB_OFFLINE": "1"})
    assert said.returncode == 5
    assert "offline mode is on" in said.stdout
    assert next(world.home.glob("artifacts/*source*")).is_dir()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    made = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private.write_bytes(made.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(
        made.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_signatures(built: tuple[World, Sandbox], keys: tuple[Path, Path], tmp_path: Path) -> None:
    world, sandbox = built
    private, public = map(str, keys)
    key = manifest_of(world, "build")["key"]
    unsigned = sandbox.zoo("verify", key, "--key", public)
    assert unsigned.returncode == 5
    assert "it is not signed" in unsigned.stdout
    signed = sandbox.zoo("sign", "large", "--key", private)
    assert signed.returncode == 0, signed.stderr
    assert sandbox.zoo("verify", "--key", public).returncode == 0
    assert sandbox.zoo("verify", key, "--key", public).stdout == f"{key}: ok\n"
    path = world.home / "artifacts" / key / "data" / "voice.txt"
    manifest = path.parent.parent / "manifest.json"
    path.write_text("<other>")  # a forger who also corrects the manifest
    entry = json.loads(manifest.read_text())
    entry["files"][0] |= {"size": 7, "sha256": sha256_uncached(path)}
    manifest.write_text(json.dumps(entry))
    assert sandbox.zoo("verify", key).returncode == 0
    forged = sandbox.zoo("verify", key, "--key", public)
    assert forged.returncode == 5
    assert "its signature is not good" in forged.stdout
    wrong_key = sandbox.zoo("sign", "large", "--key", str(tmp_path / "none.pem"))
    assert wrong_key.returncode == 3


def test_a_signature_says_what_is_signed(
    built: tuple[World, Sandbox], keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Whoever moves it to another model, build, commit or verdict is found out."""
    world, sandbox = built
    private, public = map(str, keys)
    told = manifest_of(world, "build")
    key = told["key"]
    assert sandbox.zoo("sign", key, "--key", private).returncode == 0
    path = world.home / "artifacts" / key / "manifest.json"
    recipe = {**told["origin"]["recipe"], "license": "MIT-0"}
    source, *more = told["origin"]["sources"]
    sized = [{**file, "size": 1} for file in source["files"]]
    for change in (
        {"ref": "mistral:7b-instruct"}, {"build": "other"}, {"format": "mlx"},
        {"check": {"status": "passed", "reason": "", "metrics": {"top1": 1.0}}},
        {"origin": {**told["origin"], "sources": []}},
        {"origin": {**told["origin"], "recipe": recipe}},
        {"origin": {**told["origin"], "sources": [{**source, "branch": "other"}, *more]}},
        {"origin": {**told["origin"], "sources": [{**source, "files": sized}, *more]}},
    ):  # fmt: skip
        path.write_text(json.dumps({**told, **change}))
        assert sandbox.zoo("verify", key, "--key", public).returncode == 5, change
    path.write_text(json.dumps(told))
    assert sandbox.zoo("verify", key, "--key", public).returncode == 0

    for dest in ("signed.tar", "signed"):
        assert sandbox.zoo("export", key, "--to", str(tmp_path / dest)).returncode == 0
        home = {"ZOO_HOME": str(tmp_path / f"home-{dest}")}
        done = sandbox.zoo("import", str(tmp_path / dest), "--key", public, env=home)
        assert done.returncode == 0, done.stderr
        assert sandbox.zoo("verify", key, "--key", public, env=home).returncode == 0
    (tmp_path / "signed" / key / "model.sig").unlink()
    home = {"ZOO_HOME": str(tmp_path / "empty")}
    refused = sandbox.zoo("import", str(tmp_path / "signed"), "--key", public, env=home)
    assert refused.returncode == 5
    assert "it is not signed" in refused.stderr
    assert not list((tmp_path / "empty").glob("artifacts/*"))


def test_a_key_with_a_password(built: tuple[World, Sandbox], tmp_path: Path) -> None:
    world, sandbox = built
    made = ec.generate_private_key(ec.SECP256R1())
    private = tmp_path / "encrypted.pem"
    locked = serialization.BestAvailableEncryption(b"right")
    private.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    key = manifest_of(world, "build")["key"]
    for password, code in (("right", 0), ("wrongSECRET", 2)):
        env = {"ZOO_KEY_PASSWORD": password}
        done = sandbox.zoo("sign", key, "--key", str(private), env=env)
        assert done.returncode == code, done.stderr
        assert password not in done.stderr
