"""Build the index over words where no merge has built it.

Inserts leave it to merges. The last parts before a pause may not be merged for long, and until then
each search reads all of their text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.store.deletion import checked_month

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore

_SECONDS: Final = 30
# The engine writes the small parts of a month anew, so that it is not done for every few events. To
# search this much takes about as long as all that a search does beside it.
_LEAST_BYTES: Final = 4_000_000


def index_words(
    store: EventStore, *, seconds: int = _SECONDS, least_bytes: int = _LEAST_BYTES, wait: bool
) -> int:
    """Index words month by month where `least_bytes` of text lack it; return how many months.

    What was stored in the last `seconds` does not count: merges may be at it. Without `wait` the
    engine works on by itself, also after a restart. Raises StoreError.
    """
    months = store.query("words_unindexed", {"seconds": seconds, "bytes": least_bytes})
    for (month,) in months:
        store.run("words_index", {"wait": int(wait)}, {"partition": checked_month(month)})
    return len(months)
