"""Find telephone numbers.

There is no check digit, so form and context decide. What is written as only telephone numbers are
counts wherever it stands: an international prefix (ITU-T E.164), the groups of North America, a
code in parentheses, the even groups of a national number with its leading zero. Other groups of
digits count after or before words that announce one.
"""

from __future__ import annotations

import re

from watchllm._redaction._marks import Marks

_EXTENSION = r"(?: ?(?:x|ext\.?|extension) ?[0-9]{1,6})?"
_REST = r"[1-9][0-9]{0,2}(?:[ .\-/]?\(0\))?(?:[ .\-/]{0,2}\(?[0-9]{1,12}\)?){1,6}" + _EXTENSION
_NORTH_AMERICAN = re.compile(
    r"(?:1[ .\-])?(?:\([0-9]{3}\) ?|[0-9]{3}(?P<gap>[.\- ]))[0-9]{3}(?(gap)(?P=gap)|[.\- ])[0-9]{4}"
    + _EXTENSION
)
_IN_PARENTHESES = re.compile(r"\(0?[0-9]{1,4}\)[ \-]?[0-9]{3,5}[ \-]?[0-9]{3,4}" + _EXTENSION)
_NATIONAL = re.compile(r"0[0-9]{1,4}(?:(?P<gap>[ .\-/])[0-9]{2,4})(?:(?P=gap)[0-9]{2,4}){1,3}")
_ANY = re.compile(r"\(?[0-9]{1,5}\)?(?:[ .\-/]{0,2}[0-9]{2,8}){1,5}" + _EXTENSION)

_FORMS = (  # with the fewest and the most digits that each may have, extension included
    (re.compile(r"\+" + _REST), 8, 21),
    (re.compile(r"00[ .\-]?" + _REST), 11, 23),
    (_NORTH_AMERICAN, 10, 17),
    (_IN_PARENTHESES, 8, 17),
    (_NATIONAL, 9, 11),
    (re.compile(r"0[0-9]{1,4}[/\-][0-9]{5,8}"), 9, 12),
)
_MARKS = Marks({"0": "0123456789"}, ("0" * 6,), leave_out=" ./-()")
_ROW = re.compile(r"[+(]{0,2}[0-9](?:[ .\-/()]{0,3}[0-9]){5}")
_CANDIDATE = re.compile(r"[+(0-9][0-9(]")
# Words that announce a number, and whether they must begin and end there.
_ANNOUNCEMENTS = (
    ("phone", False, False), ("mobile", False, False), ("telefon", False, False),
    ("whatsapp", False, False), ("hotline", False, False), ("cell", True, False),
    ("tel", True, True), ("fax", True, False), ("desk", True, True), ("call", True, False),
    ("dial", True, False), ("ring", True, True), ("sms", True, True), ("contact", True, False),
    ("reach", True, False), ("text me", True, True), ("text us", True, True),
)  # fmt: skip
_FOLLOWED = re.compile(r" ?[\-(]? ?(?:office|fax|mobile|home|work|cell|phone)\b", re.IGNORECASE)
_FURTHEST = 32  # characters from the start of the announcement to the number
_MOST_TRIES = 3  # at the groups of one row of digits
_FRACTION = re.compile(r"\.[0-9]{7}|\A\+?[0-9]+\.[0-9]{1,2}\Z")
_LONGEST = 15  # digits without an extension (E.164)
_NUMBER = re.compile("[0-9@]")
_WIDEST_GAP = 2
_LEAST, _MOST = 6, 18  # digits of a number that is announced
# A date, or a social security number.
_OTHER = re.compile(
    r"(?:(?:19|20)[0-9]{2}[.\-/][01]?[0-9][.\-/][0-3]?[0-9]"
    r"|[0-3]?[0-9][.\-/][0-3]?[0-9][.\-/](?:19|20)[0-9]{2}"
    r"|[0-9]{3}-[0-9]{2}-[0-9]{4})(?![0-9])"
)


class PhoneDetector:
    """Find telephone numbers. Linear in the length of the text."""

    kind = "phone"
    placeholder = "[REDACTED_PHONE]"
    in_labels = False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of numbers in a folded text, in order and apart from each other."""
        found: list[tuple[int, int]] = []
        if not _MARKS.in_text(text):
            return found
        end = tries = 0
        candidate = _CANDIDATE.search(text)
        while candidate:
            start = candidate.start()
            # A row of groups is tried at its first few: after them it is a table.
            tries = tries + 1 if start - end <= _WIDEST_GAP else 0
            end = _past_digits(text, start)
            before = text[start - 1 : start]
            if (
                tries < _MOST_TRIES
                and not (before.isalnum() or (before and before in "+._#$€£%"))
                and _ROW.match(text, start)
            ):
                stop = _by_form(text, start, found[-1][1] if found else 0)
                if not stop:
                    match = _ANY.match(text, start)
                    if match and _fits(text, match, _LEAST, _MOST):
                        after = _FOLLOWED.match(text, match.end())
                        if after or _is_announced(text, start):
                            stop = match.end()
                if stop:
                    found.append((start, stop))
                    end, tries = stop, 0
            candidate = _CANDIDATE.search(text, end)
        return found


def _is_announced(text: str, start: int) -> bool:
    """Say whether words before a number announce it, with no other number between."""
    window = text[max(0, start - _FURTHEST) : start].lower()
    for word, begins, ends in _ANNOUNCEMENTS:
        at = window.rfind(word)
        if at < 0 or (begins and window[at - 1 : at].isalnum()):
            continue
        between = window[at + len(word) :]
        if not (ends and between[:1].isalnum()) and not _NUMBER.search(between):
            return True
    return False


def _past_digits(text: str, start: int) -> int:
    """Return where the group of digits that starts here ends."""
    end = start + 1
    while text[end : end + 1].isdigit():
        end += 1
    return end


def _by_form(text: str, start: int, least: int) -> int:
    """Return where a number ends that is told by its form alone; 0 if there is none.

    What stands before `least` was found already.
    """
    if _OTHER.match(text, start):
        return 0
    # A group of a longer number, or after another one.
    inner = start - 2 >= least and text[start - 2].isdigit() and text[start - 1] in " .-/("
    for form, fewest, most in _FORMS:
        match = form.match(text, start)
        if match and _fits(text, match, fewest, most):
            if inner and (text[start - 1] != " " or " " in match.group()):
                return 0
            return match.end()
    return 0


def _fits(text: str, match: re.Match[str], fewest: int, most: int) -> bool:
    """Say whether a match has as many digits as it may, and is not the start of more."""
    if _FRACTION.search(match.group()):
        return False
    digits = sum(char.isdigit() for char in match.group())
    end = match.end()
    after, following = text[end : end + 1], text[end + 1 : end + 2]
    if not fewest <= digits <= most or after.isalnum():
        return False
    if digits > _LONGEST and "x" not in match.group().lower():
        return False
    if after == "-" and following.isalpha():
        return _FOLLOWED.match(text, end) is not None
    return not (after and after in "-./:,@_%" and following.isdigit())
