"""What the gateway does not know passes through it as it came."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
from typing import TYPE_CHECKING

import anthropic
import pytest
from gateways import chat, openai_at, openai_client
from upstream import STREAM_HEAD, answers, chunk, head
from watchllm_server.gateway.record import event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Script, Upstream


def breaks_off(status: int) -> Script:
    """Answer with the beginning of a body."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, {"content-length": "100"}) + b'{"data":')
        await writer.drain()
        raise ConnectionAbortedError

    return script


def test_an_unknown_route_reaches_the_provider_untouched(
    gateway: Running, upstream: Upstream
) -> None:
    """Method, path, query and body are the client's; status, headers and body the provider's."""
    packed = gzip.compress(b'{"id": "file-1"}')
    upstream.script = answers(packed, 201, content_encoding="gzip", x_request_id="req_3")

    with gateway.client() as client:
        answer = client.put(
            "/v1/vector_stores/vs%2F1/files?limit=2&after=a%20b",
            content=b"\x00raw",
            headers={"content-type": "application/x-odd", "accept-encoding": "gzip"},
        )

    (asked,) = upstream.asked
    assert (asked.method, asked.path) == (
        "PUT",
        "/v1/vector_stores/vs%2F1/files?limit=2&after=a%20b",
    )
    assert (asked.body, asked.headers["content-type"]) == (b"\x00raw", "application/x-odd")
    assert asked.headers["authorization"] == "Bearer sk-of-the-server"
    assert (answer.status_code, answer.json()) == (201, {"id": "file-1"})
    assert answer.headers["x-request-id"] == "req_3"


@pytest.mark.parametrize("sent", [{}, {"accept": "text/plain"}, {"user-agent": "mine"}])
def test_headers_that_a_client_does_not_send_are_not_made_up(
    gateway: Running, upstream: Upstream, sent: dict[str, str]
) -> None:
    """The gateway's own library tells the provider neither its name nor what it accepts."""
    upstream.script = answers({"ok": True})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.putrequest("POST", "/v1/odd", skip_accept_encoding=True)
    for name, value in {**sent, "authorization": f"Bearer {gateway.key}"}.items():
        connection.putheader(name, value)
    connection.putheader("content-length", "3")
    connection.endheaders(b"odd")

    status = connection.getresponse().status
    connection.close()

    (asked,) = upstream.asked
    told = {"accept", "accept-encoding", "content-type", "user-agent"}.intersection(asked.headers)
    assert (status, {name: asked.headers[name] for name in told}) == (200, sent)


def test_what_is_passed_on_is_a_step_of_its_run(gateway: Running, upstream: Upstream) -> None:
    """What may cost or change something is recorded, unread; what only reads is not."""
    upstream.script = answers({"created": 1}, 201, x_request_id="req_9")
    told = {"x-watchllm-run-id": "run-9", "x-watchllm-user-id": "ada", "x-watchllm-tags": "a,b"}

    with gateway.client() as client:
        client.get("/v1/files", headers=told)
        client.post("/v1/images/generations?n=1", json={"prompt": "a secret cat"}, headers=told)

    event = event_of(gateway.notes.next())
    assert gateway.notes.calls.empty()
    assert (event["event_type"], event["step_type"]) == ("agent_step", "tool_call")
    assert (event["run_id"], event["user_id"], event["tags"]) == ("run-9", "ada", ["a", "b"])
    assert (event["step_name"], event["status"]) == ("POST /images/generations", "success")
    assert event["output_data"] == {
        "provider": "openai",
        "http_status": 201,
        "request_id": "req_9",
    }
    assert event["latency_ms"] > 0
    assert "a secret cat" not in json.dumps(event)
    assert "error" not in event


