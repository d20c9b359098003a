"""Find e-mail addresses: look for an at-sign, then read to both sides of it.

The address as RFC 5322 and RFC 6531 give it, with a domain of two labels or more; in the spellings
of URLs, JSON and HTML (`%40`, `&#64;`), and in words (`ada [at] example [dot] com`).
"""

from __future__ import annotations

import re
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SYMBOLS = "!#$%&'*+-/=?^_`{|}~."
_LOCAL = _ALNUM + _SYMBOLS
_LOCAL_IN_WORDS = _ALNUM + "._%+-"
_DOMAIN = _ALNUM + "-."
_LOCAL_SET, _DOMAIN_SET = frozenset(_LOCAL), frozenset(_DOMAIN)
LONGEST_LOCAL = 256  # RFC 5321 allows 64; what is longer is cut, not read for ever
LONGEST_DOMAIN = 255  # RFC 1035
_LONGEST_QUOTED = 66
_LONGEST_LITERAL = 50
# Other spellings of the at-sign: URL, JSON and Python, HTML.
_ESCAPED = ("%40", "%2540", "\\u0040", "\\x40", "&#64;", "&#x40;", "&commat;")
# Endings of files and attributes that are no top-level domains: `icon@2x.png`, `a@b.shape`.
_NO_TOP = frozenset(
    {
        "avif", "bmp", "css", "csv", "dtype", "exe", "gif", "htm", "html",
        "ico", "item", "jpeg", "jpg", "js", "json", "jsx", "lock", "log",
        "mean", "mjs", "ndim", "pdf", "php", "png", "shape", "size", "sum",
        "svg", "tar", "tgz", "toml", "ts", "tsx", "txt", "values", "webp",
        "xml", "yaml", "yml",
    }
)  # fmt: skip
# What stands before an address without being part of it: a bracket, an escaped delimiter, the way
# to it in a URL, a name and an equals sign. All of these are allowed in a local part, but this is
# what they mean.
_LEAD_IN = re.compile(
    r".*[{|}`]|.*%(?:2[0267CFcf]|3[ACDFacdf])|.*[?&][A-Za-z_][\w.\-\[\]]*=|//?(?:.*/)?"
    r"|[A-Za-z_][\w.-]*=|[?&]|'",
    re.DOTALL,
)
_AT_CLOSED = tuple(f"{at}{close}" for close in "])}>" for at in ("at", "AT", "at ", "AT "))
_AT_IN_WORDS = re.compile(r"[\[({<] ?at ?[\])}>][ \t]{0,2}", re.IGNORECASE)
_DOMAIN_IN_WORDS = re.compile(
    r"[\w\-]{1,63}(?:[ \t]{0,2}(?:\.|[\[({<] ?dot ?[\])}>])[ \t]{0,2}[\w\-]{1,63}){1,8}",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    r"(?<![\w.+%\-])[A-Za-z0-9][\w.+%\-]{0,63} at [A-Za-z0-9\-]{1,63}"
    r"(?: dot [A-Za-z0-9\-]{1,63}){1,4}(?!\w)",
    re.IGNORECASE,
)


