"""POST /v1/events/batch: bodies that are compressed, broken, hostile or too large."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from watchllm_server.budget import Budget
from watchllm_server.errors import Problem
from watchllm_server.ingest.body import read_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from watchllm_server.metadata import Metadata

PATH = "/v1/events/batch"
GZIP = {"Content-Encoding": "gzip"}


def batch(*events: object, **fields: object) -> bytes:
    """Return the body of a batch."""
    return json.dumps({"events": events, **fields}).encode()


def test_gzip_is_read_in_one_member_or_several(account: Account) -> None:
    """A compressed body is stored like a plain one, also when it is several gzip members."""
    body = batch(prompt_call(event_id="a"))
    halves = gzip.compress(body[:40]) + gzip.compress(body[40:])

    one, _ = account.post(PATH, gzip.compress(batch(prompt_call(event_id="b"))), **GZIP)
    two, _ = account.post(PATH, halves, **GZIP)

    assert (one, two) == (200, 200)
    assert sorted(account.ids()) == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", gzip.compress(b"{}" * 50)[:-5], zlib.compress(b"{}"), b"\x1f\x8b"],
    ids=range(5),
)
def test_broken_gzip_is_said_to_be_broken(account: Account, body: bytes) -> None:
    """A body that is no gzip, or ends too early, is 400 invalid_encoding."""
    status, answer = account.post(PATH, body, **GZIP)

    assert (status, answer["error"]["code"]) == (400, "invalid_encoding")


def test_a_bomb_is_stopped_at_ten_megabytes(account: Account) -> None:
    """A small body that grows to a gigabyte is 413, without being unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * 1_000_000) for _ in range(1_000)) + packer.flush()

    status, answer = account.post(PATH, bomb, **GZIP)

    assert (status, answer["error"]["code"]) == (413, "body_too_large")


def test_a_body_beyond_ten_megabytes_is_refused(account: Account) -> None:
    """More than 10 MB is 413, whether or not the length was announced."""
    announced, one = account.post(PATH, b" " * 10_000_001)
    answer = account.client.post(
        PATH, content=(b" " * 1_000_000 for _ in range(11)), headers=account.headers
    )

    assert (announced, one["error"]["code"]) == (413, "body_too_large")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_another_encoding_is_named(account: Account) -> None:
    """A compression that the server does not read is 415, and the answer says what it does read."""
    answer = account.client.post(
        PATH, content=b"x", headers={**account.headers, "Content-Encoding": "br"}
    )

    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_encoding"
    assert answer.headers["accept-encoding"] == "gzip"


def test_every_answer_says_what_may_be_sent(account: Account) -> None:
    """The answer to a batch advertises gzip and the size of the largest batch."""
    body = batch(prompt_call())
    answer = account.client.post(PATH, content=body, headers=account.headers)

    assert answer.headers["accept-encoding"] == "gzip"
    assert answer.headers["x-watchllm-max-batch"] == "500"


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"events": []}',
        b'{"events": [{"a": "\xff"}]}',
        b'{"\xff": 1}',
        b'{"events": [' + b"[" * 100_000,
        b'{"events": ' + b'{"a":' * 100_000,
        b'{"events": [Infinity]}',
        b'{"events": [1,]}',
        b"'events'",
        b"\x00",
        b"{" * 1_000_000,
        '{"events": []}'.encode("utf-16"),
    ],
    ids=range(11),
)
def test_what_is_no_json_is_said_to_be_none(account: Account, body: bytes) -> None:
    """Broken, foreign and hostile texts are 400 invalid_json in a sentence."""
    status, answer = account.post(PATH, body)

    assert (status, answer["error"]["code"]) == (400, "invalid_json")
    assert answer["error"]["message"].startswith("The body ")


@pytest.mark.parametrize(("levels", "status"), [(190, 200), (201, 400), (900, 400), (9_000, 400)])
def test_nesting_is_bounded_alike_everywhere(account: Account, levels: int, status: int) -> None:
    """Up to 200 levels are stored; beyond, the body is refused, whatever the parser can do."""
    deep = "[" * levels + "]" * levels
    event = json.dumps(prompt_call(x_own=0)).replace('"x_own": 0', f'"x_own": {deep}')

    assert account.post(PATH, f'{{"events": [{event}]}}'.encode())[0] == status


def test_a_lone_half_of_a_pair_costs_no_event(account: Account) -> None:
    """A text cut inside an emoji is stored with U+FFFD, and its neighbours as they are."""
    body = batch(
        prompt_call(event_id="cut", prompt="x\ud83d", response="\\ud83d stays"),
        prompt_call(event_id="whole", prompt="😀", response="\udc00"),
    )

    status, _ = account.post(PATH, body)

    events = {event["event_id"]: event for event in account.query()["events"]}
    assert status == 200
    assert (events["cut"]["prompt"], events["cut"]["response"]) == ("x\ufffd", "\\ud83d stays")
    assert (events["whole"]["prompt"], events["whole"]["response"]) == ("😀", "\ufffd")


