"""In which ways two questions differ that a measure of likeness hardly sees.

A vector says that "turn it on" and "turn it off" are almost the same. What is read here are the
small things that change an answer: numbers, dates, units, negation, opposites, direction, quoted
text, code, names and how much is asked. Where both texts say something and it is not the same, they
conflict; where one of them says more than the other, it adds.
"""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.cache import lexicon

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Difference(IntEnum):
    """How two texts differ in one respect."""

    NONE = 0
    ADDS = 1
    CONFLICT = 2


class Signs(NamedTuple):
    """What the guards read of a text."""

    words: tuple[str, ...]
    content: tuple[str, ...]
    numbers: tuple[str, ...]
    dates: frozenset[str]
    units: frozenset[str]
    negations: int
    quoted: frozenset[str]
    code: frozenset[str]
    names: frozenset[str]
    roles: frozenset[tuple[str, str]]
    asked: tuple[frozenset[str], ...]
    text: str


class Differences(NamedTuple):
    """How two texts differ, by respect."""

    numbers: Difference
    dates: Difference
    units: Difference
    negation: Difference
    opposites: Difference
    direction: Difference
    quoted: Difference
    code: Difference
    names: Difference
    asked: Difference

    def conflicts(self) -> tuple[str, ...]:
        """Return the respects in which the texts conflict."""
        return tuple(
            name
            for name, found in zip(self._fields, self, strict=True)
            if found is Difference.CONFLICT
        )


_QUOTES: Final = str.maketrans("\u2018\u2019\u201c\u201d\u00ab\u00bb", "''" + '"' * 4)
_WORD: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[$€£¥₹%]")
_DIGITS: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_SUFFIX: Final = re.compile(r"(?<=\d)(st|nd|rd|th|k|m|bn)\b", re.IGNORECASE)
_QUOTED: Final = re.compile(
    r'"([^"\n]{1,500})"|`([^`\n]{1,500})`|(?<!\w)\'([^\'\n]{2,500})\'(?!\w)'
)
# What is written as in a program, a path, an address: its letters matter to the last one.
_CODE: Final = re.compile(
    r"https?://\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|--?[a-zA-Z][\w-]*(?==|\s|$)"
    r"|\b[a-z]+[A-Z]\w*|\b\w+_\w+|\b\w+\.[a-zA-Z]\w*(?:\.\w+)*|(?:\.{0,2}/)[\w./-]+|\w+\(\)?"
    r"|\bv?\d+(?:\.\d+){2,}\b|\b(?=\w*\d)(?=\w*[A-Za-z])\w{2,}\b|\.\.|[=<>!+*/^&|~]{1,3}|\w*[#+]+(?!\w)"
)
# Between two sentences; after "Mr." or "U.S." none begins.
_BETWEEN: Final = re.compile(r"(?<=[?!])\s+|(?<=\w{3}\.)\s+(?=[A-Z])|\n+")
_NAME: Final = re.compile(r"(?<![.!?:\n]\s)(?<!^)(?<![\w'])([A-Z][\w-]*)|(?<!\w)([A-Z]{2,})(?!\w)")
_LIKE_NUMBER: Final = re.compile(
    r"\d+(?:st|nd|rd|th|k|m|bn|am|pm|h|kg|g|km|cm|mm|mg|ml|gb|mb|°c)?\Z"
)
_MULTIPLES: Final = {"k": 1e3, "m": 1e6, "bn": 1e9}
_SCALES: Final = frozenset({"100", "1000", "1000000", "1000000000"})
_TENS: Final = range(20, 100)


def read(text: str) -> Signs:
    """Return what the guards see in a text; any text will do. Pure, and thread-safe."""
    text = text.translate(_QUOTES)
    words = tuple(found.lower() for found in _WORD.findall(_SUFFIX.sub("", text)))
    content = tuple(stem(word) for word in words if word not in lexicon.COMMON)
    return Signs(
        words,
        content,
        _numbers(text),
        _dates(words),
        frozenset(lexicon.UNITS[word] for word in words if word in lexicon.UNITS),
        sum(word in lexicon.NEGATIONS or word.endswith("n't") for word in words),
        frozenset(next(filter(None, groups)).strip() for groups in _QUOTED.findall(text)),
        frozenset(_code(text)),
        frozenset((a or b).lower() for a, b in _NAME.findall(text) if (a or b) != "I"),
        frozenset(_roles(words)),
        tuple(_asked(text)),
        text,
    )