class EmailDetector:
    """Find e-mail addresses. Linear in the length of the text."""

    kind = "email"
    placeholder = "[REDACTED_EMAIL]"
    in_labels = True

    def may_find(self, text: str) -> bool:
        """Say whether there can be an address in an ASCII text; made for texts without one."""
        if "@" in text or text.rfind("dot") >= 0:
            return True
        if "D" in text and text.rfind("DOT") >= 0:
            return True
        signs: Iterable[str] = ()
        if "%" in text or "\\" in text or "&" in text:
            signs = _ESCAPED
        if "]" in text or ")" in text or "}" in text or ">" in text:
            signs = (*signs, *_AT_CLOSED)
        return any(sign in text for sign in signs) if signs else False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of addresses in a folded text, in order and apart from each other."""
        found: list[tuple[int, int]] = []
        if "@" in text:
            _around(text, "@", found)
        if "%" in text or "\\" in text or "&" in text:
            for sign in _ESCAPED:
                if sign in text:
                    _around(text, sign, found)
        if "]" in text or ")" in text or "}" in text or ">" in text:
            for sign in _AT_CLOSED:
                if sign in text:
                    _in_words(text, found)
                    break
        # From the end a word is found by its first letter, which is rare; a blank is not.
        if (text.rfind("dot") >= 0 and " dot " in text) or (
            text.rfind("DOT") >= 0 and " DOT " in text
        ):
            found.extend(match.span() for match in _SPOKEN.finditer(text))
        return found if len(found) < 2 else _apart(found)  # noqa: PLR2004 - nothing to sort


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    apart = spans[:1]
    for start, end in spans[1:]:
        if start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart


def _in_words(text: str, found: list[tuple[int, int]]) -> None:
    for sign in _AT_IN_WORDS.finditer(text):
        least = max(0, sign.start() - _LONGEST_QUOTED)
        before = text[least : sign.start()].rstrip(" \t")
        start = len(before.rstrip(_LOCAL_IN_WORDS))
        domain = _DOMAIN_IN_WORDS.match(text, sign.end())
        if start < len(before) and domain:
            found.append((least + start, domain.end()))


def _around(text: str, sign: str, found: list[tuple[int, int]]) -> None:
    """Add the address around each occurrence of a sign."""
    ascii_ = text.isascii()
    least = 0
    at = text.find(sign)
    while at >= 0:
        right = at + len(sign)
        before, after = text[at - 1 : at], text[right : right + 1]
        if before and (after.isalnum() or after == "["):
            end = _domain(text, right, ascii_)
            if end:
                start = (
                    _quoted(text, at, least) if before == '"' else _local(text, at, least, ascii_)
                )
                if start < at:
                    plain = text[right:end].isascii()
                    start = _without_lead_in(text, start, at, plain_domain=plain)
                    if text[start:at].strip(_SYMBOLS):  # "`@app.route`" is a name in code
                        found.append((start, end))
                        right = end
        least = right
        at = text.find(sign, right)


def _quoted(text: str, at: int, least: int) -> int:
    """Return where a local part in quotes starts; `at` if there is none."""
    start = text.rfind('"', max(least, at - _LONGEST_QUOTED), at - 1)
    return start if 0 <= start < at - 2 and "\n" not in text[start:at] else at


def _local(text: str, at: int, least: int, ascii_: bool) -> int:
    """Return where the local part that ends at `at` starts; `at` if there is none."""
    least = max(least, at - LONGEST_LOCAL)
    if ascii_:
        return least + len(text[least:at].rstrip(_LOCAL))
    start = at
    while start > least and (text[start - 1] in _LOCAL_SET or _is_letter(text[start - 1])):
        start -= 1
    return start


def _is_letter(char: str) -> bool:
    """Say whether a character beyond ASCII may be in a name: a letter, a digit, an accent."""
    return char > "\x7f" and (char.isalnum() or _is_accent(char))


def _is_accent(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _domain(text: str, start: int, ascii_: bool) -> int:
    """Return where the domain that starts here ends; 0 if it is none."""
    if text[start] == "[":
        return _literal(text, start)
    labels = _of_domain(text[start : start + LONGEST_DOMAIN], ascii_).split(".")
    if labels[0][:1] in ("", "-") or (labels[0].isdigit() and labels[1:2] and labels[1].isdigit()):
        return 0  # of a version: pkg@1.2.3
    end, last = 0, ""
    place = start + len(labels[0])
    for label in labels[1:]:
        if label[:1] in ("", "-"):
            break
        top = _top(label)
        if top:
            end, last = place + 1 + len(top), top
        if len(top) < len(label.rstrip("-")) and not label.isascii():
            break  # "example.com谢谢"; but "eu-1.blue-sky.de" goes on
        place += 1 + len(label)
    is_file = len(labels) == 2 and last.lower() in _NO_TOP  # noqa: PLR2004 - a name and its ending
    return 0 if is_file else end


def _of_domain(piece: str, ascii_: bool) -> str:
    """Return the characters at the start that a domain may have."""
    if ascii_:
        return piece[: len(piece) - len(piece.lstrip(_DOMAIN))]
    size = 0
    while size < len(piece) and (piece[size] in _DOMAIN_SET or _is_letter(piece[size])):
        size += 1
    return piece[:size]


def _literal(text: str, start: int) -> int:
    """Return where an IP address in brackets ends; 0 if it is none."""
    close = text.find("]", start, start + _LONGEST_LITERAL)
    literal = text[start + 1 : close] if close > 0 else ""
    if literal[:5].lower() == "ipv6:":
        literal = literal[5:]
    good = len(literal) > 2 and not literal.strip("0123456789abcdefABCDEF.:")  # noqa: PLR2004
    return close + 1 if good and ("." in literal or ":" in literal) else 0


def _top(label: str) -> str:
    """Return the part of a label that can be a top-level domain; nothing if none can."""
    label = label.rstrip("-")
    if label[:4].lower() == "xn--":
        return label if len(label) > 5 else ""  # noqa: PLR2004 - the prefix and a letter
    size = 0
    if label[:1].isascii():
        # "bob@example.com谢谢", "bob@example.com123": the address ends where ASCII letters end.
        while size < len(label) and label[size].isascii() and label[size].isalpha():
            size += 1
    else:
        while size < len(label) and (label[size].isalpha() or _is_accent(label[size])):
            size += 1
    return label[:size] if size > 1 else ""


def _without_lead_in(text: str, start: int, at: int, *, plain_domain: bool) -> int:
    """Return where the address starts when what stands before it, and is not of it, is left out."""
    if text[start] == '"':
        return start
    local = text[start:at]
    lead_in = _LEAD_IN.match(local)
    # Only where something is left: `a=b@example.com` loses its `a=`, `=@example.com` nothing.
    if lead_in and lead_in.end() < len(local):
        start += lead_in.end()
    if plain_domain and not local.isascii():
        # "联系bob@example.com": a name of ASCII letters ends at a script without letter case.
        for place in range(at - 1, start - 1, -1):
            if text[place] >= "\u2e80":
                return place + 1 if place + 1 < at else start
    return start
