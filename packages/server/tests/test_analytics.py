"""Totals, time series and kinds of errors: what is counted, and how it is weighed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = "date_from=2026-11-24&date_to=2026-11-25"


def error(message: str, **fields: Any) -> dict[str, Any]:
    """Return a valid error event."""
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "error",
        "run_id": "run-1",
        "timestamp": "2026-11-24T09:30:00Z",
        "error": {"message": message, "type": "ValueError"},
    } | fields


def stats(account: Account, question: str = DAY) -> dict[str, Any]:
    """Return the totals that an account is told."""
    status, answer = account.get(f"/v1/analytics/stats?{question}")
    assert status == 200, answer
    found: dict[str, Any] = answer["stats"]
    return found


def test_totals_count_what_was_sent(account: Account) -> None:
    """Totals count events, calls, errors and unknown prices, and sum up tokens and costs."""
    account.send(
        prompt_call(latency_ms=100),
        prompt_call(latency_ms=300, status="timeout"),
        prompt_call(latency_ms=200, model="mine"),
        error("Boom"),
    )

    assert stats(account) == {
        "events": 4, "requests": 3, "errors": 2, "error_rate": pytest.approx(1 / 3),
        "tokens_input": 36, "tokens_output": 135, "cost_usd": 0.00096, "unpriced_requests": 1,
        "latency_avg_ms": 200, "latency_p50_ms": 200, "latency_p95_ms": pytest.approx(300, rel=0.1),
        "latency_p99_ms": pytest.approx(300, rel=0.1),
    }  # fmt: skip


def test_nothing_is_zero_and_not_unknown(account: Account) -> None:
    """Without events sums are 0, and a share or a latency is null."""
    found = stats(account)

    assert (found["events"], found["cost_usd"], found["tokens_input"]) == (0, 0, 0)
    assert (found["error_rate"], found["latency_p99_ms"], found["latency_avg_ms"]) == (None,) * 3


def test_an_unknown_price_is_null(account: Account) -> None:
    """A cost that nobody knows is null in totals, groups and points, and never 0."""
    account.send(prompt_call(model="mine"))

    _, answer = account.get(f"/v1/analytics/stats?{DAY}&group_by=model")
    _, over_time = account.get(f"/v1/analytics/timeseries?{DAY}&metric=cost")

    assert answer["stats"]["cost_usd"] is None
    assert answer["groups"][0]["totals"]["cost_usd"] is None
    [only] = over_time["series"]
    assert only["value"] is None
    assert [point["value"] for point in only["data"]].count(None) == 1


@pytest.mark.parametrize("question", [DAY, "date_from=2026-11-24T09:29:59.5Z"])
def test_a_sampled_event_stands_for_its_like(account: Account, question: str) -> None:
    """Every total counts an event 1 / sample_rate-fold, whole hours or not."""
    account.send(
        prompt_call(sample_rate=0.25, latency_ms=1_000, status="error"),
        prompt_call(latency_ms=10), prompt_call(latency_ms=10), prompt_call(latency_ms=10),
    )  # fmt: skip

    found = stats(account, question)

    assert (found["events"], found["requests"], found["errors"]) == (7, 7, 4)
    assert (found["tokens_input"], found["tokens_output"]) == (7 * 12, 7 * 45)
    assert found["cost_usd"] == pytest.approx(7 * 0.00048)
    assert found["error_rate"] == pytest.approx(4 / 7)
    assert found["latency_avg_ms"] == pytest.approx((4_000 + 30) / 7)
    assert found["latency_p50_ms"] > 10


def test_the_smallest_sample_rate_is_answered(account: Account) -> None:
    """A rate next to zero gives a large total and no failure."""
    account.send(prompt_call(sample_rate=5e-324))

    assert stats(account)["events"] == 1_000_000


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("model", {"gpt-4o": 2, "mine": 1, None: 1}), ("user", {"u": 2, None: 2}),
        ("tag", {"a": 2, "b": 1, None: 2}), ("release", {"1": 3, None: 1}),
        ("env", {"production": 1, "development": 3}),
    ],
)  # fmt: skip
def test_totals_by_group(account: Account, group_by: str, groups: dict[Any, int]) -> None:
    """Each group has its totals; an event counts in each of its tags, and in null without any."""
    account.send(
        prompt_call(user_id="u", tags=["a", "b"], release="1", env="production"),
        prompt_call(user_id="u", tags=["a"], release="1"),
        prompt_call(model="mine", release="1"),
        error("Boom"),
    )

    _, answer = account.get(f"/v1/analytics/stats?{DAY}&group_by={group_by}")
    _, series = account.get(f"/v1/analytics/timeseries?{DAY}&group_by={group_by}&metric=events")

    assert {group["group"]: group["totals"]["events"] for group in answer["groups"]} == groups
    assert {each["group"]: each["value"] for each in series["series"]} == groups
    for each in series["series"]:
        assert sum(point["value"] for point in each["data"]) == groups[each["group"]]


@pytest.mark.parametrize(
    "narrowed",
    ["models=gpt-4o", "tags=a", "user_id=u", "env=production", "release=1", "text_search=machine",
     "status=success", "run_id=r", "event_types=prompt_call&tags=a"],
)  # fmt: skip
@pytest.mark.parametrize("span", [DAY, "date_from=2026-11-24T09:15:00Z&date_to=2026-11-25"])
def test_totals_are_narrowed_by_every_filter(account: Account, narrowed: str, span: str) -> None:
    """Each filter leaves the one event that matches, over whole hours and over others."""
    account.send(
        prompt_call(user_id="u", tags=["a"], release="1", env="production", run_id="r"),
        prompt_call(
            user_id="v", tags=["b"], release="2", model="mine", status="error", prompt="-",
            response="-", event_id="other",
        ),
        prompt_call(timestamp="2026-11-23T23:59:59.999999Z", user_id="u", tags=["a"], run_id="r"),
        error("Boom"),
    )  # fmt: skip

    assert stats(account, f"{span}&{narrowed}")["events"] == 1


@pytest.mark.parametrize(
    ("period", "seconds", "points"),
    [("1h", 300, 12), ("6h", 1_800, 12), ("24h", 3_600, 24),
     ("7d", 21_600, 28), ("30d", 86_400, 30)],
)  # fmt: skip
def test_a_period_ends_now(account: Account, period: str, seconds: int, points: int) -> None:
    """A period has its points up to now, whether or not anything happened in them."""
    account.send(prompt_call(timestamp=datetime.now(UTC).isoformat()))

    _, answer = account.get(f"/v1/analytics/timeseries?period={period}")

    [only] = answer["series"]
    assert (answer["bucket_seconds"], len(only["data"])) == (seconds, points)
    assert only["value"] == 1
    assert sum(point["value"] for point in only["data"]) == 1


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("requests", [2, 0, 1]), ("errors", [1, 0, 0]), ("error_rate", [0.5, None, 0]),
        ("tokens", [114, 0, 57]), ("tokens_input", [24, 0, 12]), ("tokens_output", [90, 0, 45]),
        ("latency_avg", [20, None, 5]), ("latency_p50", [20, None, 5]),
        ("latency_p95", [30, None, 5]), ("latency_p99", [30, None, 5]),
        ("cost", [0.00096, 0, 0.00048]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [60, 21_600])
def test_each_metric_over_time(
    account: Account, metric: str, values: list[Any], width: int
) -> None:
    """Each metric has its value in each stretch, from raw events and from sums by the hour."""
    start = datetime(2026, 11, 24, tzinfo=UTC)
    step = timedelta(seconds=width)
    account.send(
        prompt_call(timestamp=(start + timedelta(seconds=1)).isoformat(), latency_ms=10),
        prompt_call(
            timestamp=(start + timedelta(seconds=2)).isoformat(), latency_ms=30, status="error"
        ),
        prompt_call(timestamp=(start + 2 * step).isoformat(), latency_ms=5),
    )
    end = start + 3 * step if width == 60 else start + timedelta(days=40)
    span = f"date_from={start:%Y-%m-%dT%H:%M:%SZ}&date_to={end:%Y-%m-%dT%H:%M:%SZ}"

    _, answer = account.get(f"/v1/analytics/timeseries?{span}&metric={metric}")

    assert answer["bucket_seconds"] == width
    found = [point["value"] for point in answer["series"][0]["data"][:3]]
    assert found == [None if value is None else pytest.approx(value, rel=0.1) for value in values]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("metric=speed", "metric"), ("period=2h", "period"), ("group_by=colour", "group_by"),
        ("period=1h&date_from=2026-11-24", "period"), ("date_to=2026-11-24", "date_from"),
        ("date_from=2026-11-24&date_to=2026-11-24", "date_from"), ("limit=101", "limit"),
        ("date_from=1990-01-01", "1000"), ("date_from=2026-11-24T09:00:00", "date_from"),
    ],
)  # fmt: skip
def test_a_wrong_time_series_is_told(account: Account, question: str, name: str) -> None:
    """A time series that cannot be is 400 in a sentence that names the parameter."""
    status, answer = account.get(f"/v1/analytics/timeseries?{question}")

    assert (status, answer["error"]["code"]) == (400, "invalid_query")
    assert name in answer["error"]["message"]


def test_errors_that_differ_in_numbers_and_ids_are_one(account: Account) -> None:
    """Numbers, UUIDs and hexadecimal runs do not make an error another; words and types do."""
    account.send(
        error("Order 17 of user 0x1F failed after 1.5 s", run_id="r1", user_id="u1"),
        error(
            "Order 4 of user 0xabc failed after 20 s", run_id="r2", event_id="newest",
            timestamp="2026-11-24T10:00:00Z",
        ),
        error(f"No object {uuid.uuid4()}"), error(f"No object {uuid.uuid4()}"),
        error("No object deadbeef01"), error("No object 1", error={"message": "No object 1"}),
        prompt_call(status="timeout"), prompt_call(status="timeout", model="mine"), prompt_call(),
    )  # fmt: skip

    _, answer = account.get(f"/v1/analytics/errors?{DAY}")

    found = {(e["type"], e["pattern"]): e["occurrences"] for e in answer["errors"]}
    assert found == {
        ("ValueError", "No object #"): 3,
        ("ValueError", "Order # of user # failed after # s"): 2,
        ("", "No object #"): 1,
        ("timeout", ""): 2,
    }
    orders = answer["errors"][1]
    if orders["pattern"] == "":
        orders = answer["errors"][2]
    assert orders | {"fingerprint": ""} == {
        "fingerprint": "", "type": "ValueError", "pattern": "Order # of user # failed after # s",
        "message": "Order 4 of user 0xabc failed after 20 s", "event_id": "newest", "run_id": "r2",
        "occurrences": 2, "runs": 2, "users": 1, "first_seen": "2026-11-24T09:30:00.000Z",
        "last_seen": "2026-11-24T10:00:00.000Z", "models": [], "releases": [],
    }  # fmt: skip
    assert len({e["fingerprint"] for e in answer["errors"]}) == 4


def test_a_kind_of_errors_holds_nothing_that_redaction_took_away(account: Account) -> None:
    """The message and the pattern of an error are those of the stored event, redacted."""
    account.send(error("No customer jane.doe@example.com"))

    _, answer = account.get(f"/v1/analytics/errors?{DAY}")

    [only] = answer["errors"]
    assert only["message"] == only["pattern"] == "No customer [REDACTED_EMAIL]"


def test_the_newest_error_of_a_kind_is_of_that_kind(account: Account) -> None:
    """Kinds of errors whose newest happened at the same moment each show an event of their own."""
    times = ["2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"]
    account.send(*(error(text, timestamp=time) for text in ("a", "b") for time in times))
    account.send(error("a", timestamp=times[1], event_id="zz"))

    _, answer = account.get(f"/v1/analytics/errors?{DAY}")

    found = {each["message"]: each for each in answer["errors"]}
    assert (found["a"]["occurrences"], found["a"]["event_id"]) == (3, "zz")
    assert (found["b"]["occurrences"], found["b"]["message"]) == (2, "b")


def test_a_duplicate_counts_once_everywhere(account: Account) -> None:
    """Events that were delivered again are in no list, run, total or series a second time."""
    events = [
        prompt_call(event_id=f"e{n}", timestamp=f"2026-11-24T09:30:0{n}Z", latency_ms=n)
        for n in range(10)
    ]
    account.send(*events)
    account.send(*events[:2], error("Boom", event_id="boom"))
    account.send(error("Boom", event_id="boom"))

    assert len(account.ids()) == 11
    assert stats(account)["events"] == 11
    assert stats(account, "date_from=2026-11-24T09:00:01Z")["requests"] == 10
    assert account.get("/v1/runs/run-1")[1]["run"]["events"] == 11
    _, series = account.get(f"/v1/analytics/timeseries?{DAY}&group_by=model&metric=events")
    assert sum(each["value"] for each in series["series"]) == 11
    assert account.get(f"/v1/analytics/errors?{DAY}")[1]["errors"][0]["occurrences"] == 1


def test_no_total_shows_another_projects_data(new_account: Callable[[], Account]) -> None:
    """Totals, series, errors and exports are of the key's project alone."""
    ours, theirs = new_account(), new_account()
    theirs.send(prompt_call(user_id="u", model="theirs"), error("Theirs"))

    assert stats(ours)["events"] == 0
    assert ours.get(f"/v1/analytics/stats?{DAY}&group_by=model")[1]["groups"] == []
    _, series = ours.get(f"/v1/analytics/timeseries?{DAY}&group_by=user")
    assert series["series"] == []
    assert ours.get(f"/v1/analytics/errors?{DAY}")[1]["errors"] == []
    assert ours.client.get("/v1/export", headers=ours.headers).content == b""
    assert ours.get(f"/v1/analytics/stats?project_id={theirs.project}")[0] == 400
