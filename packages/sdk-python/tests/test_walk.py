"""The walk copies any value, redacts every text in it, and never raises."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._redaction import FAILED, RedactionConfig, Walk, rules_of

ADDRESS, CARD = "zoe@example.com", "4111 1111 1111 1111"


class Color(enum.Enum):
    RED = "red@example.com"


@dataclasses.dataclass
class Point:
    x: int
    owner: str


class Model:
    """What a pydantic model looks like from here."""

    def model_dump(self) -> dict[str, Any]:
        return {"mail": ADDRESS, "n": 1}


class Rude:
    """Raises whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError(ADDRESS)


class RudeModel:
    """Raises when it is dumped, with what it holds in the message."""

    def model_dump(self) -> dict[str, Any]:
        raise RuntimeError(ADDRESS)


class Text(str):
    """A text that lies about itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


class Number(int):
    """An integer of a kind of its own."""


class Share(float):
    """A float of a kind of its own."""


class Scalar:
    """A number of numpy's kind."""

    def __float__(self) -> float:
        return 0.5


class Array:
    """Several numbers, which are no single one."""

    def __float__(self) -> float:
        raise TypeError

    def __index__(self) -> int:
        raise TypeError

    def __repr__(self) -> str:
        return f"array({ADDRESS})"


class Count:
    """An integer of numpy's kind."""

    def __index__(self) -> int:
        return 7


