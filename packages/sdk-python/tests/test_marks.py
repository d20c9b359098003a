"""Marks tell quickly that something cannot be in a text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchllm._redaction._marks import Marks

DIGITS = "0123456789"


@given(st.text("01 -xé用", max_size=30))
def test_a_row_of_marks_is_in_a_text_just_if_its_characters_are(text: str) -> None:
    """Characters that are left out stand between the marks of a row, all others end it."""
    marks = Marks({"0": DIGITS}, ("000",), leave_out=" -")
    bare = text.replace(" ", "").replace("-", "")
    expected = any(bare[at : at + 3].isdecimal() for at in range(len(bare) - 2))

    assert marks.in_text(text) == expected


def test_any_of_the_rows_is_enough() -> None:
    """Each row is looked for."""
    marks = Marks({"0": DIGITS, ":": ":"}, ("::", "0:0"))

    assert [marks.in_text(text) for text in ("a::b", "12:30", "a: b", "")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_places_of_a_row_are_those_in_the_text() -> None:
    """Places are of characters, and rows may overlap."""
    assert list(Marks({"0": DIGITS}, ("00",)).places("é123 用45")) == [1, 2, 6]
