"""Bodies that the app reads itself, behind `with_streaming_response`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from watchllm.instrumentation import _body

from conftest import APIS, NAME, method, outcome
from upstream import ANSWER

if TYPE_CHECKING:
    from conftest import Clients

API = APIS[NAME][0]
READS = ["parse", "read", "text", "json", "iter_bytes", "iter_text", "iter_lines"]


async def result(value: Any) -> Any:
    """Return what an asynchronous method gives, be it a coroutine or not."""
    return await value if hasattr(value, "__await__") else value


def read(clients: Clients, way: str, model: str = "gpt-4o", *, is_async: bool = False) -> Any:
    """Read a body in one of the ways; return what the app sees, as text."""
    asked = {"model": model}

    def sync() -> str:
        with method(clients.sync(), API, form="with_streaming_response")(**asked) as response:
            assert not response.is_closed
            if way == "nothing":
                return ""
            found = getattr(response, way)()
            if way == "iter_bytes" and model == "left":
                return str(next(found))
            return str(list(found) if way.startswith("iter") else found)

    async def asynchronous() -> str:
        client = clients.asynchronous()
        async with method(client, API, form="with_streaming_response")(**asked) as response:
            assert not response.is_closed
            if way == "nothing":
                return ""
            found = getattr(response, way)()
            if way == "iter_bytes" and model == "left":
                return str(await found.__anext__())
            if way.startswith("iter"):
                return str([part async for part in found])
            return str(await result(found))

    return clients.run(asynchronous()) if is_async else sync()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("way", READS)
def test_what_the_app_reads_is_the_answer(
    way: str, is_async: bool, clients: Clients, events: Any
) -> None:
    """However it is read, the app sees all of it, and the event has text and tokens."""
    seen = read(clients, way, is_async=is_async)

    (event,) = events.all()
    metadata = event["response_metadata"]
    assert ANSWER in seen
    assert event["response"] == ANSWER
    assert (event["status"], event["model"]) == ("success", "gpt-4o-2024-08-06")
    assert event["tokens_output"] == 12
    assert "ended" not in metadata
    assert "unreadable" not in metadata


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("way", ["nothing", "iter_bytes"])
def test_what_the_app_leaves_is_a_call_without_an_answer(
    way: str, is_async: bool, clients: Clients, events: Any
) -> None:
    """A body that is not read, or in part, is not read by us either."""
    read(clients, way, "left", is_async=is_async)
    gc.collect()

    (event,) = events.all()
    assert (event["status"], event["response"]) == ("success", "")
    assert event["response_metadata"]["ended"] == "closed early"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_body_that_breaks_off_is_an_error(is_async: bool, clients: Clients, events: Any) -> None:
    """The app gets the exception, and so does the event."""
    seen = outcome(lambda: read(clients, "read", "torn", is_async=is_async))

    (event,) = events.all()
    assert (seen[0], event["status"]) == ("raised", "error")
    assert event["error"]["type"] == seen[1].__name__ == "RemoteProtocolError"


def test_a_body_that_is_no_json_is_the_apps(clients: Clients, events: Any) -> None:
    """It is given to the app as it came; the event says that it could not be read."""
    seen = read(clients, "text", "plain")

    (event,) = events.all()
    assert seen == ANSWER
    assert event["response_metadata"]["unreadable"].startswith("JSONDecodeError")


def test_of_a_large_body_no_copy_is_kept(
    clients: Clients, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body beyond what an event may hold is the app's alone."""
    monkeypatch.setattr(_body, "MOST_CHARACTERS", 10)
    seen = read(clients, "text")

    (event,) = events.all()
    assert ANSWER in seen
    assert (event["response"], event["status"]) == ("", "success")
    assert event["response_metadata"]["body"] == "too large to be read"


def test_a_response_that_is_dropped_is_logged(clients: Clients, events: Any) -> None:
    """An app that neither reads nor closes it has made a call all the same."""
    entered = method(clients.sync(), API, form="with_streaming_response")(model="gpt-4o")
    response = entered.__enter__()
    connection = response.http_response.stream._stream  # noqa: SLF001 - it knows no response
    del entered, response
    gc.collect()
    connection.close()

    (event,) = events.all()
    assert event["response_metadata"]["ended"] == "dropped"
