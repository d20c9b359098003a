"""Escapes in JSON text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.jsontext import is_deeper_than, mend_halves, parse, unescape

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, st.lists(TEXTS)))
def test_unescaping_changes_no_value(value: dict[str, list[str]]) -> None:
    """Any JSON text means the same without its escapes, and is UTF-8."""
    escaped = json.dumps(value).encode()

    plain = unescape(escaped)

    assert json.loads(plain.decode()) == value
    assert mend_halves(escaped) == escaped


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (rb'"\u00fc"', '"ü"'.encode()),
        (rb'"\uD83D\ude00"', '"😀"'.encode()),
        (rb'"\\u00fc"', rb'"\\u00fc"'),
        (rb'"\\\u00fc"', '"\\\\ü"'.encode()),
        (rb'"\u0022\u005c\n\u007f"', rb'"\u0022\u005c\n\u007f"'),
    ],
)
def test_only_characters_beyond_ascii_are_unescaped(text: bytes, plain: bytes) -> None:
    """What JSON needs escaped stays so, and an escaped backslash starts no escape."""
    assert unescape(text) == plain


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d\ude00\uD83D"', rb'"\ufffd\ud83d\ude00\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
    ],
)
def test_lone_halves_are_mended_and_pairs_kept(text: bytes, mended: bytes) -> None:
    """Each half without its other half becomes U+FFFD."""
    assert mend_halves(text) == mended


VALUES = st.recursive(
    st.text() | st.integers() | st.sampled_from(["[", "]{", '"[', "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def depth(value: object) -> int:
    """Return in how many levels of lists and objects a value is nested."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(VALUES, st.integers(0, 8))
def test_the_depth_is_that_of_the_value(value: object, levels: int) -> None:
    """Brackets count where they nest, and not inside of texts."""
    text = json.dumps(value).encode()

    assert is_deeper_than(levels, text) == (depth(value) > levels)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    st.text(" \t\r\n", max_size=3),
)
def test_whatever_json_a_text_holds_is_parsed(value: object, blanks: str) -> None:
    """A value of every type is found in its JSON text, also behind white space."""
    assert parse(blanks + json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ["", "Why?", "the reason", "{", "nullify", '"\\ud83d', "[1] and", 7]
)
def test_what_is_no_json_text_stays_as_it_is(text: object) -> None:
    """Prose, JSON that was cut off and what is no text are returned unchanged."""
    assert parse(text) is text


def test_half_a_character_in_a_json_text_is_mended() -> None:
    """A JSON text that was cut within a surrogate pair is still read."""
    assert parse('["cut \\ud83d"]') == ["cut \ufffd"]
