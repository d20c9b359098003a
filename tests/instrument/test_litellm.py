"""LiteLLM as people use it, with our logger."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks for prices as it is imported
os.environ["LOGGING_EXECUTOR_MAX_THREADS"] = "4"  # the tests wait until all of them are idle
pytest.importorskip("litellm")

import litellm
import openai
import watchllm
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.litellm_core_utils.thread_pool_executor import executor
from litellm.responses import streaming_iterator
from watchllm._log import Problems
from watchllm.integrations.litellm import WatchLLMLogger

from conftest import MESSAGES, QUESTION, cancel, made_to_fail
from programs import run_example
from upstream import ANSWER, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstream import Endpoint

# It warns of its own classes, and leaves what it has opened to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def _connections(left_open: None) -> Iterator[None]:
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.fixture(autouse=True)
def _logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(litellm, "callbacks", [WatchLLMLogger()])
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    yield
    for name in ("input", "success", "failure", "_async_success", "_async_failure"):
        getattr(litellm, f"{name}_callback").clear()


def at(endpoint: Endpoint, model: str = "openai/gpt-4o", **more: Any) -> dict[str, Any]:
    """Return the arguments of a call that asks the endpoint."""
    base = endpoint.url if model.startswith("anthropic") else f"{endpoint.url}/v1"
    options = {"api_base": base, "api_key": "k", "max_retries": 0}
    return {"model": model, "messages": MESSAGES, **options, **more}


def told(events: Any) -> list[dict[str, Any]]:
    """Return the events when LiteLLM has told of all that has ended on its threads."""
    everyone = threading.Barrier(executor._max_workers)  # noqa: SLF001 - no thread is busy then
    waiting = [executor.submit(everyone.wait, 30) for _ in range(everyone.parties)]
    for each in waiting:
        each.result()
    return list(events.all())


def run(coroutine: Any) -> Any:
    """Run a coroutine until LiteLLM has told of all that has ended in it."""

    async def all_of_it() -> Any:
        try:
            return await coroutine
        finally:
            for _ in range(20):  # turns, in which a task hands over what there is to tell
                await asyncio.sleep(0)
            await GLOBAL_LOGGING_WORKER.flush()

    return asyncio.run(all_of_it())


async def read(stream: Any) -> str:
    """Return the text of an asynchronous stream."""
    return "".join([text_of(chunk) async for chunk in stream])


def text_of(chunk: Any) -> str:
    """Return what a part of a stream says; the one with the usage says nothing."""
    return "".join(choice.delta.content or "" for choice in chunk.choices)


@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_is_logged_once(
    is_async: bool, stream: bool, instrumented: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """The app has its answer; the event has text, tokens and the run, whoever has logged it."""
    asked = at(endpoint, temperature=0.5, stream=stream)
    if stream:
        asked["stream_options"] = {"include_usage": True}
    if instrumented:
        watchllm.auto_instrument()

    async def asynchronous() -> str:
        result = await litellm.acompletion(**asked)
        return await read(result) if stream else result.choices[0].message.content

    try:
        with watchllm.trace("run-t", user_id="ada"):
            if is_async:
                said = run(asynchronous())
            elif stream:
                chunks = litellm.completion(**asked)
                said = "".join(text_of(chunk) for chunk in chunks)
            else:
                said = litellm.completion(**asked).choices[0].message.content
        events = told(watchllm_events)
    finally:
        watchllm.disable_instrumentation()

    (call,) = events
    metadata = call["response_metadata"]
    assert said == call["response"] == ANSWER
    assert (call["run_id"], call["user_id"], call["prompt"]) == ("run-t", "ada", QUESTION)
    assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
    assert (metadata["provider"], metadata["operation"]) == ("openai", "chat")
    assert metadata["request"]["temperature"] == 0.5
    assert call["latency_ms"] > 0
    if stream:
        assert 0 < metadata["time_to_first_token_ms"] <= call["latency_ms"]


async def part(stream: Any, seen: list[str], how: str) -> None:
    """Read a stream, and leave it as the name says: after two parts, or with the last one."""
    number = 0
    async for chunk in stream:
        number += 1
        seen.append(text_of(chunk))
        if chunk.choices[0].finish_reason if how == "finished" else number == 2:
            break
    if how == "closed":
        await stream.aclose()


class Turned:
    """An ordinary stream, to be read in the same way as an asynchronous one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> Turned:
        return self

    async def __anext__(self) -> Any:
        return next(self._stream)

    async def aclose(self) -> None:
        """Close the stream."""
        self._stream.close()