def test_what_goes_wrong_with_it_is_recorded(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """A provider's error is told with its message, and one that is away as the gateway's own."""
    upstream.script = answers({"error": {"message": "No such image.", "code": "gone"}}, 404)
    gateway = start(
        openai_at(upstream),
        openai_at(None, base_url="http://127.0.0.1:1/v1", name="away", models=(), retries=0),
    )

    with gateway.client() as client:
        client.delete("/v1/files/file-1")
        client.post("/v1/files", headers={"x-watchllm-provider": "away"})

    refused, away = (event_of(gateway.notes.next()) for _ in range(2))
    assert (refused["step_name"], refused["status"]) == ("DELETE /files/file-1", "error")
    assert (refused["error"]["message"], refused["error"]["code"]) == ("No such image.", "gone")
    assert refused["output_data"]["http_status"] == 404
    assert (away["status"], away["error"]["code"]) == ("error", "provider_connect")
    assert away["output_data"]["provider"] == "away"


@pytest.mark.parametrize("path", ["/v1/files/../../admin", "/v1/%2e%2e/admin", "/v1/a%2f..%2fb"])
def test_no_path_leads_out_of_the_providers_api(
    gateway: Running, upstream: Upstream, path: str
) -> None:
    """Dots that climb are refused, however they are written."""
    # Every other client would tidy the path.
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("GET", path, headers={"Authorization": f"Bearer {gateway.key}"})
    answer = connection.getresponse()

    assert (answer.status, json.load(answer)["error"]["code"]) == (400, "invalid_path")
    assert upstream.asked == []
    connection.close()


def test_the_models_of_all_providers_are_one_list(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream
) -> None:
    """Each model has the name that leads to it; a provider that does not answer is left out."""
    upstream.script = answers({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})
    other_upstream.script = answers({"data": [{"id": "llama-3.3-70b"}]})
    gateway = start(
        openai_at(upstream),
        openai_at(other_upstream, name="groq", models=()),
        openai_at(None, base_url="http://127.0.0.1:1/v1", name="gone", models=(), retries=0),
    )

    models = openai_client(gateway).models.list()

    assert [model.id for model in models] == ["groq/llama-3.3-70b", "gpt-4o"]


@pytest.mark.parametrize("body", [b'{"data": [', b'{"data": "\xff"}', b"[" * 100_000, b"[]", None])
def test_a_list_that_cannot_be_read_is_left_out(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream, body: bytes | None
) -> None:
    """A provider whose list breaks off, or is none, does not take those of the others with it."""
    upstream.script = answers({"data": [{"id": "gpt-4o"}]})
    other_upstream.script = breaks_off(200) if body is None else answers(body)
    gateway = start(openai_at(upstream), openai_at(other_upstream, name="groq", models=()))

    with gateway.client() as client:
        listed = client.get("/v1/models").json()

    assert [model["id"] for model in listed["data"]] == ["gpt-4o"]


def test_an_error_that_breaks_off_is_told_as_the_gateways_own(
    gateway: Running, upstream: Upstream
) -> None:
    """The client reads 502 with what happened, and the record says the same."""
    upstream.script = breaks_off(404)

    with gateway.client() as client:
        read, made = client.get("/v1/files/f"), client.post("/v1/files")

    assert (read.status_code, made.status_code) == (502, 502)
    assert read.json()["error"]["code"] == "provider_reset"
    event = event_of(gateway.notes.next())
    assert (event["status"], event["error"]["code"]) == ("error", "provider_reset")


def test_a_client_that_leaves_an_answer_is_no_fault(
    gateway: Running, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The provider is let go of, the record says who left, and the log has no error."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while True:
            writer.write(chunk(b"x" * 1_000))
            await writer.drain()
            await asyncio.sleep(0)  # a turn for the others: drain() takes none while there is room

    upstream.script = script

    with gateway.client() as client, client.stream("POST", "/v1/audio/speech") as answer:
        next(answer.iter_raw(1))

    event = event_of(gateway.notes.next())
    gateway.see_all()
    assert (event["status"], event["output_data"]["disconnected"]) == ("success", True)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_the_list_of_one_provider_is_its_own(gateway: Running, upstream: Upstream) -> None:
    """With one provider the list passes as it came."""
    upstream.script = answers(b'{ "data":[] }')

    with gateway.client() as client:
        assert client.get("/v1/models").content == b'{ "data":[] }'


def test_anthropics_client_needs_another_base_url_and_key_alone(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """Its key comes as `x-api-key`; its provider sees its own one, in the same header."""
    upstream.script = answers(
        {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-tested",
            "content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn",
            "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 3},
        }
    )  # fmt: skip
    provider = openai_at(
        upstream, name="anthropic", key="sk-ant", auth="x-api-key", models=("claude-*",)
    )
    gateway = start(provider)
    client = anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{gateway.port}", api_key=gateway.key, max_retries=0
    )

    said = client.messages.create(
        model="claude-tested", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
    )

    assert getattr(said.content[0], "text", "") == "Hello!"
    (asked,) = upstream.asked
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", "sk-ant")
    assert "authorization" not in asked.headers
    assert asked.headers["anthropic-version"]
    call = gateway.notes.next()
    assert (call.shape, call.provider) == ("anthropic.messages", "anthropic")


def test_a_key_that_opens_nothing_is_refused_in_the_apis_form(
    gateway: Running, upstream: Upstream
) -> None:
    """An unknown key is a 401 that OpenAI's client reads, and asks nobody."""
    with gateway.client() as client:
        answer = client.post(
            "/v1/chat/completions", json=chat(), headers={"Authorization": "Bearer wllm_nothing"}
        )

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unknown_key")
    assert upstream.asked == []


def test_embeddings_are_asked_for_by_the_input(gateway: Running, upstream: Upstream) -> None:
    """Of a list, the provider is asked for what is not known yet, and the client gets all."""

    async def embed(asked: object, writer: object) -> None:
        inputs = asked.json["input"]  # type: ignore[attr-defined]  # an upstream's request
        data = [
            {"object": "embedding", "index": at, "embedding": [float(len(text)), 0.5]}
            for at, text in enumerate(inputs)
        ]
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        body = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
        await answers(body)(asked, writer)  # type: ignore[arg-type]  # likewise

    upstream.script = embed
    asks = {"model": "gpt-embedding", "encoding_format": "float"}

    first = gateway.post("/v1/embeddings", **asks, input=["a", "bbb"])
    second = gateway.post("/v1/embeddings", **asks, input=["cc", "a", "bbb", "dddd"])
    third = gateway.post("/v1/embeddings", **asks, input=["dddd", "cc"])

    assert [asked.json["input"] for asked in upstream.asked] == [["a", "bbb"], ["cc", "dddd"]]
    assert [each["embedding"][0] for each in second.json()["data"]] == [2, 1, 3, 4]
    assert [each["index"] for each in second.json()["data"]] == [0, 1, 2, 3]
    assert second.json()["usage"]["total_tokens"] == 4
    assert second.headers["x-watchllm-saved-usd"] == "0.002"
    assert third.headers["x-watchllm-cache"] == "HIT"
    assert float(first.headers["x-watchllm-cost-usd"]) == 0.002
