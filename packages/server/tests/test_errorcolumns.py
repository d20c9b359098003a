"""What is kept of an event's error beside its JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from watchllm_server.rows import Columns
from watchllm_server.store.errorcolumns import fill_error_columns, pattern_of

JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


def filled(attributes: Any) -> tuple[Any, Any, Any]:
    """Return what the columns say of the error among some attributes."""
    columns = Columns(project_id="p", event_id="e", run_id="r", event_type="error", ts="", env="e")
    if attributes is not UNSET:
        columns.attributes = json.dumps(attributes, separators=(",", ":"))
    fill_error_columns(columns)
    return columns.error_type, columns.error_message, columns.error_pattern


def test_an_error_fills_its_columns() -> None:
    """Type, message and pattern come from the error, the message no longer than 500 characters."""
    long = "é1" * 400

    assert filled({"error": {"type": "Lost", "message": "Order 7"}}) == (
        "Lost", "Order 7", "Order #",
    )  # fmt: skip
    assert filled({"error": {"message": long}}) == ("", long[:500], "é#" * 250)


@pytest.mark.parametrize(
    "attributes", [UNSET, {}, {"context": {"error": {"message": "m"}}}, {"error": "text"}]
)
def test_what_has_no_error_has_no_columns_of_one(attributes: Any) -> None:
    """Without an error of its own, or with one of another shape, an event says nothing."""
    assert filled(attributes) == (UNSET, UNSET, UNSET)


@given(st.dictionaries(st.sampled_from(["error", "context"]), JSON))
def test_any_attributes_can_be_looked_at(attributes: dict[str, Any]) -> None:
    """Whatever an event of an unknown type calls an error: nothing fails, and texts are texts."""
    assert all(value is UNSET or isinstance(value, str) for value in filled(attributes))


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("Order 17 failed after 1.5 s", "Order # failed after # s"),
        ("user 0x1F at 10:30:00", "user # at #"),
        ("No 123E4567-e89b-12d3-a456-426614174000", "No #"),
        ("deadbeef01 and facade", "# and facade"),
        ("v2 of \uff12", "v# of \uff12"),
    ],
)
def test_what_varies_is_taken_out(message: str, pattern: str) -> None:
    """Numbers, UUIDs and hexadecimal runs become #; words and digits beyond ASCII stay."""
    assert pattern_of(message) == pattern


@given(st.text())
def test_a_pattern_holds_no_number(message: str) -> None:
    """No digit is left, and what is left of a pattern is a pattern of its own."""
    found = pattern_of(message)

    assert not set("0123456789") & set(found)
    assert pattern_of(found) == found
