"""The server's own key, kept outside the databases, and what is encrypted under it at rest."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchllm_server.errors import SealError, StartError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "secret.key"


_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
# What is sealed names how, so that another way can come after this one.
_FORMAT = b"\x01"


class Seal:
    """Encrypt and authenticate for one purpose, with AES-256-GCM. Safe to use from any thread.

    A nonce is 96 random bits, of which 2**32 may be used under one key; a purpose has a key of its
    own.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Seal(...)"

    def close(self, plain: bytes, context: bytes = b"") -> bytes:
        """Return the bytes encrypted, 29 longer. They open with the same context alone.

        The context is not kept: it says where the bytes belong, so that none can be moved.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """Return what was encrypted.

        Raises SealError for bytes that are cut, changed, of another context or of another key.
        """
        begin = len(_FORMAT) + _NONCE_BYTES
        if len(sealed) < begin + _TAG_BYTES or not sealed.startswith(_FORMAT):
            raise SealError("The encrypted bytes are cut, or of an unknown format.")
        nonce = sealed[len(_FORMAT) : begin]
        try:
            return self._cipher.decrypt(nonce, memoryview(sealed)[begin:], context)
        except InvalidTag:
            raise SealError(
                "The encrypted bytes are changed, or were written under another secret key."
            ) from None


class Secret:
    """The server's key, from which each purpose has a key of its own."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Secret(...)"

    def seal(self, purpose: str) -> Seal:
        """Return what encrypts for a purpose, as in "cache"; the same purpose is the same key."""
        derive = HKDF(
            algorithm=SHA256(),
            length=_KEY_BYTES,
            salt=None,
            info=f"watchllm-server {purpose}".encode(),
        )
        return Seal(derive.derive(self._key))


def load_secret(directory: Path, given: str = "") -> Secret:
    """Return the server's key: the one given, else that of the directory, which is made if missing.

    Raises StartError when the file cannot be used: a new key in its place could open nothing.
    """
    if given:
        return Secret(given.encode())
    path = directory / FILE_NAME
    if not path.exists():
        _make(path)
    try:
        others_may_read = path.stat().st_mode & 0o077
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise StartError(f"The secret key {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        key, others_may_read = b"", 0
    if others_may_read:
        raise StartError(f"Others may read the secret key: chmod 600 {path}")
    if len(key) != _KEY_BYTES:
        raise StartError(
            f"The secret key {path} is damaged: put it back from a backup. Removing it makes a new "
            "one, with which the stored provider keys cannot be opened."
        )
    return Secret(key)


def _make(path: Path) -> None:
    """Make the file whole or not at all; of processes that race, one makes it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise StartError(f"The secret key {path} cannot be made: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
