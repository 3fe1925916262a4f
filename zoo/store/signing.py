"""Signatures of artifacts and of catalogs, through the package `model-signing`
(https://github.com/sigstore/model-transparency).

What is signed is what is said: a folder with the in-toto statement of the artifact (which model and
build it is, from which commit, the recipe, the verdict of its check, the digest of each file) and
the files themselves. It has the form of an export, so `model_signing verify` checks one as well.
Signatures are in the bundle format of Sigstore and are kept beside the manifest. Keys are
elliptic-curve keys in PEM files: nobody has to be asked over a network.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, MissingExtra, NotFound, UsageError, said
from zoo.files.safe_folder import SafeFolder, read_regular
from zoo.store import provenance
from zoo.store.artifacts import Artifact, Manifest
from zoo.store.store import SIGNATURE

PASSWORD = "ZOO_KEY_PASSWORD"
CATALOG_SIGNATURE = "catalog.sig"
STATEMENT = "statement.intoto.json"
LARGEST_KEY = 1 << 20
LARGEST_SIGNATURE = 1 << 26


def said_of(manifest: Manifest) -> bytes:
    """What a signature of an artifact says of it."""
    return provenance.dump(provenance.statement(manifest))


def sign(artifact: Artifact, private_key: Path) -> Path:
    """Sign an artifact; where the signature is.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the key cannot be used.
    """
    hashing = _package()[1]
    with _signed_folder(artifact) as folder:
        data = _signature(folder, _hashing(hashing), private_key)
    entry = artifact.entry
    SafeFolder(entry.parent).replace(f"{entry.name}/{SIGNATURE}", data, sync=True)
    return entry / SIGNATURE


def sign_catalog(folder: Path, private_key: Path) -> Path:
    """Sign all files of a catalog's folder; where the signature is: in it.

    Raises:
        MissingExtra, UsageError, NotFound: see `sign`.
    """
    data = _signature(folder, _catalog_hashing(), private_key)
    SafeFolder(folder).replace(CATALOG_SIGNATURE, data, sync=True)
    return folder / CATALOG_SIGNATURE


def require_catalog(folder: Path, public_key: Path, origin: str) -> None:
    """Refuse a catalog whose folder has no good signature of all its files by this key.

    Raises:
        IntegrityError: why.
        MissingExtra, UsageError, NotFound: see `fault`.
    """
    hashing, key = _catalog_hashing(), _there(public_key)
    hint = "it was not added; ask its publisher for the key, or for an archive that it signed"
    try:
        data = SafeFolder(folder).read(CATALOG_SIGNATURE, LARGEST_SIGNATURE)
    except FileNotFoundError:
        raise IntegrityError(
            f"the catalog at {origin} is not signed: it has no {CATALOG_SIGNATURE}", hint
        ) from None
    if wrong := _wrong(folder, data, hashing, key):
        raise IntegrityError(f"the catalog at {origin}: {wrong}", hint)


def _signature(folder: Path, hashing: Any, private_key: Path) -> bytes:
    """The signature of the files in a folder."""
    signing = _package()[0]
    password = os.environ.get(PASSWORD)
    key = _there(private_key)
    with tempfile.TemporaryDirectory(prefix="zoo-sign-") as room:
        draft = Path(room) / SIGNATURE
        try:
            config = signing.Config().use_elliptic_key_signer(
                # It hands the password on as it is, to a reader that takes bytes.
                private_key=key,
                password=None if password is None else os.fsencode(password),
            )
            config.set_hashing_config(hashing).sign(folder, draft)
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{private_key} cannot sign: it is not a private key for signing, or the "
                "password is wrong",
                f"give an elliptic-curve private key in PEM, and its password in {PASSWORD}",
            ) from error
        return read_regular(draft, LARGEST_SIGNATURE)


def _wrong(folder: Path, data: bytes, hashing: Any, key: Path) -> str | None:
    """What is wrong with a signature of the files in a folder; `None` when it is good."""
    verifying = _package()[2]
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key} is not an elliptic-curve public key in PEM") from error
    config.set_hashing_config(hashing)
    with tempfile.TemporaryDirectory(prefix="zoo-sign-") as room:
        signature = Path(room) / SIGNATURE
        signature.write_bytes(data)
        try:
            config.verify(folder, signature)
        except Exception as error:  # whatever the package raises, the signature is not good
            return f"its signature is not good: {said(error)}"
    return None


def fault(artifact: Artifact, public_key: Path) -> str | None:
    """What is wrong with the signature of an artifact by this key; `None` when it is good.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the key cannot be used.
    """
    hashing = _package()[1]
    entry = artifact.entry
    try:
        data = SafeFolder(entry.parent).read(f"{entry.name}/{SIGNATURE}", LARGEST_SIGNATURE)
    except FileNotFoundError:
        return "it is not signed"
    with _signed_folder(artifact) as folder:
        return _wrong(folder, data, _hashing(hashing), _there(public_key))


def require(artifact: Artifact, public_key: Path) -> None:
    """Refuse an artifact without a good signature by this key.

    Raises:
        IntegrityError: why.
    """
    if wrong := fault(artifact, public_key):
        raise IntegrityError(
            f"{artifact.manifest.key}: {wrong}",
            f"it must be signed by the owner of {public_key}: zoo sign",
        )


def signed(artifact: Artifact) -> bool:
    """Whether there is a signature, good or not."""
    return (artifact.entry / SIGNATURE).is_file()


@contextmanager
def _signed_folder(artifact: Artifact) -> Iterator[Path]:
    """What is signed: the statement of an artifact, and links to its files."""
    with tempfile.TemporaryDirectory(prefix="zoo-sign-") as room:
        inside = SafeFolder(Path(room) / "signed")
        inside.replace(STATEMENT, said_of(artifact.manifest))
        for file in artifact.manifest.files:
            inside.link(f"files/{file.path}", str(artifact.path / file.path))
        yield inside.root


def _hashing(hashing: Any) -> Any:
    return hashing.Config().set_allow_symlinks(True)


def _catalog_hashing() -> Any:
    """All files of a catalog's folder but the signature itself."""
    config = _package()[1].Config()
    return config.set_ignored_paths(paths=[CATALOG_SIGNATURE], ignore_git_paths=False)


def _there(key: Path) -> Path:
    """A key that is a plain file of a key's size."""
    if not key.is_file():
        raise NotFound(f"there is no key at {key}")
    if key.stat().st_size > LARGEST_KEY:
        raise UsageError(f"{key} is too large for a key")
    return key


def _package() -> tuple[Any, Any, Any]:
    try:
        from model_signing import hashing, signing, verifying
    except ImportError as error:
        raise MissingExtra(
            f"signatures need model-signing, which is not installed ({error})",
            "pip install 'zoo-ml[sign]'",
        ) from error
    return signing, hashing, verifying
