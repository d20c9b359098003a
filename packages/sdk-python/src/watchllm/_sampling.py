"""Keep or drop: by run, the same in every process."""

from __future__ import annotations

from zlib import crc32

FAILURES = frozenset(
    {"error", "assertion_failed", "hallucination_detected"}  # these event types
    | {"timeout"},  # and a call or step with one of these statuses
)


def position(run_id: str) -> float:
    """Return where a run lies in [0, 1): a CRC-32 of its id, mixed as MurmurHash3 ends."""
    mixed = crc32(run_id.encode("utf-8", "surrogatepass"))
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (mixed ^ mixed >> 16) / 2**32


def weight(rate: float, run_id: str, event_type: str, status: str | None) -> float:
    """Return the share of its like that a kept event stands for, or 0 to drop it.

    Failures are all kept (1.0) unless the rate is 0. Of anything else a run is kept whole or
    dropped whole, and what is kept counts 1/rate-fold.
    """
    if rate >= 1.0:
        return 1.0
    if rate > 0.0 and (event_type in FAILURES or status in FAILURES):
        return 1.0
    return rate if position(run_id) < rate else 0.0
