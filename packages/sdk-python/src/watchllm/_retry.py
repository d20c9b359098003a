"""When to try again: pure functions."""

from __future__ import annotations

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 300.0


def delay(attempt: int, after: float | None, roll: float) -> float:
    """Return the seconds to wait after the failed attempt number `attempt` (1, 2, ...).

    Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter"), `roll` being
    the random number from [0, 1). What the server asked for is kept, clamped to 5 minutes, with up
    to a tenth added so that not all clients come back at once.
    """
    if after is not None:
        return min(max(after, 0.0), LONGEST_RETRY_AFTER_SECONDS) * (1 + roll / 10)
    return roll * min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 10))


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number of seconds or an HTTP date.

    None if there is no such header or nobody can read it. `now` is seconds since 1970.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isdigit() and text.isascii():
        return min(float(text[:9]), LONGEST_RETRY_AFTER_SECONDS)
    from email.utils import mktime_tz, parsedate_tz

    try:
        date = parsedate_tz(text)
        seconds = None if date is None else mktime_tz(date) - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
