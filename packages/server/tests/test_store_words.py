"""The index over words is built where no merge has built it, on every store."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import clickhouse_connect
import pytest
from stored_events import call, stored_in
from watchllm_server.address import parse_address
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.store.clickhouse import ClickHouseStore
from watchllm_server.store.words import index_words

if TYPE_CHECKING:
    from engines import ClickHouseProcess
    from watchllm_server.store.base import EventStore

# Of no other test: one drops a month whole.
MONTH, DAY = "199703", "1997-03-05T00:00:00Z"
SEARCH = """
    EXPLAIN indexes = 1 SELECT event_id FROM events
    WHERE hasAllTokens(search_words, ['absent'])
"""


@pytest.fixture(scope="module")
def store(any_store: EventStore) -> EventStore:
    """Put the tests of this file to each store."""
    return any_store


def unindexed(store: EventStore, *, seconds: int = 0, least_bytes: int) -> set[str]:
    """Return the months that have so many bytes of text without an index, for so many seconds."""
    found = store.query("words_unindexed", {"seconds": seconds, "bytes": least_bytes})
    return {month for (month,) in found}


def test_only_much_text_that_has_long_been_left_is_indexed(store: EventStore) -> None:
    """A month counts once it has that much text, and once that is so old; indexed, no more."""
    stored = stored_in(store)
    for name in ("first", "second"):
        words = f"{name} {'many words ' * 150_000}"
        stored.put(call(event_id=name, timestamp=DAY, prompt=words))
    of_one, of_both = 2_000_000, 3_000_000

    before = unindexed(store, least_bytes=of_both)
    too_new = unindexed(store, seconds=3_600, least_bytes=of_both)
    months = index_words(store, seconds=0, least_bytes=of_both, wait=True)
    after = unindexed(store, least_bytes=of_one)
    again = index_words(store, seconds=0, least_bytes=of_both, wait=False)

    assert MONTH in before
    assert MONTH not in too_new
    assert months == len(before)
    assert MONTH not in after
    assert again == 0
    where = Filter(stored.project, text="second")
    assert [event.event_id for event in page_of_events(store, where, limit=9).events] == ["second"]


def test_a_search_leaves_out_what_has_been_indexed(clickhouse: ClickHouseProcess) -> None:
    """For a word that it lacks, what is as it was inserted is read, and what is indexed is not."""
    address = parse_address(clickhouse.url())
    store = ClickHouseStore(address)
    stored = stored_in(store)
    for _ in range(3):
        stored.put(call(event_id=str(uuid.uuid4()), timestamp=DAY))
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, database=address.database
    )

    def parts_read() -> list[str]:
        lines = "\n".join(line for (line,) in client.query(SEARCH).result_rows)
        return re.findall(r"Name: by_word.*?Parts: (\d+/\d+)", lines, re.DOTALL)

    before = parts_read()
    index_words(store, seconds=0, least_bytes=0, wait=True)
    after = parts_read()
    client.close()
    store.close()

    assert before == ["3/3"]
    assert after == ["0/3"]
