"""How a key is made and remembered."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "wllm_"
MIN_LENGTH = 16
_RANDOM_BYTES = 24
_SHOWN_OF_OURS = len(PREFIX) + 4


def new_secret() -> str:
    """Return a key of 192 random bits: `wllm_` and 32 characters of the URL alphabet."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a key.

    A slow hash guards passwords that can be guessed. A key of 192 random bits cannot be, and is
    checked at every request.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def shown_prefix(secret: str) -> str:
    """Return the characters by which a person recognises a key; never a large part of it."""
    return secret[: _SHOWN_OF_OURS if secret.startswith(PREFIX) else 4]
