"""Every kind of call of Google's library, by every end that it can have, is logged once, unharmed.

Each cell runs the same program twice, without instrumentation and with it, and compares what the
app sees; then it looks at the one event.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.genai")

import watchllm
from google import genai
from google.genai import _api_client, types
from google.oauth2.credentials import Credentials
from watchllm.instrumentation import _call, _google

from conftest import QUESTION, cancel, made_to_fail, outcome
from gemini import Gemini
from programs import run_example
from upstream import ANSWER, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = ["gemini", "flaky", "nope", "slow", "bare", "blocked", "thinking", "picture"]
STREAMS = ["gemini", "closed", "left", "nope", "cut", "wrong", "hold"]
RETRY = types.HttpRetryOptions(attempts=2, initial_delay=0.01, http_status_codes=[503])


@pytest.fixture(scope="session")
def gemini() -> Iterator[Endpoint]:
    """Run the endpoint."""
    running = Endpoint(Gemini)
    yield running
    running.stop()


class Google:
    """Clients that ask the endpoint, and the loop of the asynchronous ones."""

    def __init__(self, endpoint: Endpoint, **how: Any) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.new_event_loop()
        options = types.HttpOptions(base_url=endpoint.url)
        self.client = genai.Client(**how, http_options=options)

    def close(self) -> None:
        """Close the clients."""
        self.run(self.client.aio.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.client.close()
        self.loop.close()

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine, and let what it has dropped end."""

        async def all_of_it() -> Any:
            try:
                return await coroutine
            finally:
                for _ in range(3):  # one generator stands in another
                    gc.collect()
                    await asyncio.sleep(0)  # a turn, in which it is closed

        return self.loop.run_until_complete(all_of_it())


@pytest.fixture(scope="session")
def google(gemini: Endpoint) -> Iterator[Google]:
    """Return the clients."""
    made = Google(gemini, api_key="k")
    gc.collect()
    gc.freeze()
    yield made
    made.close()


@pytest.fixture(scope="session")
def vertex(gemini: Endpoint) -> Iterator[Google]:
    """Return the clients of a project of Google Cloud."""
    credentials = Credentials(token="t")
    where = {"project": "p", "location": "europe-west1"}
    made = Google(gemini, vertexai=True, credentials=credentials, **where)
    yield made
    made.close()


@pytest.fixture
def events(watchllm_events: Any) -> Iterator[Any]:
    """Instrument the library; return the events of the test."""
    assert watchllm.auto_instrument() == ["google-genai"]
    yield watchllm_events
    watchllm.disable_instrumentation()


def config(scene: str, **more: Any) -> types.GenerateContentConfig:
    """Return the settings of a scene."""
    options: dict[str, Any] = {"timeout": 300} if scene in ("slow", "hold") else {}
    if scene == "flaky":
        options["retry_options"] = RETRY
    return types.GenerateContentConfig(
        temperature=0.5, http_options=types.HttpOptions(**options), **more
    )


def shown(response: Any) -> Any:
    """Return an answer as what can be compared."""
    return type(response), response.model_dump(exclude={"sdk_http_response"})


def whole(google: Google, scene: str, *, is_async: bool) -> Any:
    """Return the program of a call without a stream."""
    asks = {"model": scene, "contents": QUESTION, "config": config(scene)}
    if is_async:

        async def ask() -> Any:
            return shown(await google.client.aio.models.generate_content(**asks))

        return lambda: google.run(ask())
    return lambda: shown(google.client.models.generate_content(**asks))


def enough(scene: str, seen: list[Any]) -> bool:
    """Say whether the scene leaves the stream here."""
    return scene in ("closed", "left") and len(seen) == 2


def streamed(google: Google, scene: str) -> Any:
    """Read a stream, and leave it as the scene says."""
    seen: list[Any] = []
    stream = google.client.models.generate_content_stream(
        model=scene, contents=QUESTION, config=config(scene)
    )
    for chunk in stream:
        seen.append(shown(chunk))
        if enough(scene, seen):
            break
    if scene == "closed":
        stream.close()
    return type(stream), seen


