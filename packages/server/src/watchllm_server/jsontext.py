"""JSON text that is kept as it was sent, but for the escapes of its characters."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

# Each alternative begins at an escape, so that an escaped backslash is read as one and never as the
# start of the next escape.
_HALF = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_CODE = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|u(?P<code>[0-9a-fA-F]{4})|.)",
    re.DOTALL,
)
_ASCII = 0x80
_MAX_LEVELS: Final = 64
_STARTS: Final = frozenset('{["-0123456789tfn \t\r\n')
"""What a JSON text may begin with: nearly all prose is told from it at once."""
_decode = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def mend_halves(text: bytes) -> bytes:
    """Replace each lone half of a surrogate pair, which no Unicode text can hold, by U+FFFD.

    A program that cuts texts between two UTF-16 halves sends such.
    """
    return _HALF.sub(lambda match: b"\\ufffd" if match["half"] else match[0], text)


def is_deeper_than(levels: int, text: bytes) -> bool:
    """Return whether lists and objects are nested in more levels. The text must be valid JSON.

    How deep a parser follows depends on the parser; what is stored must be readable for all.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    brackets = _STRING.sub(b"", text).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(levels):
        # Each round takes away the innermost level, at the speed of a search in C.
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def unescape(text: bytes) -> bytes:
    r"""Write characters beyond ASCII as themselves instead of \u escapes, for search to find.

    The text must be valid JSON without lone halves; its value does not change.
    """
    return _CODE.sub(_character, text) if b"\\u" in text else text


def _character(match: re.Match[bytes]) -> bytes:
    if match["high"]:
        pair = bytes.fromhex((match["high"] + match["low"]).decode())
        return pair.decode("utf-16-be").encode()
    if match["code"] and (code := int(match["code"], 16)) >= _ASCII:
        return chr(code).encode()
    return match[0]


def parse(value: Any) -> Any:
    """Return what a JSON text holds, or the value itself when it is no such text."""
    if not isinstance(value, str) or value[:1] not in _STARTS:
        return value
    text = value.encode("utf-8", "replace")
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        mended = mend_halves(text)
        if mended == text:
            return value
        text = mended
        try:
            found = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value if is_deeper_than(_MAX_LEVELS, text) else found


def text_of(value: Any) -> str:
    """Return a value as text: a text itself, nothing for None, else JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