def compare(one: Signs, other: Signs) -> Differences:
    """Return how two texts differ; the order of the two does not matter."""
    return Differences(
        _compare_numbers(one, other),
        _compare(one.dates, other.dates),
        _compare(one.units, other.units),
        _compare_negation(one, other),
        Difference.CONFLICT if opposites(one, other) else Difference.NONE,
        Difference.CONFLICT if turned(one, other) else Difference.NONE,
        _compare_strings(one.quoted, other, other.quoted, one),
        _compare_strings(one.code, other, other.code, one),
        _compare_names(one, other),
        _compare_asked(one, other),
    )


def stem(word: str) -> str:
    """Return a word without the endings that change no meaning."""
    word = word.removesuffix("'s")
    for ending, least in (("ies", 5), ("ing", 6), ("ed", 5), ("es", 5), ("s", 4), ("e", 4)):
        if len(word) >= least and word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending) + ("y" if ending == "ies" else "")
    return word


def opposites(one: Signs, other: Signs) -> bool:
    """Say whether a word of one text stands in the other as its opposite."""
    left, right = set(one.words) - set(other.words), set(other.words) - set(one.words)
    if any((a, b) in lexicon.ANTONYMS for a in left for b in right):
        return True
    stems, others = {stem(word) for word in left}, {stem(word) for word in right}
    if any((a, b) in _STEMMED for a in stems for b in others):
        return True
    return any(
        a == prefix + b or b == prefix + a
        for a in left
        for b in right
        if min(len(a), len(b)) > 3  # noqa: PLR2004 - "in" + "form" is no negated form
        for prefix in lexicon.PREFIXES
    )


def turned(one: Signs, other: Signs) -> bool:
    """Say whether something is where the other text has something else that both name."""
    left, right = one.roles - other.roles, other.roles - one.roles
    shared = set(one.content) & set(other.content)
    return (
        any(
            role == same and {word, instead} <= shared
            for role, word in left
            for same, instead in right
        )
        or any((_REVERSED.get(role), word) in right and word in shared for role, word in left)
        or exchanged(one.words, other.words)
    )


