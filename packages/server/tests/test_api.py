"""Reading: filters, order, pages, runs, and what a wrong question is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from conftest import Account, prompt_call

if TYPE_CHECKING:
    from collections.abc import Callable


def step(**fields: Any) -> dict[str, Any]:
    """Return a valid agent step."""
    shape = {
        "event_type": "agent_step", "step_number": 1, "step_name": "Search",
        "step_type": "tool_call", "input_data": {}, "output_data": {},
    }  # fmt: skip
    return prompt_call(
        prompt=None, response=None, model=None, tokens_input=None, tokens_output=None,
        **(shape | fields),
    )  # fmt: skip


def error(**fields: Any) -> dict[str, Any]:
    """Return a valid error event."""
    event = prompt_call(
        event_type="error", error={"message": "No such model", "type": "NotFound"}, **fields
    )
    for name in ("prompt", "response", "model", "tokens_input", "tokens_output", "latency_ms"):
        event.pop(name)
    event.pop("status")
    return event


@pytest.fixture
def filled(account: Account) -> Account:
    """Return an account with three events that differ in everything."""
    account.send(
        prompt_call(event_id="call", run_id="r1", user_id="u1", tags=["a", "b"], release="1"),
        prompt_call(
            event_id="slow", run_id="r2", user_id="u2", tags=["b"], env="production", release="2",
            model="claude-sonnet-4-5", status="timeout", latency_ms=9_000, prompt="Übergröße?",
            timestamp="2026-11-25T00:00:00Z",
        ),
        error(event_id="boom", run_id="r2", timestamp="2026-11-25T00:00:01Z"),
    )  # fmt: skip
    return account


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({}, ["boom", "slow", "call"]),
        ({"event_types": ["error"]}, ["boom"]),
        ({"event_types": ["error", "prompt_call"]}, ["boom", "slow", "call"]),
        ({"run_id": "r2"}, ["boom", "slow"]),
        ({"user_id": "u1"}, ["call"]),
        ({"status": ["timeout"]}, ["slow"]),
        ({"status": "success"}, ["call"]),
        ({"models": ["gpt-4o", "none"]}, ["call"]),
        ({"tags": ["b"]}, ["slow", "call"]),
        ({"tags": ["a", "x"]}, ["call"]),
        ({"env": "production"}, ["slow"]),
        ({"env": "development"}, ["boom", "call"]),
        ({"release": "2"}, ["slow"]),
        ({"date_from": "2026-11-25"}, ["boom", "slow"]),
        ({"date_to": "2026-11-25T00:00:01Z"}, ["slow", "call"]),
        ({"date_from": "2026-11-25T01:00:00+01:00", "date_to": "2026-11-25T00:00:01Z"}, ["slow"]),
        ({"text_search": "MACHINE learning"}, ["call"]),
        ({"text_search": "übergrösse"}, []),
        ({"text_search": "ÜBERGRÖßE"}, ["slow"]),
        ({"text_search": "Größe"}, []),
        ({"text_search": "learning MACHINE!"}, ["call"]),
        ({"text_search": "learning timeout"}, []),
        ({"text_search": "chine learn", "mode": "substring"}, ["call"]),
        ({"text_search": "GRÖß", "mode": "substring"}, ["slow"]),
        ({"text_search": "learning machine", "mode": "substring"}, []),
        ({"text_search": "no such model"}, ["boom"]),
        ({"sort_order": "asc"}, ["call", "slow", "boom"]),
        ({"sort_by": "latency_ms"}, ["slow", "call", "boom"]),
        ({"sort_by": "cost"}, ["slow", "call", "boom"]),
        ({"sort_by": "cost", "sort_order": "asc"}, ["boom", "call", "slow"]),
        ({"user_id": None, "limit": 1}, ["boom"]),
    ],
)
def test_a_filter_finds_what_it_names(
    filled: Account, question: dict[str, Any], found: list[str]
) -> None:
    """Each filter and each order gives the events that it says, and no other."""
    assert filled.ids(**question) == found


@pytest.mark.parametrize("sort_by", ["timestamp", "latency_ms", "cost"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
def test_pages_hold_every_event_once(account: Account, sort_by: str, sort_order: str) -> None:
    """Following the cursor gives all events once, in order, although many sort keys are equal."""
    models = ["gpt-4o", "gpt-4o-mini", "no-price"]
    events = [
        prompt_call(
            event_id=f"e{number:02}",
            model=models[number % 3],
            latency_ms=number % 4,
            timestamp=f"2026-11-24T09:30:0{number % 5}Z",
        )
        for number in range(23)
    ]
    account.send(*events, error(event_id="error"))
    seen: list[dict[str, Any]] = []
    question: dict[str, Any] = {"limit": 5, "sort_by": sort_by, "sort_order": sort_order}

    while True:
        page = account.query(**question)
        seen += page["events"]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        question["cursor"] = page["next_cursor"]

    whole = account.query(limit=100, sort_by=sort_by, sort_order=sort_order)["events"]
    assert [event["event_id"] for event in seen] == [event["event_id"] for event in whole]
    assert len({event["event_id"] for event in seen}) == 24
    field = {"cost": "cost_usd"}.get(sort_by, sort_by)
    keys = [(event.get(field) is not None, event.get(field)) for event in seen]
    ordered = sorted(keys, key=lambda key: (key[0], key[1] or 0), reverse=sort_order == "desc")
    assert keys == ordered


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"limit": "5"}, "limit"),
        ({"limit": 10**30}, "limit"), ({"limit": True}, "limit"),
        ({"event_types": "x" * 30_000}, "event_types[0]"), ({"tags": [1]}, "tags[0]"),
        ({"tags": {"a": 1}}, "tags"), ({"models": ["m"] * 1_001}, "models"),
        ({"status": ["ok"]}, "status"), ({"sort_by": "size"}, "sort_by"),
        ({"sort_order": "up"}, "sort_order"), ({"run_id": ""}, "run_id"),
        ({"date_from": "yesterday"}, "date_from"), ({"date_to": "2026-02-30"}, "date_to"),
        ({"date_to": 5}, "date_to"), ({"cursor": "x"}, "cursor"), ({"cursor": "ü"}, "cursor"),
        ({"cursor": "W10"}, "cursor"), ({"page": 1}, "page"), ({"mode": "regex"}, "mode"),
        ({"text_search": "?!"}, "text_search"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_told_what_is_wrong(
    account: Account, question: dict[str, Any], name: str
) -> None:
    """A wrong parameter is 400 invalid_query in a sentence that names it."""
    status, answer = account.post("/v1/events/query", json.dumps(question).encode())

    assert (status, answer["error"]["code"]) == (400, "invalid_query")
    assert name in answer["error"]["message"]


def test_a_cursor_of_another_order_is_refused(filled: Account) -> None:
    """A cursor is good for the order that it was made in."""
    cursor = filled.query(limit=1)["next_cursor"]

    status, answer = filled.post(
        "/v1/events/query", json.dumps({"cursor": cursor, "sort_by": "cost"}).encode()
    )

    assert (status, answer["error"]["code"]) == (400, "invalid_query")


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"\xff", b"[" * 100_000, b'{"text_search": "\\ud800"}']
)
def test_a_question_that_is_no_object_is_refused(account: Account, body: bytes) -> None:
    """A question that cannot be read is 400."""
    status, _ = account.post("/v1/events/query", body)

    assert status == 400


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        *((word, "substring") for word in ["größe", "😀", "a\\\\b", 'say "hi"', "\t"]),
        *((word, "words") for word in ["größe", "😀", "a\\\\b", 'say "hi"', "new\nline", "\tnew"]),
    ],
)
def test_search_finds_any_text_in_any_field(account: Account, word: str, mode: str) -> None:
    """A word is found in prompt, response, an error and a foreign field, escaped or not."""
    text = f"x {word} y"
    account.send(
        prompt_call(event_id="1", prompt=text), prompt_call(event_id="2", response=text),
        error(event_id="3") | {"error": {"message": text}}, prompt_call(event_id="4", x_own=[text]),
        prompt_call(event_id="5"),
    )  # fmt: skip
    plain = json.dumps({"events": [prompt_call(event_id="6", x_own=text)]}, ensure_ascii=False)
    account.post("/v1/events/batch", plain.encode())

    assert sorted(account.ids(text_search=word, mode=mode)) == ["1", "2", "3", "4", "6"]


def test_one_event_is_found_by_its_id(filled: Account) -> None:
    """An event is answered alone by its id, with its cost; an unknown id is 404."""
    status, event = filled.get("/v1/events/call")
    unknown, answer = filled.get("/v1/events/none")

    assert (status, event["cost_usd"]) == (200, 0.00048)
    assert (unknown, answer["error"]["code"]) == (404, "not_found")


def test_a_run_is_summed_up(account: Account) -> None:
    """The summary counts calls, steps, errors, tokens, known costs and the median latency."""
    account.send(
        prompt_call(timestamp="2026-11-24T09:30:00Z", tags=["b"], user_id="u", latency_ms=100),
        prompt_call(timestamp="2026-11-24T09:30:01Z", tags=["a"], model="mine", latency_ms=300),
        step(timestamp="2026-11-24T09:30:02Z", release="2"),
        error(timestamp="2026-11-24T09:30:03Z"),
    )

    _, answer = account.get("/v1/runs/run-1")

    assert answer["run"] == {
        "run_id": "run-1", "started_at": "2026-11-24T09:30:00.000Z",
        "ended_at": "2026-11-24T09:30:03.000Z", "events": 4, "prompt_calls": 2, "agent_steps": 1,
        "errors": 1, "tokens_input": 24, "tokens_output": 90, "cost_usd": 0.00048,
        "unpriced_calls": 1, "latency_p50_ms": 200, "models": ["gpt-4o", "mine"], "users": ["u"],
        "tags": ["a", "b"], "releases": ["2"], "env": "development", "status": "error",
        "first_prompt": "What is machine learning?", "duration_ms": 3_100,
    }  # fmt: skip
    types = [event["event_type"] for event in answer["events"]]
    assert types == ["prompt_call", "prompt_call", "agent_step", "error"]


def test_a_run_whose_calls_have_no_price_has_no_cost(account: Account) -> None:
    """Unknown costs sum up to unknown, and no calls to nothing."""
    account.send(prompt_call(run_id="unpriced", model="mine"), error(run_id="no-calls"))

    assert account.get("/v1/runs/unpriced")[1]["run"]["cost_usd"] is None
    assert account.get("/v1/runs/no-calls")[1]["run"]["cost_usd"] == 0


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([prompt_call()], "success"),
        ([prompt_call(), prompt_call(status="warning")], "warning"),
        ([prompt_call(status="warning"), prompt_call(status="timeout")], "error"),
        ([prompt_call(), error()], "error"),
    ],
)
def test_the_status_of_a_run_is_its_worst(account: Account, events: list[Any], status: str) -> None:
    """Any error makes a run an error, else any warning a warning."""
    account.send(*(event | {"event_id": f"{n}"} for n, event in enumerate(events)))

    _, answer = account.get(f"/v1/runs?status={status}")

    assert [run["status"] for run in answer["runs"]] == [status]


def test_totals_beyond_64_bits_are_right(account: Account) -> None:
    """The largest counts add up instead of turning negative."""
    most = 2**63 - 1
    account.send(*(prompt_call(tokens_input=most, model="mine") for _ in range(3)))

    text = account.client.get("/v1/runs/run-1", headers=account.headers).text

    assert json.loads(text)["run"]["tokens_input"] == 3 * most


def test_events_of_a_run_are_in_order_of_time_then_id(account: Account) -> None:
    """Equal times are in order of the id, and a page continues where the last one ended."""
    account.send(*(prompt_call(event_id=name) for name in "cabd"))

    _, first = account.get("/v1/runs/run-1?limit=3")
    _, rest = account.get(f"/v1/runs/run-1?limit=3&{urlencode({'cursor': first['next_cursor']})}")

    assert [event["event_id"] for event in first["events"]] == ["a", "b", "c"]
    assert [event["event_id"] for event in rest["events"]] == ["d"]


def test_runs_are_listed_the_newest_first_in_pages(account: Account) -> None:
    """Following the cursor gives every run once, the last started first."""
    account.send(
        *(
            prompt_call(run_id=f"r{number}", timestamp=f"2026-11-24T09:30:0{number // 2}Z")
            for number in range(7)
        )
    )
    seen: list[str] = []
    cursor = ""

    while True:
        _, page = account.get(f"/v1/runs?limit=2{cursor}")
        seen += [run["run_id"] for run in page["runs"]]
        if not page["has_more"]:
            break
        cursor = f"&{urlencode({'cursor': page['next_cursor']})}"

    assert seen == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", ["r2", "r1"]), ("user_id=u1", ["r1"]), ("models=claude-sonnet-4-5", ["r2"]),
        ("tags=a,x", ["r1"]), ("tags=a&tags=b", ["r2", "r1"]), ("status=error", ["r2"]),
        ("date_from=2026-11-25", ["r2"]), ("date_to=2026-11-25", ["r1"]),
        ("text_search=no%20such%20model", ["r2"]), ("event_types=error", ["r2"]),
    ],
)  # fmt: skip
def test_a_run_is_found_by_any_of_its_events(
    filled: Account, question: str, found: list[str]
) -> None:
    """A filter finds the runs of which an event matches, and sums up all their events."""
    _, answer = filled.get(f"/v1/runs?{question}")

    assert [run["run_id"] for run in answer["runs"]] == found
    assert {run["run_id"]: run["events"] for run in answer["runs"]}.get("r2", 2) == 2


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("limit=x", "limit"), ("limit=-1", "limit"), ("limit=1&limit=2", "limit"),
        ("colour=red", "colour"), ("status=timeout", "status"), ("cursor=%00", "cursor"),
        ("user_id=", "user_id"), ("models=", "models"), ("tags=a,", "tags"),
    ],
)  # fmt: skip
def test_a_wrong_question_in_an_address_is_told(account: Account, question: str, name: str) -> None:
    """A wrong parameter of the list of runs is 400 invalid_query and named."""
    status, answer = account.get(f"/v1/runs?{question}")

    assert (status, answer["error"]["code"]) == (400, "invalid_query")
    assert name in answer["error"]["message"]


def test_no_route_shows_another_projects_data(new_account: Callable[[], Account]) -> None:
    """With the key of one project no route, filter, id or cursor reaches the events of another."""
    ours, theirs = new_account(), new_account()
    theirs.send(
        *(prompt_call(event_id=f"e{n}", run_id="secret-run", user_id="u") for n in range(3))
    )
    cursor = theirs.query(limit=1)["next_cursor"]
    run_cursor = theirs.get("/v1/runs?limit=1")[1]["next_cursor"] or ""

    for question in ({}, {"run_id": "secret-run"}, {"user_id": "u"}, {"cursor": cursor}):
        assert ours.ids(**question) == []
    assert ours.post("/v1/events/query", b'{"project_id": "x"}')[0] == 400
    assert ours.get("/v1/events/e0")[0] == 404
    assert ours.get("/v1/runs/secret-run")[0] == 404
    assert ours.get("/v1/runs")[1]["runs"] == []
    assert ours.get(f"/v1/runs?cursor={run_cursor}")[0] in (200, 400)
    assert ours.get(f"/v1/runs?project_id={theirs.project}")[0] == 400
    inject = "x' OR project_id != 'x"
    assert ours.get(f"/v1/runs/{quote(inject)}")[0] == 404
    assert ours.ids(user_id=inject, tags=[inject, "\\"], text_search="%", mode="substring") == []
    status, answer = ours.post(
        "/v1/events/batch",
        json.dumps({"events": [prompt_call(project_id=theirs.project)]}).encode(),
    )
    assert (status, answer["error"]["code"]) == (403, "wrong_project")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/events/batch"), ("POST", "/v1/events/query"), ("GET", "/v1/events/x"),
        ("GET", "/v1/runs"), ("GET", "/v1/runs/x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic eA==", "Bearer wllm_wrong", f"Bearer {'x' * 9_000}"],
)
def test_every_route_asks_for_a_key(
    account: Account, method: str, path: str, authorization: str | None
) -> None:
    """Without a known key every route that reads or writes is 401."""
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = account.client.request(method, path, headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unknown_key")


def test_an_unknown_route_and_method_are_answered_in_json(account: Account) -> None:
    """Beyond the routes there is 404, and beyond a route's methods 405, each with an error body."""
    nothing = account.client.get("/v1/nothing")
    wrong = account.client.delete("/v1/runs")

    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]


def test_health_needs_no_key(account: Account) -> None:
    """The process and the store answer for themselves without a key."""
    assert account.client.get("/healthz").json() == {"status": "ok"}
    assert account.client.get("/readyz").json() == {"status": "ready"}