# An ordinary stream can be closed in newer versions of LiteLLM alone.
WAYS = [
    *((True, how) for how in ("closed", "left", "finished", "unread")),
    *((False, how) for how in ("left", "finished", "unread")),
    *([(False, "closed")] if hasattr(litellm.CustomStreamWrapper, "close") else []),
]


@pytest.mark.parametrize(("is_async", "how"), WAYS)
@pytest.mark.parametrize(
    ("model", "instrumented"),
    [("openai/gpt-4o", False), ("openai/gpt-4o", True), ("anthropic/claude-sonnet-5", False)],
)
def test_a_stream_that_the_app_leaves_is_logged_once(
    model: str,
    instrumented: bool,
    is_async: bool,
    how: str,
    endpoint: Endpoint,
    watchllm_events: Any,
) -> None:
    """The event has what was read, and how the stream was left, whoever has logged it."""
    asked = at(endpoint, model, stream=True)
    seen: list[str] = []

    async def ask() -> None:
        stream = await litellm.acompletion(**asked) if is_async else litellm.completion(**asked)
        if how != "unread":
            await part(stream if is_async else Turned(stream), seen, how)

    if instrumented:
        watchllm.auto_instrument()
    try:
        with watchllm.trace("run-t"):
            run(ask())
        told(watchllm_events)  # its threads hold a stream until they have something else to do
        gc.collect()
        events = told(watchllm_events)
    finally:
        watchllm.disable_instrumentation()

    (call,) = events
    metadata = call["response_metadata"]
    assert (call["run_id"], call["prompt"], call["status"]) == ("run-t", QUESTION, "success")
    assert ANSWER.startswith(call["response"])
    assert call["response"].startswith("".join(seen))
    assert (call["response"] == ANSWER) is (how == "finished")
    ends = {"closed": "closed early", "finished": "dropped" if instrumented else None}
    assert metadata.get("ended") == ends.get(how, "dropped")
    assert ("time_to_first_token_ms" in metadata) is bool(call["response"])


# Those of responses can be closed in newer versions alone.
WAYS_OF_RESPONSES = [
    (is_async, how)
    for is_async, name, method in (
        (True, "ResponsesAPIStreamingIterator", "aclose"),
        (False, "SyncResponsesAPIStreamingIterator", "close"),
    )
    for how in ("closed", "left", "finished", "unread")
    if how != "closed" or hasattr(getattr(streaming_iterator, name), method)
]


