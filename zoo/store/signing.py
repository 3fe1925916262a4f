"""Signatures of artifacts, through the package `model-signing`
(https://github.com/sigstore/model-transparency).

A signature is over the digests of all files, in the bundle format of Sigstore, and is kept beside
the manifest. Keys are elliptic-curve keys in PEM files: nobody has to be asked over a network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, MissingExtra, NotFound, UsageError
from zoo.store.artifacts import Artifact
from zoo.store.store import SIGNATURE

PASSWORD = "ZOO_KEY_PASSWORD"


def sign(artifact: Artifact, private_key: Path) -> Path:
    """Sign the files of an artifact; where the signature is.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the key cannot be used.
    """
    signing, hashing, _ = _package()
    target = artifact.entry / SIGNATURE
    draft = target.with_name(f".{SIGNATURE}")
    try:
        config = signing.Config().use_elliptic_key_signer(
            private_key=_there(private_key), password=os.environ.get(PASSWORD)
        )
        config.set_hashing_config(_hashing(hashing)).sign(artifact.path, draft)
    except (ValueError, TypeError) as error:
        draft.unlink(missing_ok=True)
        raise UsageError(
            f"{private_key} cannot sign: {error}",
            f"give an elliptic-curve private key in PEM, and its password in {PASSWORD}",
        ) from error
    os.replace(draft, target)
    return target


def fault(artifact: Artifact, public_key: Path) -> str | None:
    """What is wrong with the signature of an artifact by this key; `None` when it is good.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the key cannot be used.
    """
    _, hashing, verifying = _package()
    signature = artifact.entry / SIGNATURE
    if not signature.is_file():
        return "it is not signed"
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=_there(public_key))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{public_key} is no elliptic-curve public key: {error}") from error
    config.set_hashing_config(_hashing(hashing))
    # Files that others keep in a shared cache are not ours to be signed.
    config.set_ignore_unsigned_files(not artifact.path.is_relative_to(artifact.entry.resolve()))
    try:
        config.verify(artifact.path, signature)
    except Exception as error:  # whatever the package raises, the signature is not good
        return f"its signature is not good: {' '.join(str(error).split()) or type(error).__name__}"
    return None


def require(artifact: Artifact, public_key: Path) -> None:
    """Refuse an artifact without a good signature by this key.

    Raises:
        IntegrityError: why.
    """
    if wrong := fault(artifact, public_key):
        raise IntegrityError(f"{artifact.manifest.key}: {wrong}")


def _hashing(hashing: Any) -> Any:
    return hashing.Config().set_allow_symlinks(True)


def _there(key: Path) -> Path:
    if not key.is_file():
        raise NotFound(f"there is no key at {key}")
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
