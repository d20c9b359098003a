"""Find IP addresses: four decimal bytes, or the groups of version 6 as RFC 4291 writes them."""

from __future__ import annotations

import re

from watchllm._redaction._marks import Marks

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
# A version is no address: "v1.2.3.4", "version 10.0.0.1".
_VERSION = re.compile(r"(?:\b[vV]|\bversion[ :=]{1,2}|\brelease )$", re.IGNORECASE)
_LONGEST_VERSION = 12
_V6 = re.compile(r"[0-9A-Fa-f:]{2,45}(?:\.[0-9]{1,3}){0,3}")
_MARKS_V4 = Marks({"0": "0123456789", ".": "."}, ("0.0",))
_MARKS_V6 = Marks({"0": "0123456789abcdefABCDEF", ":": ":"}, ("::", "0:0"))


class IpDetector:
    """Find IP addresses. Linear in the length of the text."""

    kind = "ip"
    placeholder = "[REDACTED_IP]"
    in_labels = False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of addresses in a folded text, in order and apart from each other."""
        found: list[tuple[int, int]] = []
        if text.count(".") > 2 and _MARKS_V4.in_text(text):  # noqa: PLR2004 - between four bytes
            for match in _V4.finditer(text):
                start, end = match.span()
                if _stands_alone(text, start, end) and not _is_version(text, start):
                    found.append((start, end))
        if text.count(":") > 1 and _MARKS_V6.in_text(text):
            found += _version_6(text)
            found.sort()
        return found


def _version_6(text: str) -> list[tuple[int, int]]:
    import ipaddress

    found: list[tuple[int, int]] = []
    for match in _V6.finditer(text):
        start, end = match.span()
        written = match.group()
        if written.count(":") < 2 or not any(char.isdigit() for char in written):  # noqa: PLR2004
            continue  # a time, a word of hexadecimal letters
        if written[-1] == ":" and written[-2] != ":":  # of the sentence
            end -= 1
        if text[start - 1 : start].isalnum() or text[end : end + 1].isalnum():
            continue
        try:
            ipaddress.IPv6Address(text[start:end])
        except ValueError:
            continue
        if _is_slice(text[start:end]):
            continue
        found.append((start, end))
    return found


def _is_slice(written: str) -> bool:
    """Say whether an address is rather the `2::3` or the `::2` of a slice in code."""
    groups = [group for group in written.split(":") if group]
    short = len(groups) <= 2 and max(map(len, groups)) < 4  # noqa: PLR2004 - of a group
    return short and written != "::1"


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether no letter, digit or further byte touches an address of version 4."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isalnum() or after.isalnum() or before in (".", "_") or after == "_":
        return False
    if before == ":" and text[start - 2 : start - 1] == ":":
        return False  # the end of one of version 6
    return not ((after == "." and text[end + 1 : end + 2].isdigit()) or (before == "-"))


def _is_version(text: str, start: int) -> bool:
    return _VERSION.search(text[max(0, start - _LONGEST_VERSION) : start]) is not None
