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
from typing import TYPE_CHECKING, Any

from watchllm._redaction._card import CardDetector
from watchllm._redaction._email import EmailDetector

if TYPE_CHECKING:
    from typing import Iterable, Protocol, Sequence

    class Detector(Protocol):
        """Find one kind of personal data in text.

        `in_labels` says whether it also replaces parts of names and ids, or only whole ones.
        """

        kind: str
        placeholder: str
        in_labels: bool

        def replace(self, text: str) -> tuple[str, int]:
            """Return the text with every finding replaced, and how many there were."""
            ...

else:
    Detector = object

DEFAULT_DETECTORS: Sequence[Detector] = (EmailDetector(), CardDetector())

FAILED = "[REDACTION_FAILED]"
DEEPEST = 64
MOST_NODES = 100_000
MOST_CHARACTERS = 8_000_000  # in one event
LONGEST_TEXT_BYTES = 1_000_000
LONGEST_REPR = 10_000
LONGEST_SHOWN = 80  # in a sentence
LONGEST_INT_BITS = 4_096
MARGIN = 1_024  # more than the longest address or card, so that no half of one is left at a cut
LARGEST_INT = 2**63 - 1
_CARD_INTS = range(10**11, 10**19)
_PRINTED = frozenset({"datetime", "decimal", "uuid", "fractions", "ipaddress", "zoneinfo"})


class Walk:
    """Copy the values of one event. Not for use from two threads at once.

    Never changes what it is given, never raises for it, and is bounded in depth, nodes and text.
    `counts` says how many findings of each kind were replaced.
    """

    def __init__(self, detectors: Sequence[Detector] = DEFAULT_DETECTORS) -> None:
        self._detectors = detectors
        self._nodes = MOST_NODES
        self._characters = MOST_CHARACTERS
        self._path: set[int] = set()
        self.counts: dict[str, int] = {}

    def text(self, text: str, longest: int = LONGEST_TEXT_BYTES) -> str:
        """Return a text that UTF-8 can hold, redacted, and cut at `longest` bytes with a marker."""
        if type(text) is not str:
            text = str.__str__(text)
        length = len(text)
        if length > self._characters:
            return f"[TRUNCATED: {length} characters, more than an event may hold]"
        early = length > longest + MARGIN
        if early:
            text = text[: longest + MARGIN]
        self._characters -= len(text)
        if not text.isascii():
            text = encodable(text)
        try:
            for detector in self._detectors:
                text, found = detector.replace(text)
                if found:
                    self.counts[detector.kind] = self.counts.get(detector.kind, 0) + found
        except Exception:
            return FAILED
        if early:
            text = text[:-MARGIN]
        return text if not early and len(text) * 4 <= longest else clip(text, longest, length)

    def label(self, value: Any) -> str:
        """Return a name or an id as text; what holds digits by nature is a card only as a whole."""
        text = value if type(value) is str else self._as_text(value)
        mixed = [detector for detector in self._detectors if detector.in_labels]
        whole = [detector for detector in self._detectors if not detector.in_labels]
        for detector in whole:
            try:
                if detector.replace(text)[0] == detector.placeholder:
                    return self.text(text)
            except Exception:
                return FAILED
        before, self._detectors = self._detectors, mixed
        try:
            return self.text(text)
        finally:
            self._detectors = before

    def describe(self, value: Any) -> str:
        """Return the kind of a value and a short look at it, redacted, for a sentence."""
        if value is None:
            return "None"
        kind = type(value).__name__
        shown = self.text(self._repr(value), 2_000)
        return f"{kind} {shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + '...'}"

    def value(self, value: Any, depth: int = 1) -> Any:
        """Return the copy of any value."""
        self._nodes -= 1
        if self._nodes < 0:
            return "[TRUNCATED: too many values]"
        kind = type(value)
        if kind is str:
            return self.text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return self._int(value)
        if kind is float:
            return value if math.isfinite(value) else _NOT_FINITE[str(value)]
        if depth > DEEPEST:
            return f"[TRUNCATED: nested more than {DEEPEST} levels deep]"
        if id(value) in self._path:
            return "[CYCLE]"
        self._path.add(id(value))
        try:
            if kind is dict:
                return self._mapping(list(value.items()), depth)
            if kind is list or kind is tuple:
                return self._sequence(value, depth)
            return self._other(value, depth)
        except Exception as error:
            # Nothing of the error but its type: its text may quote the value.
            return f"[UNREADABLE {_name(kind)}: {type(error).__name__}]"
        finally:
            self._path.discard(id(value))

    def _int(self, value: int) -> int | str:
        if value in _CARD_INTS:
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

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, value in items:
            if self._nodes < 0:
                copy["[TRUNCATED]"] = "too many values"
                break
            name = self.text(key) if type(key) is str else self._as_text(key)
            if name in copy:
                again = 2
                while f"{name}#{again}" in copy:
                    again += 1
                name = f"{name}#{again}"
            copy[name] = self.value(value, depth + 1)
        return copy

    def _sequence(self, values: Iterable[Any], depth: int) -> list[Any]:
        copy: list[Any] = []
        for value in values:
            copy.append(self.value(value, depth + 1))
            if self._nodes < 0:
                break
        return copy

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
            return self._mapping(value.items(), depth)
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
