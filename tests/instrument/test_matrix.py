"""Every kind of call of the library, by every end that it can have, is logged once and unharmed.

Each cell runs the same program twice, without instrumentation and with it, and compares what the
app sees; then it looks at the one event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

from conftest import APIS, NAME, QUESTION, cancel, library, method, outcome
from upstream import ANSWER, WORDS

if TYPE_CHECKING:
    from conftest import Clients

STREAMED = [api for api in APIS[NAME] if api != "embeddings"]
WHOLE = ["answered", "raw", "flaky", "nope", "slow", "bare"]
STREAMS = [
    "consumed",
    "raw",
    "closed",
    "left",
    "dropped",
    "nope",
    "cut",
    "wrong",
    "hold",
    "with",
]
FORMS = {"raw": "with_raw_response"}
MODELS = {"flaky", "nope", "slow", "bare", "cut", "wrong", "hold"}


def shown(value: Any) -> Any:
    """Return an object of the library, or several, as what can be compared."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    return (type(value), value.to_dict() if hasattr(value, "to_dict") else value)


def more(api: str) -> dict[str, Any]:
    """Return the options that make a stream tell its usage."""
    return {"stream_options": {"include_usage": True}} if "c" in api[:2] else {}


def whole(client: Any, api: str, scene: str) -> Any:
    """Call without a stream."""
    model = scene if scene in MODELS else "gpt-4o"
    result = method(client, api, form=FORMS.get(scene, ""))(model=model)
    return shown(result.parse() if scene == "raw" else result)


async def async_whole(client: Any, api: str, scene: str) -> Any:
    """Call without a stream, asynchronously."""
    model = scene if scene in MODELS else "gpt-4o"
    result = await method(client, api, form=FORMS.get(scene, ""))(model=model)
    if scene == "raw":
        result = result.parse()
        result = await result if hasattr(result, "__await__") else result
    return shown(result)


def streamed(client: Any, api: str, scene: str) -> Any:
    """Call with a stream, and leave it as the scene says."""
    model = scene if scene in MODELS else "gpt-4o"
    stream = method(client, api, form=FORMS.get(scene, ""))(model=model, stream=True, **more(api))
    if scene == "raw":
        stream = stream.parse()
    if scene == "dropped":
        return type(stream)
    seen = []
    if scene == "with":
        with stream:
            seen.append(shown(next(stream)))
    else:
        for chunk in stream:
            seen.append(shown(chunk))
            if scene in ("closed", "left") and len(seen) == 3:
                break
        if scene == "closed":
            stream.close()
    return type(stream), seen


async def async_streamed(client: Any, api: str, scene: str) -> Any:
    """Call with a stream asynchronously, and leave it as the scene says."""
    model = scene if scene in MODELS else "gpt-4o"
    stream = await method(client, api, form=FORMS.get(scene, ""))(
        model=model, stream=True, **more(api)
    )
    if scene == "raw":
        stream = stream.parse()
        stream = await stream if hasattr(stream, "__await__") else stream
    if scene == "dropped":
        return type(stream)
    seen = []
    if scene == "with":
        async with stream:
            seen.append(shown(await stream.__anext__()))
    else:
        async for chunk in stream:
            seen.append(shown(chunk))
            if scene in ("closed", "left") and len(seen) == 3:
                break
        if scene == "closed":
            await stream.close()
    return type(stream), seen


def program(clients: Clients, api: str, scene: str, *, stream: bool, is_async: bool) -> Any:
    """Return the program of a cell."""
    options: dict[str, Any] = {"max_retries": 1 if scene == "flaky" else 0}
    if scene in ("slow", "hold"):
        options["timeout"] = 0.3
    if is_async:
        body = async_streamed if stream else async_whole
        return lambda: clients.run(body(clients.asynchronous(**options), api, scene))
    sync = streamed if stream else whole
    return lambda: sync(clients.sync(**options), api, scene)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("scene", WHOLE)
