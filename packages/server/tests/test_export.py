"""Exports: what each format holds, and that one piece is held at a time."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from conftest import Account, prompt_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watchllm_server.query.events import chunks_of_events
from watchllm_server.query.export import COLUMNS, export
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from watchllm_server.query.events import SortBy
    from watchllm_server.query.export import ExportFormat
    from watchllm_server.store.embedded import EmbeddedStore


def exported(account: Account, **question: str) -> bytes:
    """Return the body of an export."""
    answer = account.client.get("/v1/export", params=question, headers=account.headers)
    assert answer.status_code == 200, answer.text
    return answer.content


def lines(account: Account, **question: str) -> list[dict[str, Any]]:
    """Return the events of an export as JSON lines."""
    return [json.loads(line) for line in exported(account, **question).splitlines()]


@pytest.fixture
def filled(account: Account) -> Account:
    """Return an account with calls that are hard to write as a table, and an error."""
    account.send(
        prompt_call(
            event_id="b", timestamp="2026-11-24T10:00:00Z", prompt='He said: "a,b"\n\n;ü',
            tags=["x", "y,z"], user_id="u", own_field={"deep": [1, None]},
        ),
        prompt_call(event_id="a", timestamp="2026-11-24T10:00:00Z", model="mine", sample_rate=0.5),
        {
            "event_id": "c", "event_type": "error", "run_id": "r2",
            "timestamp": "2026-11-24T09:00:00.000001Z", "error": {"message": "Boom"},
        },
    )  # fmt: skip
    return account


def test_json_lines_hold_what_the_api_answers(filled: Account) -> None:
    """Each line is an event as the API answers it, the oldest first, equal times by their ids."""
    found = lines(filled)

    assert [event["event_id"] for event in found] == ["c", "a", "b"]
    assert found == [filled.get(f"/v1/events/{event['event_id']}")[1] for event in found]


def test_json_lines_can_be_sent_again(filled: Account, new_account: Any) -> None:
    """What was exported and sent into another project is exported from there as it was."""
    other = new_account()
    ours = [event | {"project_id": other.project} for event in lines(filled)]
    sent = [{k: v for k, v in event.items() if k != "cost_usd"} for event in ours]
    other.send(*sent)

    assert lines(other) == ours


def test_csv_holds_a_row_an_event(filled: Account) -> None:
    """A table has a header and texts as they are; unknown is empty and the rest is JSON."""
    text = exported(filled, format="csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))

    assert tuple(rows[0]) == COLUMNS
    assert [row["event_id"] for row in rows] == ["c", "a", "b"]
    assert rows[0]["timestamp"] == "2026-11-24T09:00:00.000001Z"
    assert rows[2]["prompt"] == 'He said: "a,b"\n\n;ü'
    assert json.loads(rows[2]["tags"]) == ["x", "y,z"]
    assert json.loads(rows[2]["attributes"]) == {"own_field": {"deep": [1, None]}}
    assert Decimal(rows[2]["cost_usd"]) == Decimal("0.00048")
    assert (rows[1]["cost_usd"], rows[0]["latency_ms"], rows[0]["model"]) == ("", "", "")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
)
def test_no_text_of_a_csv_is_a_formula(account: Account, text: str) -> None:
    """What a spreadsheet would run has an apostrophe before it; other formats have it as it is."""
    account.send(prompt_call(event_id="a", user_id=text, prompt=text, response=f"it is {text}"))

    [row] = csv.DictReader(io.StringIO(exported(account, format="csv").decode(), newline=""))
    [line] = lines(account)
    table = pq.read_table(io.BytesIO(exported(account, format="parquet")))

    assert (row["user_id"], row["prompt"]) == (f"'{text}", f"'{text}")
    assert row["response"] == f"it is {text}"
    assert (line["prompt"], table.column("prompt").to_pylist()) == (text, [text])


def test_parquet_holds_typed_columns(filled: Account) -> None:
    """A Parquet file has times, numbers, decimals and lists as such, and null for unknown."""
    table = pq.read_table(io.BytesIO(exported(filled, format="parquet")))

    assert tuple(table.column_names) == COLUMNS
    rows = table.to_pylist()
    assert [row["event_id"] for row in rows] == ["c", "a", "b"]
    assert rows[0]["timestamp"].isoformat() == "2026-11-24T09:00:00.000001+00:00"
    assert (rows[2]["tags"], rows[2]["latency_ms"]) == (["x", "y,z"], 1250.0)
    assert (rows[2]["cost_usd"], rows[1]["cost_usd"]) == (Decimal("0.00048"), None)
    assert (rows[0]["model"], rows[0]["tokens_input"]) == (None, None)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_export_of_nothing_can_be_read(account: Account, form: str) -> None:
    """Without events there are no lines, a header alone, and a table without rows."""
    body = exported(account, format=form)

    if form == "parquet":
        assert pq.read_table(io.BytesIO(body)).num_rows == 0
    else:
        assert body.decode() == {"jsonl": "", "csv": ",".join(COLUMNS) + "\r\n"}[form]


def test_an_export_is_narrowed(filled: Account) -> None:
    """The filters of a query hold for an export."""
    assert [event["event_id"] for event in lines(filled, event_types="error")] == ["c"]
    assert [event["event_id"] for event in lines(filled, text_search="boom")] == ["c"]
    assert [event["event_id"] for event in lines(filled, date_from="2026-11-24T10:00:00Z")] == [
        "a", "b",
    ]  # fmt: skip


@pytest.mark.parametrize("question", ["format=xml", "limit=5", "date_from=x"])
def test_a_wrong_export_is_told_before_it_begins(account: Account, question: str) -> None:
    """A wrong parameter of an export is 400 in JSON."""
    status, answer = account.get(f"/v1/export?{question}")

    assert (status, answer["error"]["code"]) == (400, "invalid_query")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_no_piece_is_larger_than_asked(
    store: EmbeddedStore, new_account: Any, sizes: list[int]
) -> None:
    """Pieces hold every event once, in order, and more than their size only for one event."""
    account = new_account()
    account.send(
        *(
            prompt_call(event_id=f"{n:02}", prompt="x" * size, response="")
            for n, size in enumerate(sizes)
        )
    )

    where = Filter(project_id=account.project)
    chunks = list(chunks_of_events(store, where, most_bytes=300))

    found = [event for chunk in chunks for event in chunk]
    assert [event.event_id for event in found] == [f"{n:02}" for n in range(len(sizes))]
    for chunk in chunks:
        assert len(chunk) == 1 or sum(len(event.prompt) for event in chunk) <= 300


@pytest.mark.parametrize("sort_by", ["cost", "latency_ms"])
def test_pieces_keep_the_order_that_is_asked_for(
    store: EmbeddedStore, account: Account, sort_by: SortBy
) -> None:
    """The most come first over all pieces, of like ones the last, and each event once."""
    costs = [0.5, 3, 2, 2, 1]
    account.send(
        *(
            prompt_call(
                event_id=str(n), prompt="x" * 100, response="", cost_estimate_usd=cost,
                latency_ms=1_000 * cost,
            )
            for n, cost in enumerate(costs)
        )
    )  # fmt: skip

    chunks = list(
        chunks_of_events(
            store,
            Filter(project_id=account.project),
            sort_by=sort_by,
            sort_order="desc",
            most_bytes=250,
        )
    )

    assert [[event.event_id for event in chunk] for chunk in chunks] == [
        ["1", "3"], ["2", "4"], ["0"],
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_export_may_hold_some_columns_alone(
    filled: Account, store: EmbeddedStore, form: ExportFormat
) -> None:
    """Each format has the columns that are asked for, in their order, and no other."""
    columns = ["cost_usd", "event_id", "tags"]

    body = b"".join(export(store, Filter(project_id=filled.project), form, columns))

    if form == "jsonl":
        rows = [json.loads(line) for line in body.splitlines()]
        assert rows[2] == {"cost_usd": 0.00048, "event_id": "b", "tags": ["x", "y,z"]}
        assert [list(row) for row in rows] == [columns] * 3
    elif form == "csv":
        [header, *rows] = csv.reader(io.StringIO(body.decode()))
        assert header == columns
        assert [row[1:] for row in rows] == [["c", "[]"], ["a", "[]"], ["b", '["x","y,z"]']]
    else:
        table = pq.read_table(io.BytesIO(body))
        assert table.column_names == columns
        assert table.column("event_id").to_pylist() == ["c", "a", "b"]