async def async_streamed(google: Google, scene: str) -> Any:
    """Read a stream asynchronously, and leave it as the scene says."""
    seen: list[Any] = []
    stream = await google.client.aio.models.generate_content_stream(
        model=scene, contents=QUESTION, config=config(scene)
    )
    async for chunk in stream:
        seen.append(shown(chunk))
        if enough(scene, seen):
            break
    if scene == "closed":
        await stream.aclose()
    return type(stream), seen


def reading(google: Google, scene: str, *, is_async: bool) -> Any:
    """Return the program of a call with a stream."""
    if is_async:
        return lambda: google.run(async_streamed(google, scene))
    return lambda: streamed(google, scene)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("scene", WHOLE)
def test_a_whole_answer(scene: str, is_async: bool, google: Google, events: Any) -> None:
    """The app sees the same; the event has the model, the tokens and how it ended."""
    cell = whole(google, scene, is_async=is_async)
    with watchllm.trace("run-t"):
        seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    metadata = event["response_metadata"]
    assert seen == bare
    assert (event["run_id"], event["prompt"]) == ("run-t", QUESTION)
    assert (metadata["provider"], metadata["operation"]) == ("google", "generate_content")
    assert metadata["request"] == {"temperature": 0.5}
    if scene in ("nope", "slow"):
        assert seen[0] == "raised"
        assert event["model"] == scene
        assert event["status"] == {"nope": "error", "slow": "timeout"}[scene]
        return
    assert seen[0] == "returned"
    assert event["status"] == "success"
    if scene == "bare":
        assert (event["model"], event["response"]) == ("bare", "")
        assert set(event["invalid_fields"]) == {"tokens_input", "tokens_output"}
        return
    assert (event["model"], metadata["requested_model"]) == (f"{scene}-001", scene)
    if scene == "blocked":
        assert (event["tokens_input"], event["tokens_output"]) == (40, 0)
        assert metadata["finish_reason"] == "SAFETY"
        return
    assert event["response"] == ("[image/png]" if scene == "picture" else ANSWER)
    assert (event["tokens_input"], event["tokens_output"]) == (40, 12)
    assert metadata["usage"]["input_tokens_details"] == {"cached_tokens": 16}
    assert metadata["usage"]["output_tokens_details"] == {"reasoning_tokens": 5}
    assert (metadata["finish_reason"], metadata["response_id"]) == ("STOP", "r-1")
    assert metadata.get("reasoning") == ("Which city?" if scene == "thinking" else None)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("scene", STREAMS)
def test_a_streamed_answer(scene: str, is_async: bool, google: Google, events: Any) -> None:
    """The app sees the same chunks; the event tells of them what was read."""
    cell = reading(google, scene, is_async=is_async)
    with watchllm.trace("run-t"):
        seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    metadata = event["response_metadata"]
    assert seen == bare
    assert (event["run_id"], event["prompt"]) == ("run-t", QUESTION)
    assert metadata["stream"] is True
    if scene == "nope":
        assert (event["status"], event["error"]["type"]) == ("error", "ClientError")
        return
    assert event["model"] == f"{scene}-001"
    assert event["status"] == {"cut": "error", "wrong": "error", "hold": "timeout"}.get(
        scene, "success"
    )
    assert 0 < metadata["time_to_first_token_ms"] <= event["latency_ms"]
    if scene == "gemini":
        assert event["response"] == ANSWER
        assert (event["tokens_input"], event["tokens_output"]) == (40, 12)
        assert "ended" not in metadata
        return
    assert ANSWER.startswith(event["response"])
    assert event["response"] != ANSWER
    left = scene in ("closed", "left")
    assert metadata.get("ended") == ("dropped" if left else None)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_cancelled_call(stream: bool, google: Google, events: Any) -> None:
    """Cancelling the task ends it as before, and is logged with what has come so far."""

    async def cancelled() -> bool:
        said = asyncio.Event()

        async def work() -> None:
            models = google.client.aio.models
            if not stream:
                await models.generate_content(model="slow", contents=QUESTION)
            number = 0
            async for _ in await models.generate_content_stream(model="hold", contents=QUESTION):
                number += 1
                if number == 2:
                    said.set()

        return await cancel(work(), google.endpoint, said if stream else None)

    was_cancelled = google.run(cancelled())

    (event,) = events.all()
    assert was_cancelled
    assert (event["status"], event["error"]["type"]) == ("error", "CancelledError")
    assert ANSWER.startswith(event["response"])
    assert bool(event["response"]) is stream


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


