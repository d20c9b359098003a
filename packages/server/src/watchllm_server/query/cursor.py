"""Where a page ended, as opaque text that the next request hands back."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec


class CursorError(ValueError):
    """The text is no cursor of this question."""


def encode_cursor(question: str, *place: str | int) -> str:
    """Return a cursor that is good for one question, in the alphabet of URLs."""
    text = msgspec.json.encode([question, *place])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode_cursor(question: str, cursor: str, *kinds: type) -> list[Any]:
    """Return the place of a cursor; raise CursorError when it was not made for this question."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True)
        found = msgspec.json.decode(text, type=list[str | int])
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError):
        raise CursorError("it is none that this server gave out") from None
    if not found or found[0] != question:
        raise CursorError("it belongs to another question: start again without it")
    place = found[1:]
    if [type(value) for value in place] != list(kinds):
        raise CursorError("it is none that this server gave out")
    if any(isinstance(value, int) and abs(value) >= 2**63 for value in place):
        raise CursorError("it is none that this server gave out")
    return place