def test_numbers_keep_every_digit(account: Account) -> None:
    """A number that a 64-bit float cannot hold comes back as it was sent."""
    digits = "123456789012345678901234567890.123456789"
    event = json.dumps(prompt_call(event_id="n", x_own=0, latency_ms=7))
    event = event.replace('"x_own": 0', f'"x_own": {digits}')
    event = event.replace('"latency_ms": 7', '"latency_ms": 0.12345678901234567890')

    account.post(PATH, f'{{"events": [{event}]}}'.encode())
    text = account.client.get("/v1/events/n", headers=account.headers).text

    assert f'"x_own":{digits}' in text
    assert '"latency_ms":0.12345678901234567890' in text


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1e-999", "9" * 400])
def test_numbers_beyond_all_bounds_are_no_surprise(account: Account, value: str) -> None:
    """A number beyond a float's range is refused in a field of ours and kept in a foreign one."""
    ours = json.dumps(prompt_call(latency_ms=7)).replace(
        '"latency_ms": 7', f'"latency_ms": {value}'
    )
    foreign = json.dumps(prompt_call(event_id="f", x_own=7)).replace(
        '"x_own": 7', f'"x_own": {value}'
    )

    status, answer = account.post(PATH, f'{{"events": [{ours}, {foreign}]}}'.encode())

    assert status == 200
    assert {error["code"] for error in answer["errors"]} <= {"invalid_field"}
    assert f'"x_own":{value}' in account.client.get("/v1/events/f", headers=account.headers).text


def test_the_last_of_two_equal_names_counts(account: Account) -> None:
    """A field that is there twice has its last value."""
    event = json.dumps(prompt_call(event_id="twice"))[:-1] + ', "model": "last"}'

    account.post(PATH, f'{{"events": [{event}]}}'.encode())

    assert account.query()["events"][0]["model"] == "last"


@pytest.mark.parametrize("event_id", ["..", "a/b", "%2F", "x" * 10_000, "'; DROP", "\n\t\\", "ß😀"])
def test_any_text_is_an_id(account: Account, event_id: str) -> None:
    """Any non-empty text is an event's and a run's id and finds them again."""
    account.send(prompt_call(event_id=event_id, run_id=event_id))

    assert account.ids(run_id=event_id) == [event_id]
    assert account.query()["events"][0]["event_id"] == event_id


def test_losses_are_counted_by_reason(account: Account, metadata: Metadata) -> None:
    """What a sender says that it lost adds up; a report that cannot be read costs no event."""
    reports: list[Any] = [{"spool_full": 3}, {"spool_full": 2, "encoding": 1}]
    for losses in [*reports, {"x": "y"}, [], {"z": -1}]:
        status, _ = account.post(PATH, batch(prompt_call(), losses=losses))
        assert status == 200

    assert metadata.losses(account.project) == {"encoding": 1, "spool_full": 5}


def test_no_word_of_a_report_of_losses_is_logged(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says whose sender lost how many; the reasons are the sender's words."""
    with caplog.at_level("WARNING"):
        account.post(PATH, batch(prompt_call(), losses={"ada@example.com": 3, "spool_full": 4}))

    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"A sender of project {account.project} lost 7 events")
    assert "ada" not in line


def test_a_server_without_room_says_when_to_come_back() -> None:
    """A body beyond the memory for all is 429 with Retry-After, and the room comes back."""
    budget = Budget(10_000_000)

    async def read(*pieces: bytes) -> int:
        async def stream() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        with budget.share() as share:
            return len(await read_body({}, stream(), share, seconds=60))

    async def story() -> Problem:
        with budget.share() as other:
            other.grow(6_000_000)
            with pytest.raises(Problem) as refused:
                await read(b" " * 3_000_000, b" " * 3_000_000)
        assert await read(b" " * 9_000_000) == 9_000_000
        return refused.value

    problem = asyncio.run(story())

    assert (problem.status, problem.code, problem.headers) == (429, "busy", {"Retry-After": "1"})
    assert budget.used == 0


def test_a_sender_that_stops_halfway_gives_its_memory_back() -> None:
    """A body that does not arrive in time is 408, and what it held is free for others."""
    budget = Budget(10_000_000)

    async def stream() -> AsyncIterator[bytes]:
        yield b" " * 1_000_000
        await asyncio.Event().wait()

    async def story() -> Problem:
        with budget.share() as share, pytest.raises(Problem) as refused:
            await read_body({}, stream(), share, seconds=0.01)
        return refused.value

    problem = asyncio.run(story())

    assert (problem.status, problem.code, budget.used) == (408, "body_too_slow", 0)