weather.__annotations__ = {"city": str, "return": str}  # older versions do not read texts


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_that_the_library_calls_by_itself(
    stream: bool, google: Google, events: Any
) -> None:
    """Each of the calls that one line of the app makes is an event of the run around."""
    chat = google.client.chats.create(
        model="gemini",
        config=config("gemini", tools=[weather], system_instruction="Be brief."),
    )
    with watchllm.trace("run-t"):
        if stream:
            said = "".join(chunk.text or "" for chunk in chat.send_message_stream(QUESTION))
        else:
            said = chat.send_message(QUESTION).text

    first, second = events.all()
    assert said == ANSWER
    assert first["prompt"] == f"system: Be brief.\n\nuser: {QUESTION}"
    assert first["response"] == 'weather({"city":"Rome"})'
    assert first["response_metadata"]["tools"] == ["weather"]
    assert first["response_metadata"]["tool_calls"] == [
        {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}
    ]
    assert 'assistant: weather({"city":"Rome"})' in second["prompt"]
    assert second["prompt"].endswith('{"result":"Rome is sunny."}')
    assert second["response"] == ANSWER
    assert {first["run_id"], second["run_id"]} == {"run-t"}


def test_embeddings(google: Google, events: Any) -> None:
    """Their texts are the prompt, and they have no tokens of an answer."""
    google.client.models.embed_content(model="embedding", contents=["Rome", "Oslo"])

    (event,) = events.all()
    assert (event["prompt"], event["response"]) == ("Rome\n\nOslo", "")
    assert (event["tokens_input"], event["tokens_output"]) == (3, 0)
    assert event["response_metadata"]["operation"] == "embeddings"


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("scene", ["gemini", "flaky", "nope"])
def test_a_whole_answer_of_vertex(scene: str, is_async: bool, vertex: Google, events: Any) -> None:
    """Through Vertex AI the app sees the same as without us, and the call is logged once."""
    cell = whole(vertex, scene, is_async=is_async)
    seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    assert seen == bare
    assert (event["prompt"], event["response_metadata"]["provider"]) == (QUESTION, "google")
    if scene == "nope":
        assert (event["model"], event["status"]) == ("nope", "error")
    else:
        assert (event["model"], event["response"]) == (f"{scene}-001", ANSWER)
        assert (event["tokens_input"], event["tokens_output"]) == (40, 12)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("scene", ["gemini", "left", "nope"])
def test_a_streamed_answer_of_vertex(
    scene: str, is_async: bool, vertex: Google, events: Any
) -> None:
    """A stream of Vertex AI is logged once too, read to its end or not."""
    cell = reading(vertex, scene, is_async=is_async)
    seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    assert seen == bare
    assert event["status"] == ("error" if scene == "nope" else "success")
    assert (event["response"] == ANSWER) is (scene == "gemini")
    assert event["response_metadata"].get("ended") == ("dropped" if scene == "left" else None)


@pytest.mark.parametrize(
    ("model", "texts", "tokens"),
    [("text-embedding-005", ["Rome", "Oslo"], 4), ("gemini-embedding-2", ["Rome"], 3)],
)
def test_embeddings_of_vertex(
    model: str, texts: list[str], tokens: int, vertex: Google, events: Any
) -> None:
    """Both of its methods are read: one tells the tokens of each text, one of all."""
    vertex.client.models.embed_content(model=model, contents=texts)

    (event,) = events.all()
    assert (event["prompt"], event["model"]) == ("\n\n".join(texts), model)
    assert (event["tokens_input"], event["tokens_output"]) == (tokens, 0)
    assert event["response_metadata"]["operation"] == "embeddings"


