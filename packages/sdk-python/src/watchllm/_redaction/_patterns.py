"""What the user adds: regular expressions and functions."""

from __future__ import annotations

import operator
import re
import sys

if sys.version_info >= (3, 11):
    from re import _parser
else:
    import sre_parse as _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping

    from watchllm._redaction._keyed import Keyed

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_PLACEHOLDER = re.compile(r"\[REDACT(?:ED_[A-Z][A-Z0-9_]*(?::[a-p]{12})?|ION_FAILED)\]")


class PatternStep:
    """Replace the matches of a regular expression. Its cost is the expression's own."""

    def __init__(self, name: str, pattern: re.Pattern[str], keyed: Keyed | None = None) -> None:
        self.kind = name.lower()
        self._placeholder = f"[REDACTED_{name.upper()}]"
        self._pattern = pattern
        self._keyed = keyed

    def replace(self, text: str) -> tuple[str, int]:
        """Return the text with every match replaced, and how many there were."""
        spans = [match.span() for match in self._pattern.finditer(text)]
        return _replaced(text, spans, self._placeholder, self._keyed) if spans else (text, 0)


class CallableStep:
    """Replace what a function finds. Raises what it raises, and for an answer of another kind."""

    kind = "custom"

    def __init__(self, function: Callable[[str], Any]) -> None:
        self._function = function

    def replace(self, text: str) -> tuple[str, int]:
        """Return the text as the function wants it, and how many findings there were."""
        answer = self._function(text)
        if isinstance(answer, str):
            return str.__str__(answer), int(answer != text)
        spans = sorted((operator.index(start), operator.index(end)) for start, end in answer)
        if any(not 0 <= start <= end <= len(text) for start, end in spans):
            raise ValueError("a span outside of the text")
        return _replaced(text, spans, "[REDACTED_CUSTOM]")


def _replaced(
    text: str, spans: list[tuple[int, int]], placeholder: str, keyed: Keyed | None = None
) -> tuple[str, int]:
    """Replace spans in order; placeholders that are there stay whole, or go as a whole."""
    there = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[REDACT" in text else []
    pieces: list[str] = []
    done = number = index = 0
    for start, end in _joined(spans):
        while index < len(there) and there[index][1] <= start:
            index += 1
        begin, stop = start, end
        if index < len(there):
            first = there[index]
            if first[0] <= start and end <= first[1]:
                continue
            begin = min(begin, first[0])
            while index < len(there) and there[index][0] < end:
                stop = max(stop, there[index][1])
                index += 1
        if begin < done:  # two findings that reach into one placeholder
            done = max(done, stop)
            continue
        shown = placeholder if keyed is None else keyed.mark(placeholder, text[start:end])
        pieces += (text[done:begin], shown)
        done = stop
        number += 1
    pieces.append(text[done:])
    return ("".join(pieces), number) if number else (text, 0)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans that are not empty, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if start == end:
            continue
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def checked(
    given: Any, reserved: Iterable[str], problems: list[str]
) -> Mapping[str, re.Pattern[str]]:
    """Return the expressions by name, compiled, and add what is wrong to `problems`."""
    patterns: dict[str, re.Pattern[str]] = {}
    try:
        items = list(given.items())
    except (AttributeError, TypeError):
        problems.append(f"patterns={given!r:.64}: give a dict of names and regular expressions")
        return patterns
    for name, pattern in items:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(
                f"patterns: {name!r:.64} is no name; use letters, digits and _, such as EMPLOYEE_ID"
            )
        elif name.upper() in {*reserved, "FIELD", "CUSTOM"} or name.upper() in patterns:
            problems.append(f"patterns: the name {name!r} is taken; choose another")
        else:
            wrong = _wrong(pattern)
            if wrong:
                problems.append(f"patterns[{name!r}]: {wrong}")
            else:
                patterns[name.upper()] = re.compile(pattern)
    return patterns


def _wrong(pattern: Any) -> str:
    """Say what is wrong with an expression; nothing if it can be used."""
    if not isinstance(getattr(pattern, "pattern", pattern), str):
        return "give a regular expression of text, as a str or compiled"
    try:
        compiled = re.compile(pattern)
        tree = _parser.parse(compiled.pattern, compiled.flags)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it is no regular expression: {error}"
    if compiled.search(""):
        return "it matches an empty text; let it need one character at least"
    if _explodes(tree):
        return (
            "a repeat of a repeat, such as (a+)+, can take for ever; put what separates the parts"
            " into the group, or use one repeat"
        )
    return ""


def _explodes(tree: Any) -> bool:
    """Say whether a repeat without end holds nothing but repeats, which is exponential."""
    for operation, argument in tree:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            most, body = argument[1], argument[2]
            if most == _parser.MAXREPEAT and any(map(_only_repeats, _branches(body))):
                return True
        if any(_explodes(inner) for inner in _inner(argument)):
            return True
    return False


def _only_repeats(items: Any) -> bool:
    """Say whether all of a row can be cut in several ways into parts of various lengths."""
    items = list(items)
    if len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        return any(map(_only_repeats, _branches(items[0][1][-1])))
    repeats = [
        argument
        for operation, argument in items
        if str(operation) in {"MAX_REPEAT", "MIN_REPEAT"} and argument[0] != argument[1]
    ]
    if len(repeats) < len(items):
        return False
    return any(most > 1 or any(map(_only_repeats, _branches(body))) for _, most, body in repeats)


def _branches(body: Any) -> list[Any]:
    """Return the alternatives of a row, or the row alone."""
    items = list(body)
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        return list(items[0][1][1])
    return [items]


def _inner(argument: Any) -> list[Any]:
    """Return the rows within the argument of an operation."""
    rows: list[Any] = []
    for part in argument if isinstance(argument, tuple) else ():
        if isinstance(part, _parser.SubPattern):
            rows.append(part)
        elif isinstance(part, list):
            rows += [one for one in part if isinstance(one, _parser.SubPattern)]
    return rows
