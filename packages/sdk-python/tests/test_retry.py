"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._retry import delay, retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_back_off_is_jittered_over_a_growing_span_up_to_a_minute(attempt: int, roll: float) -> None:
    """Attempt n waits a random part of 2^(n-1) seconds, at most 60."""
    assert delay(attempt, None, roll) == roll * min(60.0, 2.0 ** min(attempt - 1, 10))


@given(st.floats(0, 300), st.floats(0, 0.999))
def test_what_the_server_asked_for_is_kept(after: float, roll: float) -> None:
    """A Retry-After is waited out in full, and at most a tenth longer."""
    assert after <= delay(3, after, roll) <= after * 1.1


def test_an_absurd_retry_after_is_clamped() -> None:
    """More than five minutes, or less than nothing, are not believed."""
    assert delay(1, 1e9, 0.0) == 300.0
    assert delay(1, -5.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("99999999999999999999", 300.0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2115 07:28:00 GMT", 300.0),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("²", None),
        ("Wed, 99 Oct 99999999999999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are read and clamped; anything else is as if it were absent."""
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_no_header_raises(header: str) -> None:
    """Whatever a server sends, reading it does not fail."""
    found = retry_after(header, NOW)

    assert found is None or 0 <= found <= 300
