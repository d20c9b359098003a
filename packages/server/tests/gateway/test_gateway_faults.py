"""What goes wrong at providers and clients, with a real server on the other side."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from gateways import LONGEST, chat, openai_at, openai_client
from upstream import CHAT, STREAM_HEAD, answers, chat_events, chats, chunk, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Upstream


async def silence(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Break off without a byte."""
    raise ConnectionAbortedError


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the error of an answer of OpenAI's API."""
    found: dict[str, Any] = answer.json()["error"]
    assert found["message"]
    return found


def test_a_provider_that_hangs_is_a_timeout(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """After the provider's time the client reads 504, and the call is recorded as timed out."""
    upstream.script = silence
    gateway = start(openai_at(upstream, timeout_seconds=0.1, retries=0))

    answer = gateway.post(**chat())

    assert answer.status_code == 504
    assert error_of(answer)["code"] == "provider_timeout"
    assert gateway.notes.next().status == "timeout"


def test_a_provider_that_hangs_in_its_stream_ends_it_with_an_error(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """The client's own library raises, and what came before is recorded as incomplete."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, chat_events("Hello")[:2])))
        await silence(asked, writer)

    upstream.script = script
    gateway = start(openai_at(upstream, timeout_seconds=0.1))
    stream = openai_client(gateway).chat.completions.create(**chat(), stream=True)
    said = [next(stream).choices[0].delta.content for _ in range(2)]

    with pytest.raises(openai.APIError, match="sent nothing"):
        next(stream)

    assert said == ["", "Hello"]
    call = gateway.notes.next()
    assert (call.status, call.complete, call.cache) == ("timeout", False, "MISS")
    assert call.answer is not None
    assert call.answer.text == "Hello"


def test_a_reset_in_a_stream_reaches_the_client_as_an_error(
    gateway: Running, upstream: Upstream
) -> None:
    """Nobody takes half an answer for a whole one; the request is not sent again."""
    upstream.script = streams(*chat_events("Hello", " there")[:2], ends=False)

    with pytest.raises(openai.APIError, match="broke off"):
        list(openai_client(gateway).chat.completions.create(**chat(), stream=True))

    assert len(upstream.asked) == 1
    call = gateway.notes.next()
    assert (call.status, call.complete, call.disconnected) == ("error", False, False)


def test_a_reset_before_the_first_byte_is_tried_again(gateway: Running, upstream: Upstream) -> None:
    """The client sees an answer, and the record tells of two attempts."""
    scripts = iter([reset, chats("Hello")])

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await next(scripts)(asked, writer)

    upstream.script = script

    assert gateway.post(**chat()).status_code == 200
    assert gateway.notes.next().attempts == 2


def test_a_provider_that_is_not_there_is_a_bad_gateway(start: Callable[..., Running]) -> None:
    """A refused connection is answered 502, without its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = openai_at(None, base_url=f"http://127.0.0.1:{port}/v1")

    answer = start(provider).post(**chat())

    assert answer.status_code == 502
    assert error_of(answer)["code"] == "provider_connect"
    assert str(port) not in answer.text


def test_a_provider_that_speaks_no_http_is_a_bad_gateway(
    gateway: Running, upstream: Upstream
) -> None:
    """Bytes that are no answer are answered 502."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ready\r\n\r\n")
        await silence(asked, writer)

    upstream.script = script

    answer = gateway.post(**chat())

    assert (answer.status_code, error_of(answer)["code"]) == (502, "provider_reset")


def test_a_malformed_stream_passes_as_it_came(gateway: Running, upstream: Upstream) -> None:
    """What the gateway cannot read it still passes on, byte for byte, and records as incomplete."""
    events = [b"data: {nonsense\n\n", b": comment\r\n\r\n", b"event: x\ndata: 1\n\n", b"data: [DO"]
    upstream.script = streams(*events)

    answer = gateway.post(**chat(stream=True))

    assert answer.content == b"".join(events)
    assert gateway.notes.next().complete is False


def test_an_error_in_a_200_is_recorded_as_an_error(gateway: Running, upstream: Upstream) -> None:
    """The client reads the very body, and the record says that it failed."""
    body = {"error": {"message": "The engine is overloaded.", "type": "server_error"}}
    upstream.script = answers(body)

    answer = gateway.post(**chat())

    assert (answer.status_code, answer.json()) == (200, body)
    call = gateway.notes.next()
    assert call.status == "error"
    assert call.error is not None
    assert call.error.message == "The engine is overloaded."


def test_an_error_in_a_stream_is_recorded_as_an_error(gateway: Running, upstream: Upstream) -> None:
    """The client's own library raises it, and the record has the provider's words."""
    error = b'data: {"error": {"message": "The engine is gone.", "type": "server_error"}}\n\n'
    upstream.script = streams(*chat_events("Hello")[:2], error)

    with pytest.raises(openai.APIError, match="engine is gone"):
        list(openai_client(gateway).chat.completions.create(**chat(), stream=True))

    call = gateway.notes.next()
    assert (call.status, call.complete) == ("error", False)
    assert call.error is not None
    assert call.error.message == "The engine is gone."


@pytest.mark.parametrize("megabytes", [10, 33])
def test_a_large_answer_comes_whole(gateway: Running, upstream: Upstream, megabytes: int) -> None:
    """Answers of ten megabytes, and of more than is looked into, reach the client unchanged."""
    message = {"role": "assistant", "content": "x" * megabytes * 1_000_000}
    body = {**CHAT, "choices": [{**CHAT["choices"][0], "message": message}]}
    upstream.script = answers(body)

    answer = gateway.post(**chat())

    assert answer.json() == body
    assert gateway.notes.next().http_status == 200


def test_a_client_that_leaves_a_stream_ends_the_providers_work(
    gateway: Running, upstream: Upstream
) -> None:
    """The provider sees the connection end, and what was produced is recorded."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, chat_events("Hello")[:2])))
        await silence(asked, writer)

    upstream.script = script
    stream = openai_client(gateway).chat.completions.create(**chat(), stream=True)
    said = [next(iter(stream)).choices[0].delta.content for _ in range(2)]

    stream.close()

    assert said == ["", "Hello"]
    assert upstream.broken_off.wait(LONGEST)
    call = gateway.notes.next()
    assert (call.disconnected, call.complete, call.status) == (True, False, "success")
    assert call.answer is not None
    assert call.answer.text == "Hello"


def test_a_stream_is_kept_though_its_client_leaves_with_the_last_event(
    gateway: Running, upstream: Upstream
) -> None:
    """A stream that has come to its own end is whole, also while its connection stays open."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, chat_events("Hello", usage=True))))
        await silence(asked, writer)

    upstream.script = script
    with gateway.client() as client:
        body = {**chat(), "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            assert "data: [DONE]" in lines

    call = gateway.notes.next()
    assert (call.disconnected, call.complete, call.status) == (True, True, "success")
    assert gateway.post(**chat()).headers["x-watchllm-cache"] == "HIT"
    assert len(upstream.asked) == 1


def test_an_answer_that_is_paid_for_is_kept_though_its_client_has_gone(
    gateway: Running, upstream: Upstream
) -> None:
    """A client that gives up and comes back finds the answer of its first request."""
    go = asyncio.Event()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await chats("Hello")(asked, writer)

    upstream.script = script
    with gateway.client() as client, pytest.raises(httpx2.ReadTimeout):
        client.post("/v1/chat/completions", json=chat(), timeout=0.3)
    gateway.see_all()
    upstream.loop.call_soon_threadsafe(go.set)

    first = gateway.notes.next()
    assert (first.disconnected, first.complete) == (True, True)
    assert gateway.post(**chat()).headers["x-watchllm-cache"] == "HIT"
    assert len(upstream.asked) == 1


def test_many_idle_streams_hold_nobody_up(gateway: Running, upstream: Upstream) -> None:
    """With 1,000 streams that have begun and wait, another request is answered; then all end."""
    count = 1_000
    go = asyncio.Event()
    events = chat_events("Hello", usage=True)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not asked.json.get("stream"):
            await chats("Hello")(asked, writer)
            return
        writer.write(STREAM_HEAD + chunk(events[0]))
        await go.wait()
        writer.write(b"".join(map(chunk, events[1:])) + b"0\r\n\r\n")
        await writer.drain()

    upstream.script = script

    async def read_all() -> list[bytes]:
        opened = await asyncio.gather(*(_open_stream(gateway, n) for n in range(count)))
        for reader, _ in opened:
            await reader.readuntil(b'"role"')
        assert (await asyncio.to_thread(gateway.post, **chat())).status_code == 200
        upstream.loop.call_soon_threadsafe(go.set)
        said = [await reader.readuntil(b"0\r\n\r\n") for reader, _ in opened]
        for _, writer in opened:
            writer.close()
        return said

    said = asyncio.run(read_all())

    assert len(said) == count
    assert all(b'"Hello"' in each and b"[DONE]" in each for each in said)
    assert all(gateway.notes.next().complete for _ in range(count + 1))


async def _open_stream(
    gateway: Running, number: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = httpx2.Request("POST", "http://x", json=chat(stream=True, seed=number)).content
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}"
    writer.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


def test_a_body_over_the_limit_is_refused(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """The client reads 413 in OpenAI's form, and no provider is asked."""
    gateway = start(openai_at(upstream), body_bytes=10_000)

    answer = gateway.post(**chat(user="x" * 10_000))

    assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{nonsense", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"model":"gpt-4o","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "invalid_json"),
        (b'{"model":"gpt-4o","x":' + b"[" * 501 + b"]" * 501 + b"}", "invalid_json"),
        (b'{"model":"unheard-of"}', "model_not_found"),
        (b'{"model":7}', "model_not_found"),
    ],
)
def test_a_request_that_leads_nowhere_says_why(
    start: Callable[..., Running], upstream: Upstream, body: bytes, code: str
) -> None:
    """What cannot be read, or names no model that a provider has, is an error of OpenAI's form."""
    gateway = start(openai_at(upstream, name="other", configured=False))

    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", content=body)

    assert error_of(answer)["code"] == code
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/v1/chat/completions", lambda body: body["error"]["code"]),
        ("/v1/messages", lambda body: body["error"]["message"].split(":")[0] and body["type"]),
    ],
)
def test_without_a_key_of_the_provider_the_error_says_how_to_give_one(
    start: Callable[..., Running], upstream: Upstream, path: str, read: Callable[[Any], str]
) -> None:
    """In the form of the API that was asked, with the setting and the header that would help."""
    providers = [
        openai_at(upstream, key=""),
        openai_at(upstream, name="anthropic", key="", models=("claude-*",)),
    ]
    model = "gpt-4o" if "chat" in path else "claude-sonnet-4-5"

    answer = start(*providers).post(path, **chat(model=model, max_tokens=5))

    assert answer.status_code == 401
    assert read(answer.json()) in {"provider_key_missing", "error"}
    assert "X-WatchLLM-Provider-Key" in answer.text
    assert upstream.asked == []


def test_a_key_that_the_provider_quotes_reaches_neither_client_nor_record(
    gateway: Running, upstream: Upstream
) -> None:
    """The server's key is taken out of an error that has it in it."""
    message = "Incorrect API key provided: sk-of-the-server."
    upstream.script = answers({"error": {"message": message, "code": "invalid_api_key"}}, 401)

    answer = gateway.post(**chat())

    assert answer.status_code == 401
    assert "sk-of-the-server" not in answer.text
    assert "sk-of-the-server" not in repr(gateway.notes.next())


@pytest.mark.parametrize(
    "headers",
    [{"X-WatchLLM-Cache": "sometimes"}, {"X-WatchLLM-Cache-TTL": "soon"}],
)
def test_a_header_that_cannot_be_heeded_is_named(
    gateway: Running, upstream: Upstream, headers: dict[str, str]
) -> None:
    """A misspelt wish is refused, since what it meant is not what would happen."""
    answer = gateway.post(**chat(), headers=headers)

    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_header")
    assert upstream.asked == []