@pytest.mark.filterwarnings("ignore:The generate_images method is deprecated")
def test_pictures_that_vertex_makes_are_not_logged(vertex: Google, events: Any) -> None:
    """They come by the method that embeddings come by, and are passed on as before."""
    made = vertex.client.models.generate_images(model="imagen", prompt="Rome")

    assert len(made.generated_images) == 1
    assert events.all() == []


def test_pictures_and_files_are_named(google: Google, events: Any) -> None:
    """Bytes are in no prompt; Google's own tools go by their names."""
    parts = [
        types.Part.from_bytes(data=b"\x00" * 5_000_000, mime_type="image/png"),
        types.Part.from_uri(file_uri="gs://a/b.pdf", mime_type="application/pdf"),
        types.Part(executable_code=types.ExecutableCode(code="1", language=types.Language.PYTHON)),
    ]
    google.client.models.generate_content(
        model="gemini",
        contents=["What is this?", *parts],
        config=config("gemini", tools=[types.Tool(google_search=types.GoogleSearch())]),
    )

    (event,) = events.all()
    prompt = event["prompt"].splitlines()
    assert prompt[:3] == ["What is this?", "[image/png]", "[application/pdf gs://a/b.pdf]"]
    assert len(event["prompt"]) < 300
    assert event["response_metadata"]["tools"] == ["googleSearch"]


def test_what_is_no_call_of_a_model_is_passed_on(google: Google, events: Any) -> None:
    """The count of tokens is asked for as before, and not logged."""
    google.client.models.count_tokens(model="gemini", contents=QUESTION)

    assert events.all() == []


def test_disabling_gives_back_the_originals(google: Google, watchllm_events: Any) -> None:
    """The methods are the same objects as before, and a stream under way is still logged."""
    names = ("request", "async_request", "request_streamed", "async_request_streamed")
    before = [getattr(_api_client.BaseApiClient, name) for name in names]
    watchllm.auto_instrument("google-genai")
    assert watchllm.is_instrumented("google-genai")
    stream = google.client.models.generate_content_stream(model="gemini", contents=QUESTION)
    next(stream)
    watchllm.disable_instrumentation()
    list(stream)
    google.client.models.generate_content(model="gemini", contents=QUESTION)

    assert [getattr(_api_client.BaseApiClient, name) for name in names] == before
    assert [event["response"] for event in watchllm_events] == [ANSWER]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (_call.Call, "__init__"),
        (_call.Call, "_fields"),
        (_google, "_read_usage"),
        (_google, "_message"),
        (_call, "get_client"),
    ],
)
def test_our_own_failures_do_not_reach_the_app(
    where: Any,
    name: str,
    stream: bool,
    google: Google,
    events: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Made to fail on purpose, the app gets its answer, and one warning says what happened."""
    monkeypatch.setattr(_call.problems, "_counts", {})
    monkeypatch.setattr(where, name, made_to_fail)
    models = google.client.models
    with caplog.at_level(logging.WARNING, "watchllm"):
        if stream:
            told = models.generate_content_stream(model="gemini", contents=QUESTION)
            said = "".join(chunk.text or "" for chunk in told)
        else:
            said = models.generate_content(model="gemini", contents=QUESTION).text or ""

    assert said == ANSWER
    assert [
        "made to fail" in record.getMessage()
        for record in caplog.records
        if record.name == "watchllm"
    ] == [True]


def test_an_answer_that_is_no_object_is_the_apps(google: Google, events: Any) -> None:
    """The app sees what it would have seen; the event says what could not be read."""
    cell = whole(google, "plain", is_async=False)
    seen = outcome(cell)
    watchllm.disable_instrumentation()
    bare = outcome(cell)

    (event,) = events.all()
    assert seen == bare
    assert event["model"] == "plain"


def test_the_example_is_one_run(
    gemini: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs a stream, a chat of two calls, and a step between them."""
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", gemini.url)
    run_example("google-genai/gemini_chat.py")
    watchllm.disable_instrumentation()

    events = watchllm_events.all()
    kinds = [event["event_type"] for event in events]
    assert kinds == ["prompt_call", "prompt_call", "agent_step", "prompt_call"]
    assert len({event["run_id"] for event in events}) == 1
    assert events[2]["output_data"] == {"result": "Rome is sunny."}