@pytest.mark.parametrize(("is_async", "how"), WAYS_OF_RESPONSES)
@pytest.mark.parametrize("instrumented", [False, True])
def test_a_stream_of_responses_that_the_app_leaves_is_logged_once(
    instrumented: bool, is_async: bool, how: str, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """LiteLLM asks for it by itself: the logger has what was read, and how it was left."""
    options = {"api_base": f"{endpoint.url}/v1", "api_key": "k", "stream": True}
    asked: dict[str, Any] = {"model": "openai/gpt-4o", "input": QUESTION, **options}
    last = "response.completed" if how == "finished" else "response.output_text.delta"

    async def ask() -> None:
        stream = await litellm.aresponses(**asked) if is_async else litellm.responses(**asked)
        if how == "unread":
            return
        turned = stream if is_async else Turned(stream)
        async for event in turned:
            if event.type == last:
                break
        if how == "closed":
            await turned.aclose()

    if instrumented:
        watchllm.auto_instrument()
    try:
        with watchllm.trace("run-t"):
            run(ask())
        told(watchllm_events)
        gc.collect()
        events = told(watchllm_events)
    finally:
        watchllm.disable_instrumentation()

    (call,) = events
    said = {"finished": ANSWER, "unread": ""}
    ends = {"closed": "closed early", "finished": None}
    assert (call["run_id"], call["prompt"], call["status"]) == ("run-t", QUESTION, "success")
    assert call["response"] == said.get(how, WORDS[0])
    assert call["response_metadata"].get("ended") == ends.get(how, "dropped")
    assert ("time_to_first_token_ms" in call["response_metadata"]) is (how != "unread")
    assert ("invalid_fields" in call) is (how != "finished")  # the tokens come last


def test_a_part_that_cannot_be_read_is_the_apps(
    endpoint: Endpoint,
    watchllm_events: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Made to fail on purpose, the app gets each part of its stream."""
    monkeypatch.setattr("watchllm.instrumentation._openai._Responses.read_chunk", made_to_fail)
    monkeypatch.setattr("watchllm.instrumentation._tree._problems", Problems())
    with caplog.at_level(logging.WARNING, "watchllm"):
        stream = litellm.responses(
            model="openai/gpt-4o",
            input=QUESTION,
            stream=True,
            api_base=f"{endpoint.url}/v1",
            api_key="k",
        )
        parts = list(stream)
        (call,) = told(watchllm_events)

    assert parts[-1].type == "response.completed"
    assert call["response"] == ANSWER  # as LiteLLM tells of it
    assert "made to fail" in caplog.text


def test_a_task_that_is_cancelled_amid_a_stream(endpoint: Endpoint, watchllm_events: Any) -> None:
    """What was read until then is logged once, with the error that the app sees."""
    seen: list[str] = []

    async def cancelled() -> None:
        said = asyncio.Event()

        async def ask() -> None:
            async for chunk in await litellm.acompletion(
                **at(endpoint, "anthropic/hold", stream=True)
            ):
                seen.append(text_of(chunk))
                if any(seen):
                    said.set()

        assert await cancel(ask(), endpoint, said)

    run(cancelled())
    gc.collect()

    (call,) = told(watchllm_events)
    assert call["error"]["type"] == "CancelledError"
    assert call["response"] == "".join(seen)


def test_other_providers_are_logged_by_the_logger(endpoint: Endpoint, watchllm_events: Any) -> None:
    """What LiteLLM asks by itself nobody else could log."""
    watchllm.auto_instrument()
    try:
        litellm.completion(**at(endpoint, "anthropic/claude-sonnet-5"))
        (call,) = told(watchllm_events)
    finally:
        watchllm.disable_instrumentation()

    assert call["response_metadata"]["provider"] == "anthropic"
    assert (call["response"], call["tokens_output"]) == (ANSWER, 12)
    assert call["run_id"].startswith("run-")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("model", "status"), [("nope", "error"), ("slow", "timeout")])
def test_a_call_that_fails(
    model: str, status: str, is_async: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """The app gets LiteLLM's exception, and so does the event."""
    asked = at(endpoint, f"openai/{model}", timeout=0.3)

    def ask() -> None:
        if is_async:
            run(litellm.acompletion(**asked))
        litellm.completion(**asked)

    with pytest.raises(Exception, match="litellm") as raised:
        ask()

    (call,) = told(watchllm_events)
    assert (call["status"], call["model"]) == (status, model)
    assert call["error"]["type"] == type(raised.value).__name__


def test_tools_are_told(endpoint: Endpoint, watchllm_events: Any) -> None:
    """The tools that were offered and the one that was called are in the event."""
    function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    litellm.completion(**at(endpoint, tools=[{"type": "function", "function": function}]))

    (call,) = told(watchllm_events)
    metadata = call["response_metadata"]
    assert call["response"] == 'weather({"city": "Rome"})'
    assert metadata["tools"] == ["weather"]
    assert metadata["tool_calls"] == [
        {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}
    ]


def test_other_functions(endpoint: Endpoint, watchllm_events: Any) -> None:
    """Completions, responses and embeddings are read as what they are, once each."""
    options = {"api_base": f"{endpoint.url}/v1", "api_key": "k"}
    litellm.text_completion(model="text-completion-openai/gpt-4o", prompt=QUESTION, **options)
    litellm.responses(model="openai/gpt-4o", input=QUESTION, instructions="Be brief.", **options)
    litellm.embedding(model="openai/gpt-4o", input=["Rome", "Oslo"], **options)

    events = told(watchllm_events)
    by_operation = {event["response_metadata"]["operation"]: event for event in events}
    assert len(events) == 3
    text, chat, vectors = (by_operation[each] for each in ("text_completion", "chat", "embeddings"))
    assert (text["prompt"], text["response"]) == (QUESTION, ANSWER)
    assert chat["prompt"] == f"system: Be brief.\n\nuser: {QUESTION}"
    assert chat["response"] == ANSWER
    assert (vectors["prompt"], vectors["tokens_input"]) == ("Rome\n\nOslo", 3)
    assert vectors["tokens_output"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_responses_of_a_provider_that_has_only_chats(
    stream: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """LiteLLM makes them of a chat; the answer is in the event all the same, once."""
    options = {"api_base": endpoint.url, "api_key": "k", "stream": stream}
    result = litellm.responses(model="anthropic/claude-sonnet-5", input=QUESTION, **options)
    if stream:
        assert list(result)

    (call,) = told(watchllm_events)
    assert (call["prompt"], call["response"]) == (QUESTION, ANSWER)
    assert call["tokens_output"] == 12


def test_calls_one_after_the_other_are_not_below_each_other(
    endpoint: Endpoint, watchllm_events: Any
) -> None:
    """LiteLLM tells of an end on another thread, perhaps when the next call is on its way."""
    watchllm.auto_instrument()
    busy = threading.Event()
    for _ in range(executor._max_workers):  # noqa: SLF001 - so that it tells of no end before
        executor.submit(busy.wait, 30)
    try:
        litellm.completion(**at(endpoint, "anthropic/claude-sonnet-5"))
        litellm.completion(**at(endpoint, "anthropic/claude-sonnet-5"))
        with openai.OpenAI(base_url=f"{endpoint.url}/v1", api_key="k") as client:
            client.completions.create(model="gpt-4o", prompt=QUESTION)
    finally:
        busy.set()
        watchllm.disable_instrumentation()

    events = told(watchllm_events)
    assert len(events) == len({event["run_id"] for event in events}) == 3


def test_our_failures_are_warnings(
    endpoint: Endpoint,
    watchllm_events: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Made to fail on purpose, the app gets its answer, and our logger says what happened."""
    monkeypatch.setattr("watchllm.integrations.litellm._api", made_to_fail)
    monkeypatch.setattr("watchllm.instrumentation._tree._problems", Problems())
    with caplog.at_level(logging.WARNING, "watchllm"):
        answer = litellm.completion(**at(endpoint))
        events = told(watchllm_events)

    assert answer.choices[0].message.content == ANSWER
    assert "made to fail" in caplog.text
    assert events == []


def test_what_has_not_begun_has_no_end(watchllm_events: Any) -> None:
    """An end of which no beginning was seen is passed over."""
    logger = WatchLLMLogger()
    logger.log_failure_event({"litellm_call_id": "c"}, None, None, None)

    assert watchllm_events.all() == []


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs one call of each of two providers."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{endpoint.url}/v1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", endpoint.url)
    run_example("litellm/two_models.py")

    events = told(watchllm_events)
    assert sorted(event["response_metadata"]["provider"] for event in events) == [
        "anthropic",
        "openai",
    ]
    assert len({event["run_id"] for event in events}) == 1