class BrokenMapping(collections.UserDict):  # type: ignore[type-arg] # 3.8 knows no arguments
    """A mapping whose items cannot be read."""

    def __iter__(self) -> Any:
        raise KeyError(ADDRESS)


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "copy"),
    [
        (None, None),
        (True, True),
        (12, 12),
        (1.5, 1.5),
        ("text", "text"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (-(2**80), str(-(2**80))),
        (10**5000, "[int of 16610 bits]"),
        (4111111111111111, "[REDACTED_CC]"),
        (1234567890123456, 1234567890123456),
        (Text(f"to {ADDRESS}"), "to [REDACTED_EMAIL]"),
        (f"mail {ADDRESS} card {CARD}", "mail [REDACTED_EMAIL] card [REDACTED_CC]"),
        ((1, ADDRESS), [1, "[REDACTED_EMAIL]"]),
        ({"a"}, ["a"]),
        (frozenset({1}), [1]),
        (collections.deque([1, 2]), [1, 2]),
        ({ADDRESS: 1}, {"[REDACTED_EMAIL]": 1}),
        ({1: "a", None: "b", 2.5: "c", (1,): "d"}, {"1": "a", "None": "b", "2.5": "c", "[1]": "d"}),
        ({1: "a", "1": "b"}, {"1": "a", "1#2": "b"}),
        (MappingProxyType({"a": ADDRESS}), {"a": "[REDACTED_EMAIL]"}),
        (b"bytes \xff", "bytes \ufffd"),
        (bytearray(b"zoe@example.com"), "[REDACTED_EMAIL]"),
        (memoryview(b"abc"), "abc"),
        (Color.RED, "[REDACTED_EMAIL]"),
        (Level.HIGH, 3),
        (datetime.date(2026, 11, 24), "2026-11-24"),
        (datetime.datetime(2026, 11, 24, 9, 30), "2026-11-24 09:30:00"),  # noqa: DTZ001 - as is
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (Fraction(1, 2), "1/2"),
        (pathlib.PurePosixPath("/data") / ADDRESS, "/data/[REDACTED_EMAIL]"),
        (Point(1, ADDRESS), {"x": 1, "owner": "[REDACTED_EMAIL]"}),
        (Point, "<class 'test_walk.Point'>"),
        (Model(), {"mail": "[REDACTED_EMAIL]", "n": 1}),
        (ValueError(ADDRESS), "ValueError: [REDACTED_EMAIL]"),
        (Scalar(), 0.5),
        (Number(4111111111111111), "[REDACTED_CC]"),
        (Share(0.5), 0.5),
        (Share("nan"), "NaN"),
        (Count(), 7),
        (Array(), "array([REDACTED_EMAIL])"),
        (Rude(), "<Rude whose repr() raises RuntimeError>"),
        (RudeModel(), "[UNREADABLE RudeModel: RuntimeError]"),
        (BrokenMapping(a=1), "[UNREADABLE BrokenMapping: KeyError]"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("\ud83e\udde0", "\U0001f9e0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_value_has_its_copy(value: Any, copy: Any) -> None:
    """Every kind becomes what JSON can hold, redacted, in the same shape."""
    assert Walk().value(value) == copy
    json.dumps(Walk().value(value), allow_nan=False).encode()


def test_without_detectors_the_same_copy_is_made_unredacted() -> None:
    """With redaction off the walk describes and bounds, and replaces nothing."""
    value = {"mail": ADDRESS, "n": 4111111111111111, "nan": float("nan"), "t": (1,)}

    assert Walk(()).value(value) == {**value, "nan": "NaN", "t": [1]}


def test_keys_that_become_equal_are_numbered_not_lost() -> None:
    """Three addresses as keys stay three entries."""
    found = Walk().value({"a@b.co": 1, "c@d.co": 2, "e@f.co": 3})

    assert found == {"[REDACTED_EMAIL]": 1, "[REDACTED_EMAIL]#2": 2, "[REDACTED_EMAIL]#3": 3}


def test_findings_are_counted_by_kind() -> None:
    """The counts cover keys, values and numbers."""
    walk = Walk()
    walk.value({ADDRESS: [CARD, ADDRESS], "n": 4111111111111111})

    assert walk.counts == {"email": 2, "credit_card": 2}


def test_the_callers_data_is_never_changed() -> None:
    """After a walk the value is as it was."""
    value = {"a": [ADDRESS, {"b": (CARD,)}], ADDRESS: {"c"}}
    before = repr(value)
    Walk().value(value)

    assert repr(value) == before


def test_cycles_and_depth_are_cut() -> None:
    """A structure that holds itself, or is very deep, is copied as far as it goes."""
    cycle: dict[str, Any] = {"name": "x"}
    cycle["self"] = cycle
    shared = [1]
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]

    assert Walk().value(cycle) == {"name": "x", "self": "[CYCLE]"}
    assert Walk().value([shared, shared]) == [[1], [1]]
    text = json.dumps(Walk().value(deep))
    assert text.count("[") == 65
    assert "nested more than 64 levels" in text


def test_a_structure_that_multiplies_itself_is_bounded() -> None:
    """Lists of the same lists, 2^40 leaves on paper, end at the limit of values."""
    value: Any = ["leaf"]
    for _ in range(40):
        value = [value, value]

    assert "[TRUNCATED: too many values]" in json.dumps(Walk().value(value))


def test_a_mapping_with_too_many_entries_is_bounded() -> None:
    """A dict larger than the limit ends with a note."""
    found = Walk().value({n: n for n in range(200_000)})

    assert len(found) <= 100_001
    assert found["[TRUNCATED]"] == "too many values"


@pytest.mark.parametrize("filler", ["x", "é", "\U0001f9e0"])
def test_a_long_text_is_cut_at_a_megabyte_with_a_marker(filler: str) -> None:
    """No text has more than 1 MB of UTF-8 and its marker, whatever letters it has."""
    found = Walk().text(filler * 1_500_000)

    assert found.endswith(" [TRUNCATED: 1500000 characters in all]")
    assert 999_990 <= len(found.encode()) - 39 <= 1_000_000


@pytest.mark.parametrize("length", range(999_940, 1_000_010, 7))
def test_no_part_of_an_address_is_left_at_the_cut(length: int) -> None:
    """An address across the cut is replaced whole before the text is cut."""
    found = Walk().text("." * length + " zoe@example.com" * 300)

    assert "zoe" not in found
    assert "example" not in found


def test_texts_that_shrink_leave_no_half_address_either() -> None:
    """When redaction shortens a text, what lay across the early cut does not move into view."""
    found = Walk().text(f"{'a' * 60}@example-of-a-long-domain.com " * 20_000)

    assert "example" not in found
    assert "aaa" not in found


def test_an_event_has_a_budget_of_text() -> None:
    """Beyond 8 million characters in one event texts are described."""
    walk = Walk()
    found = walk.value(["x" * 1_000_000] * 10)

    assert found[7] == "x" * 1_000_000
    assert found[9] == "[TRUNCATED: 1000000 characters, more than an event may hold]"


def test_what_is_remembered_of_clean_texts_is_bounded() -> None:
    """Thousands of short texts are copied right, and few of them kept."""
    rules = rules_of(RedactionConfig())
    texts = [f"t{number}" for number in range(10_000)]

    assert Walk(rules).value([*texts, *texts]) == [*texts, *texts]
    assert 0 < len(rules.clean) <= 4_096


class RaisingDetector:
    """A detector with a fault."""

    kind = "faulty"
    placeholder = "[REDACTED_FAULTY]"

    def __init__(self, *, in_labels: bool) -> None:
        self.in_labels = in_labels

    def find(self, text: str) -> list[tuple[int, int]]:
        raise ValueError(text)


class GreedyDetector:
    """A detector that finds something in whatever it is given."""

    kind = "greedy"
    placeholder = "[REDACTED_GREEDY]"
    in_labels = True

    def find(self, text: str) -> list[tuple[int, int]]:
        return [(0, 1)]


def test_looking_again_ends() -> None:
    """A detector that finds its own placeholders is asked a few times, not for ever."""
    walk = Walk([GreedyDetector()])
    walk.text("xy")

    assert walk.counts == {"greedy": 8}


@pytest.mark.parametrize("in_labels", [True, False])
def test_a_detector_that_fails_costs_the_text_not_the_privacy(in_labels: bool) -> None:
    """When a detector raises, the text is replaced: it never passes unredacted."""
    walk = Walk([RaisingDetector(in_labels=in_labels)])

    assert walk.value({"n": 1, "a": ADDRESS}) == {FAILED: 1, f"{FAILED}#2": FAILED}
    assert walk.label(ADDRESS) == FAILED


@pytest.mark.parametrize(
    ("label", "copy"),
    [
        ("run-4111111111111111", "run-4111111111111111"),
        ("4111111111111111", "[REDACTED_CC]"),
        ("run-zoe@example.com", "[REDACTED_EMAIL]"),
        (42, "42"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_label_is_a_card_only_as_a_whole(label: object, copy: str) -> None:
    """Names and ids lose addresses, but digits only when they are a whole card number."""
    assert Walk().label(label) == copy


def test_a_description_is_short_and_redacted() -> None:
    """What is said of a value for a sentence fits a line and holds nothing personal."""
    assert Walk().describe("abc") == "str 'abc'"
    assert Walk().describe(None) == "None"
    assert Walk().describe(ADDRESS) == "str '[REDACTED_EMAIL]'"
    assert len(Walk().describe("x" * 10_000_000)) < 100
    assert Walk().describe(Rude()) == "Rude <Rude whose repr() raises RuntimeError>"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.uuids()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.frozensets(st.integers())
        | st.builds(Point, st.integers(), inner)
    ),
    max_leaves=25,
)


@given(values)
def test_any_value_becomes_json(value: Any) -> None:
    """Whatever the value, the walk returns and its copy is JSON in UTF-8."""
    json.dumps(Walk().value(value), ensure_ascii=False, allow_nan=False).encode()


@given(values, values, st.text(), st.text())
def test_a_planted_address_never_comes_through(
    one: Any, other: Any, before: str, after: str
) -> None:
    """An address in a text, a key, bytes, a tuple, an exception or an object is replaced."""
    planted = f"{before}zoe.planted@example.com{after}"
    value = {
        planted: [one, (planted, {planted})],
        "bytes": planted.encode("utf-8", "replace"),
        "error": ValueError(planted),
        "point": Point(1, planted),
        "other": {"deep": [other, {"deeper": planted}]},
    }

    assert "zoe.planted" not in json.dumps(Walk().value(value), ensure_ascii=False)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**10), 10**10)
    | st.text('abc äß机\n"\\/:;,.!', max_size=50),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcdeä", max_size=9), inner),
    max_leaves=25,
)


@given(plain)
def test_plain_content_is_unchanged(value: Any) -> None:
    """What holds nothing personal is copied as it is."""
    assert Walk().value(value) == value