@pytest.mark.parametrize("api", APIS[NAME])
def test_a_whole_answer(
    api: str, scene: str, is_async: bool, clients: Clients, events: Any
) -> None:
    """The app sees the same; the event has the model, the tokens and how it ended."""
    cell = program(clients, api, scene, stream=False, is_async=is_async)
    with watchllm.trace("run-t"):
        seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    assert seen == bare
    assert event["run_id"] == "run-t"
    assert event["prompt"] == QUESTION
    assert event["response_metadata"]["provider"] == NAME
    if scene in ("nope", "slow"):
        assert seen[0] == "raised"
        assert event["model"] == scene
        assert event["status"] == {"nope": "error", "slow": "timeout"}[scene]
        assert event["error"]["type"] == {"nope": "NotFoundError", "slow": "APITimeoutError"}[scene]
        return
    assert seen[0] == "returned"
    assert event["status"] == "success"
    assert "error" not in event
    assert event["latency_ms"] > 0
    if api == "embeddings":
        assert (event["tokens_input"], event["tokens_output"], event["response"]) == (3, 0, "")
        return
    asked = scene if scene in MODELS else "gpt-4o"
    assert event["model"] == f"{asked}-2024-08-06"
    assert event["response_metadata"]["requested_model"] == asked
    if scene == "bare" and api == "chat":
        assert event["response"] == ""
        assert set(event["invalid_fields"]) == {"tokens_input", "tokens_output"}
        return
    assert event["response"] == ANSWER
    assert event["tokens_input"] == (24 if NAME == "anthropic" else 40)
    assert event["tokens_output"] == 12
    usage = event["response_metadata"]["usage"]
    assert usage.get("output_tokens", usage.get("completion_tokens")) == 12


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("scene", STREAMS)
@pytest.mark.parametrize("api", STREAMED)
def test_a_streamed_answer(
    api: str, scene: str, is_async: bool, clients: Clients, events: Any
) -> None:
    """The app sees the same chunks of the same stream; the event tells of them what was read."""
    cell = program(clients, api, scene, stream=True, is_async=is_async)
    with watchllm.trace("run-t"):
        seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    metadata = event["response_metadata"]
    assert seen == bare
    assert event["run_id"] == "run-t"
    assert event["prompt"] == QUESTION
    assert metadata["stream"] is True
    if scene in ("nope", "cut", "wrong", "hold"):
        assert seen[0] == "raised"
        assert event["status"] == ("timeout" if scene == "hold" else "error")
        assert event["error"]["type"] == seen[1].__name__
        if scene == "nope":
            return
    else:
        assert seen[0] == "returned"
        assert event["status"] == "success"
        assert "error" not in event
    if scene in ("consumed", "raw"):
        assert event["response"] == ANSWER
        assert event["tokens_input"] == (24 if NAME == "anthropic" else 40)
        assert event["tokens_output"] == 12
        assert 0 < metadata["time_to_first_token_ms"] <= event["latency_ms"]
        assert "ended" not in metadata
    else:
        assert ANSWER.startswith(event["response"])
        assert event["response"] != ANSWER or api == "completions"
        ends = {"closed": "closed early", "with": "closed early"}
        ends.update(left="dropped", dropped="dropped")
        assert metadata.get("ended") == ends.get(scene)
    if scene != "dropped":
        asked = scene if scene in MODELS else "gpt-4o"
        assert event["model"] == f"{asked}-2024-08-06"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", STREAMED)
def test_a_cancelled_call(api: str, stream: bool, clients: Clients, events: Any) -> None:
    """Cancelling the task ends it as before, and is logged at once with what has come so far."""
    scene = "hold" if stream else "slow"

    async def cancelled() -> bool:
        client = clients.asynchronous(timeout=20)
        said = asyncio.Event()

        async def work() -> None:
            options = more(api) if stream else {}
            result = await method(client, api)(model=scene, stream=stream, **options)
            number = 0
            async for _ in result:
                number += 1
                if number == 3:
                    said.set()

        return await cancel(work(), clients.endpoint, said if stream else None)

    was_cancelled = clients.run(cancelled())

    (event,) = events.all()
    assert was_cancelled
    assert (event["status"], event["error"]["type"]) == ("error", "CancelledError")
    assert ANSWER.startswith(event["response"])
    assert not stream or event["model"] == "hold-2024-08-06"


def test_the_words_of_the_script_are_more_than_one() -> None:
    """Streams are put together from several parts."""
    assert len(WORDS) > 2
    assert library.__name__ == NAME