def exchanged(one: Sequence[str], other: Sequence[str]) -> bool:
    """Say whether two parts of a text have changed places around what ties them together.

    "Cats chase dogs" and "dogs chase cats" are two things, "cats and dogs" and "dogs and cats" one.
    """
    if one == other or sorted(one) != sorted(other):
        return False
    start = next(n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    end = next(n for n, (a, b) in enumerate(zip(one[::-1], other[::-1], strict=True)) if a != b)
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    size = len(one)
    return size <= _MOST_EXCHANGED and any(
        one[:first] == other[size - first :]
        and one[last:] == other[: size - last]
        and one[first:last] == other[size - last : size - first]
        and not lexicon.EVEN.issuperset(one[first:last])
        for first in range(1, size - 1)
        for last in range(first + 1, size)
    )


def inversions(one: Signs, other: Signs) -> float:
    """Return which share of the neighbours among the shared content words is turned round."""
    order = {word: place for place, word in enumerate(dict.fromkeys(other.content))}
    places = [order[word] for word in dict.fromkeys(one.content) if word in order]
    steps = [later < earlier for earlier, later in pairwise(places)]
    return sum(steps) / len(steps) if steps else 0.0


_STEMMED: Final = frozenset((stem(a), stem(b)) for a, b in lexicon.ANTONYMS)
_MOST_EXCHANGED: Final = 64
_REVERSED: Final = {"from": "to", "to": "from", "before": "after", "after": "before"}


def _numbers(text: str) -> tuple[str, ...]:
    found: list[str] = []
    tens = ""
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if word[0].isdigit():
            suffix = _SUFFIX.match(text, match.end())
            found.append(_written(word, suffix[1].lower() if suffix else ""))
        elif (number := lexicon.NUMBERS.get(word)) is not None:
            if tens and len(number) == 1:
                found[-1] = str(int(tens) + int(number))
            elif number in _SCALES and found and found[-1].isdecimal():
                found[-1] = str(int(found[-1]) * int(number))
            else:
                found.append(number)
        tens = found[-1] if word in lexicon.NUMBERS and found and _is_tens(found[-1]) else ""
    return tuple(found)


def _is_tens(number: str) -> bool:
    return number.isdecimal() and len(number) == 2 and int(number) in _TENS and number[1] == "0"  # noqa: PLR2004 - twenty to ninety


def _written(digits: str, suffix: str) -> str:
    if ":" in digits:
        return digits.removesuffix(":00")
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.replace(",", "")
    number = digits.replace(",", ".")
    if suffix in _MULTIPLES and number.count(".") <= 1 and len(number) < 12:  # noqa: PLR2004 - beyond it nobody writes k
        return f"{float(number) * _MULTIPLES[suffix]:.0f}"
    if suffix:
        return f"{number}."
    if number.count(".") == 1:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"


def _dates(words: tuple[str, ...]) -> frozenset[str]:
    found = set()
    for place, word in enumerate(words):
        date = lexicon.DATES.get(word)
        if date is None:
            continue
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if word in lexicon.UNSURE_MONTHS and not (
            before in {"in", "since", "until", "last", "next", "of"}
            or before.isdecimal()
            or after.isdecimal()
        ):
            continue
        if word in lexicon.UNSURE_DATES and not (
            before in lexicon.UNSURE_DATES[word] or before[:1].isdecimal()
        ):
            continue
        found.add(date)
    for before, word in pairwise(words):
        if before in {"last", "next", "this"} and word in {"week", "month", "year", "quarter"}:
            found.add(f"{before} {word}")
    return frozenset(found)


def _code(text: str) -> Iterable[str]:
    for match in _CODE.finditer(text):
        found = match[0].rstrip(".,;?!)") or match[0]
        if found and not _LIKE_NUMBER.match(found.lower()) and found.lower() not in _NO_CODE:
            yield found


_NO_CODE: Final = frozenset(
    {"e.g", "i.e", "a.m", "p.m", "/", "+", "u.s", "u.k", "and/or", "!", "!!", "!!!"}
)


def _roles(words: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    for place, word in enumerate(words):
        if word in lexicon.ROLES:
            rest = words[place + 1 : place + 4]
            named = next((stem(each) for each in rest if each not in lexicon.COMMON), None)
            if named is not None:
                yield word, named


def _asked(text: str) -> Iterable[frozenset[str]]:
    """Find the content words of each question of a text; one without any is none."""
    for sentence in _BETWEEN.split(text.strip()):
        words = [found.lower() for found in _WORD.findall(sentence)]
        content = frozenset(stem(word) for word in words if word not in lexicon.COMMON)
        if content and (sentence.endswith("?") or words[0] in lexicon.QUESTIONS):
            yield content


def _compare(one: frozenset[str], other: frozenset[str]) -> Difference:
    if one == other:
        return Difference.NONE
    return Difference.CONFLICT if one - other and other - one else Difference.ADDS


def _compare_numbers(one: Signs, other: Signs) -> Difference:
    left, right = sorted(one.numbers), sorted(other.numbers)
    if left != right and set(left) == set(right):
        return Difference.NONE  # one of them says a number again
    return _compare(frozenset(left), frozenset(right))


def _compare_negation(one: Signs, other: Signs) -> Difference:
    if one.negations % 2 != other.negations % 2:
        return Difference.CONFLICT
    return Difference.NONE if one.negations == other.negations else Difference.ADDS


def _compare_strings(
    left: frozenset[str], other: Signs, right: frozenset[str], one: Signs
) -> Difference:
    """Compare what must be there to the letter; unquoted, it is there as well."""
    missing = any(each not in other.text for each in left)
    added = any(each not in one.text for each in right)
    if missing and added:
        return Difference.CONFLICT
    return Difference.ADDS if missing or added else Difference.NONE


def _compare_names(one: Signs, other: Signs) -> Difference:
    left, right = set(one.words) | one.names, set(other.words) | other.names
    missing, added = bool(one.names - right), bool(other.names - left)
    if missing and added:
        return Difference.CONFLICT
    return Difference.ADDS if missing or added else Difference.NONE


def _compare_asked(one: Signs, other: Signs) -> Difference:
    """Compare how much is asked: a second question, about other things, wants another answer."""
    fewer, more = sorted((one, other), key=lambda each: len(each.asked))
    if len(more.asked) in {1, len(fewer.asked)}:
        return Difference.NONE
    known = set(fewer.content)
    is_other = any(len(asked & known) * 2 < len(asked) for asked in more.asked)
    return Difference.CONFLICT if is_other else Difference.ADDS
