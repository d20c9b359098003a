"""The walk: one pass over a value that copies, describes and redacts.

This is the choke point: whatever text leaves the process has gone through `Walk.text`.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import islice

from watchllm._redaction._config import normal_key
from watchllm._redaction._rules import DEFAULT_DETECTORS, NO_TEXTS, NOTHING, SHORT, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Sequence

    from watchllm._redaction._rules import Detector, Skip

FAILED = "[REDACTION_FAILED]"
DENIED = "[REDACTED_FIELD]"
DEEPEST = 64
MOST_NODES = 100_000
MOST_CHARACTERS = 8_000_000  # in one event
LONGEST_TEXT_BYTES = 1_000_000
LONGEST_REPR = 10_000
LONGEST_SHOWN = 80  # in a sentence
LONGEST_INT_BITS = 4_096
MARGIN = 1_024  # more than the longest address or card, so that no half of one is left at a cut
LARGEST_INT = 2**63 - 1
_SHORTEST_CARD_INT, _LONGEST_CARD_INT = 10**11, 10**19
_INFINITY = math.inf
_PRINTED = frozenset({"datetime", "decimal", "uuid", "fractions", "ipaddress", "zoneinfo"})


class Walk:
    """Copy the values of one event. Not for use from two threads at once.

    Never changes what it is given, never raises for it, and is bounded in depth, nodes and text.
    `counts` says how many findings of each kind were replaced, `skips` whether there are paths at
    which nothing is: then `enter` says where the next value stands. `at_once` says whether `passes`
    can tell anything.
    """

    __slots__ = (
        "_characters",
        "_clean",
        "_given",
        "_nodes",
        "_path",
        "_plain",
        "_rules",
        "_skip",
        "at_once",
        "counts",
        "skips",
    )

    def __init__(self, detectors: Sequence[Detector] = DEFAULT_DETECTORS) -> None:
        rules = detectors if type(detectors) is Rules else Rules(detectors)
        self._given = self._rules = rules
        self._clean = rules.clean
        self._plain = rules.plain
        self._skip: Skip | None = rules.skip or None
        self.skips = self._skip is not None
        self.at_once = not self.skips and bool(rules.looks)
        self._nodes = MOST_NODES
        self._characters = MOST_CHARACTERS
        self._path: set[int] = set()
        self.counts: dict[str, int] = {}

    def enter(self, path: str) -> None:
        """Be at a dotted path of the event; an empty one is the top."""
        at: bool | Skip | None = self._given.skip
        for name in path.split(".") if path else ():
            if isinstance(at, dict) and name:
                at = at.get(name.partition("[")[0])
        self._be_at(at)

    def _be_at(self, at: bool | Skip | None) -> None:
        self._rules = NOTHING if at is True else self._given
        self._clean, self._plain = self._rules.clean, self._rules.plain
        self._skip = at if isinstance(at, dict) else None

    def known(self) -> tuple[set[str] | frozenset[str], set[str] | frozenset[str]]:
        """Return the short texts and the labels that stay as they are, wherever they stand."""
        rules = self._given
        return (NO_TEXTS, NO_TEXTS) if self.skips else (rules.clean, rules.labels)

    def passes(self, texts: Mapping[str, str]) -> bool:
        """Say whether nothing is to be done to several texts, by one look at all of them."""
        joined = "\n".join(texts.values())
        length = len(joined)
        if length > LONGEST_TEXT_BYTES or length > self._characters or not joined.isascii():
            return False
        for look in self._rules.looks:
            if look(joined):
                return False
        self._characters -= length
        return True

    def text(self, text: str, longest: int = LONGEST_TEXT_BYTES) -> str:
        """Return a text that UTF-8 can hold, redacted, and cut at `longest` bytes with a marker."""
        if type(text) is str:
            length = len(text)
            if length <= SHORT:
                if text in self._clean:
                    return text
            elif length <= longest and length <= self._characters and text.isascii():
                looks = self._rules.looks
                for look in looks:
                    if look(text):
                        break
                else:
                    if looks:
                        self._characters -= length
                        return text
            return self._text(text, longest)
        return self._text(str.__str__(text), longest)

    def label(self, value: Any) -> str:
        """Return a name or an id as text; what holds digits by nature is a card only as a whole."""
        text = value if type(value) is str else self._as_text(value)
        if len(text) <= SHORT and text in self._rules.labels:
            return text
        return self._text(text, LONGEST_TEXT_BYTES, whole=True)

    def describe(self, value: Any) -> str:
        """Return the kind of a value and a short look at it, redacted, for a sentence."""
        if value is None:
            return "None"
        kind = type(value).__name__
        shown = self.text(self._repr(value), 2_000)
        return f"{kind} {shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + '...'}"

    def value(self, value: Any, depth: int = 1) -> Any:
        """Return the copy of any value."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int:
            return self._int(value)
        if kind is float:
            return value if math.isfinite(value) else _NOT_FINITE[str(value)]
        if value is None or kind is bool:
            return value
        if depth > DEEPEST:
            return f"[TRUNCATED: nested more than {DEEPEST} levels deep]"
        if id(value) in self._path:
            return "[CYCLE]"
        self._path.add(id(value))
        try:
            if kind is dict:
                return self._mapping(value.items(), depth)
            if kind is list or kind is tuple:
                return self._sequence(value, depth)
            return self._other(value, depth)
        except Exception as error:
            # Nothing of the error but its type: its text may quote the value.
            return f"[UNREADABLE {_name(kind)}: {type(error).__name__}]"
        finally:
            self._path.discard(id(value))

    def _text(self, text: str, longest: int, *, whole: bool = False) -> str:
        length = len(text)
        if length > self._characters:
            return f"[TRUNCATED: {length} characters, more than an event may hold]"
        early = length > longest + MARGIN
        if early:
            text = text[: longest + MARGIN]
        self._characters -= len(text)
        read = text if text.isascii() else encodable(text)
        try:
            redacted, counts = self._rules.redact(read, whole=whole)
        except Exception:
            self._count("failed")
            return FAILED
        if counts:
            for kind, number in counts.items():
                self._count(kind, number)
            if not redacted.isascii():
                redacted = encodable(redacted)  # a function may have returned anything
        elif length <= SHORT and redacted == text:
            self._rules.remember(self._rules.labels if whole else self._clean, text)
            return text
        if early:
            redacted = redacted[:-MARGIN]
        if not early and len(redacted) * 4 <= longest:
            return redacted
        return clip(redacted, longest, length)

    def _count(self, kind: str, number: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + number

    def _int(self, value: int) -> int | str:
        if _SHORTEST_CARD_INT <= abs(value) < _LONGEST_CARD_INT:
            digits = str(value)
            redacted = self.text(digits)
            if redacted != digits:
                return redacted
        if -LARGEST_INT <= value <= LARGEST_INT:
            return value
        return (
            str(value)
            if value.bit_length() <= LONGEST_INT_BITS
            else f"[int of {value.bit_length()} bits]"
        )

    def _taken(self, values: Collection[Any]) -> list[Any]:
        """Return as many values as may still be copied, in a list that nobody else changes."""
        left = max(self._nodes, 0)
        self._nodes -= len(values)
        return list(values) if self._nodes >= 0 else list(islice(values, left))

    def _mapping(self, items: Collection[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        plain, clean, skip = self._plain, self._clean, self._skip
        numbers: dict[str, int] = {}
        for key, value in self._taken(items):
            kind = type(value)
            if skip is not None and type(key) is str and key in skip:
                copy[self._free(key, copy, numbers)] = self._skipped(skip[key], value, depth)
                continue
            if type(key) is str and len(key) <= SHORT and key in plain:
                name = key
            else:
                name = self._key(key)
                if value is not None and self._is_denied(name):
                    value, kind = DENIED, bool  # noqa: PLW2901 - nothing of it is left to look at
                    self._count("field")
            if name in copy:
                name = self._free(name, copy, numbers)
            if kind is str:
                if len(value) <= SHORT and value in clean:
                    copy[name] = value
                else:
                    copy[name] = self._text(value, LONGEST_TEXT_BYTES)
            elif (
                value is None
                or kind is bool
                or (kind is int and -_SHORTEST_CARD_INT < value < _SHORTEST_CARD_INT)
                or (kind is float and -_INFINITY < value < _INFINITY)
            ):
                copy[name] = value
            elif skip is None:
                copy[name] = self.value(value, depth + 1)
            else:
                # Below a name that leads to no path, nothing is skipped.
                self._skip = None
                copy[name] = self.value(value, depth + 1)
                self._skip = skip
        if self._nodes < 0:
            copy["[TRUNCATED]"] = "too many values"
        return copy

    def _sequence(self, values: Collection[Any], depth: int) -> list[Any]:
        copy: list[Any] = []
        clean = self._clean
        for value in self._taken(values):
            if type(value) is str and len(value) <= SHORT and value in clean:
                copy.append(value)
            else:
                copy.append(self.value(value, depth + 1))
        if self._nodes < 0:
            copy.append("[TRUNCATED: too many values]")
        return copy

    def _key(self, key: Any) -> str:
        """Return a key as text, redacted, and remember one that stays as it is."""
        name = self.text(key) if type(key) is str else self._as_text(key)
        if name is key and len(name) <= SHORT and normal_key(name) not in self._rules.deny:
            self._rules.remember(self._plain, name)
        return name

    def _is_denied(self, name: str) -> bool:
        deny = self._rules.deny
        return bool(deny) and normal_key(name) in deny

    @staticmethod
    def _free(name: str, taken: dict[str, Any], numbers: dict[str, int]) -> str:
        """Return the name, with a number if it is taken."""
        free = name
        while free in taken:
            numbers[name] = numbers.get(name, 1) + 1
            free = f"{name}#{numbers[name]}"
        return free

    def _skipped(self, inner: bool | Skip, value: Any, depth: int) -> Any:
        """Return the copy of a value that a path leads to, or through."""
        before = self._skip
        self._be_at(inner)
        try:
            return self.value(value, depth + 1)
        finally:
            self._be_at(before)

    def _as_text(self, value: Any) -> str:
        copy = self.value(value)
        return copy if isinstance(copy, str) else str(copy)

    def _other(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if isinstance(value, Enum):
            return self.value(value.value, depth)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return self._int(int.__int__(value))
        if isinstance(value, float):
            return self.value(float.__float__(value), depth)
        if isinstance(value, (bytes, bytearray, memoryview)):
            # No more of it than a text may have: it may be a whole file.
            return self.text(
                bytes(value[: LONGEST_TEXT_BYTES + 2 * MARGIN]).decode(errors="replace")
            )
        if isinstance(value, Mapping):
            return self._mapping(list(islice(value.items(), MOST_NODES + 1)), depth)
        if isinstance(value, (list, tuple, AbstractSet)) or kind.__name__ == "deque":
            return self._sequence(value, depth)
        if isinstance(value, BaseException):
            return self.text(f"{_name(kind)}: {value}")
        if kind.__module__ in _PRINTED:
            return self.text(str(value))
        if isinstance(value, os.PathLike):
            return self.value(os.fspath(value), depth)
        if isinstance(value, type):
            return self.text(self._repr(value))
        if callable(getattr(kind, "model_dump", None)):
            return self.value(value.model_dump(), depth + 1)
        if hasattr(kind, "__dataclass_fields__"):
            names = list(kind.__dataclass_fields__)
            return self._mapping([(name, getattr(value, name, None)) for name in names], depth)
        for convert in (operator.index, float):
            if hasattr(kind, "__index__" if convert is operator.index else "__float__"):
                try:
                    return self.value(convert(value), depth)
                except (TypeError, ValueError, RuntimeError):
                    continue  # an array of several numbers, say
        return self.text(self._repr(value), LONGEST_REPR)

    def _repr(self, value: Any) -> str:
        try:
            return repr(value)
        except Exception as error:
            return f"<{_name(type(value))} whose repr() raises {type(error).__name__}>"


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _name(kind: type) -> str:
    return kind.__name__


def encodable(text: str) -> str:
    """Return the text with halves of surrogate pairs joined, or replaced where one is alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clip(text: str, longest: int, length: int | None = None) -> str:
    """Cut a text at `longest` bytes of UTF-8 and say that it had `length` characters."""
    data = text.encode()
    full = len(text) if length is None else length
    if len(data) <= longest and len(text) >= full - MARGIN:
        return text
    kept = data[:longest].decode(errors="ignore")
    return f"{kept} [TRUNCATED: {full} characters in all]"
