"""A request's way through the gateway, by real clients and a provider on a real port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest
from gateways import chat, openai_client
from upstream import CHAT, answers, chats

if TYPE_CHECKING:
    from gateways import Running
    from upstream import Upstream


def test_openais_client_needs_another_base_url_and_key_alone(
    gateway: Running, upstream: Upstream
) -> None:
    """An unchanged client reads the provider's answer, and the provider sees its own key."""
    upstream.script = chats("Hello", " there!")

    answer = openai_client(gateway).chat.completions.create(**chat())

    assert answer.choices[0].message.content == "Hello there!"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12
    (asked,) = upstream.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-of-the-server"
    assert gateway.key not in str(asked)


def test_a_stream_reaches_the_client_as_its_chunks(gateway: Running, upstream: Upstream) -> None:
    """A streaming client sees each delta, and without asking no chunk that has no choices."""
    upstream.script = chats("Hello", " there", "!")

    with openai_client(gateway).chat.completions.create(**chat(), stream=True) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there!"
    assert upstream.asked[0].json["stream_options"] == {"include_usage": True}


def test_a_client_that_asks_for_usage_gets_it(gateway: Running, upstream: Upstream) -> None:
    """The last chunk has the usage for whoever asked."""
    upstream.script = chats("Hello")

    with openai_client(gateway).chat.completions.create(
        **chat(), stream=True, stream_options={"include_usage": True}
    ) as stream:
        *_, last = stream

    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


def test_a_body_passes_byte_for_byte(gateway: Running, upstream: Upstream) -> None:
    """Spaces, the order of names and escapes reach both sides as they were written."""
    body = b'{ "messages": [{"role":"user","content":"\\u00fcber"}],\n "model":"gpt-4o", "x": 1.0}'
    said = b' {"choices" : [], "usage":null}\n'
    upstream.script = answers(said)

    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", content=body)

    assert upstream.asked[0].body == body
    assert answer.content == said


def test_an_error_comes_as_the_provider_gave_it(gateway: Running, upstream: Upstream) -> None:
    """Status, body, request id and rate limits of the provider reach the client's own error."""
    error = {"message": "No such thing.", "type": "invalid_request_error", "code": "no_such"}
    upstream.script = answers(
        {"error": error}, 404, x_request_id="req_7", x_ratelimit_remaining_tokens="17"
    )

    with pytest.raises(openai.NotFoundError) as raised:
        openai_client(gateway).chat.completions.create(**chat())

    assert raised.value.body == error
    assert raised.value.request_id == "req_7"
    assert raised.value.response.headers["x-ratelimit-remaining-tokens"] == "17"
    call = gateway.notes.next()
    assert (call.status, call.http_status, call.request_id) == ("error", 404, "req_7")
    assert call.error is not None
    assert call.error.message == "No such thing."


def test_a_call_is_recorded_with_what_its_headers_say(gateway: Running, upstream: Upstream) -> None:
    """Run, user, tags, release and environment come from headers; the answer says its usage."""
    upstream.script = answers(CHAT)

    answer = gateway.post(
        **chat(),
        headers={
            "X-WatchLLM-Run-Id": "run-9",
            "X-WatchLLM-User-Id": "ada",
            "X-WatchLLM-Tags": "a, b,,",
            "X-WatchLLM-Release": "1.2",
            "X-WatchLLM-Env": "staging",
        },
    )

    call = gateway.notes.next()
    assert answer.headers["x-watchllm-event-id"] == call.event_id
    assert answer.headers["x-watchllm-provider"] == "openai"
    assert (call.run_id, call.user_id, call.tags) == ("run-9", "ada", ("a", "b"))
    assert (call.release, call.env) == ("1.2", "staging")
    assert call.asked is not None
    assert "Say hello." in call.asked.prompt
    assert call.answer is not None
    assert call.answer.text == "Hello there!"
    assert call.answer.usage == CHAT["usage"]
    assert not [name for name in upstream.asked[0].headers if name.startswith("x-watchllm")]
