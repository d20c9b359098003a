"""The scripted endpoint, asked by the real openai client over a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING

import openai
import pytest
from demo_servers import scripted_endpoint
from watchllm_server.demo.children import HOST
from watchllm_server.demo.script import Script, pieces
from watchllm_server.demo.scripted import FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo_servers import Running

QUESTION = "What is machine learning?"
ANSWER = Script.read().answer(QUESTION)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one endpoint for all tests of this file."""
    with scripted_endpoint(tmp_path_factory.mktemp("scripted")) as running:
        yield running


@pytest.fixture
def client(endpoint: Running) -> Iterator[openai.OpenAI]:
    """Return the real client, pointed at the endpoint."""
    with openai.OpenAI(base_url=endpoint.url, api_key="any", max_retries=0) as client:
        yield client


def test_a_question_gets_the_answer_of_the_script(client: openai.OpenAI) -> None:
    """The answer is the script's, its usage is counted, and it says that it is scripted."""
    completion = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
    )

    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "gpt-4o"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == len(pieces(QUESTION)) == 5
    assert completion.usage.completion_tokens == len(pieces(ANSWER))
    assert completion.usage.total_tokens == 5 + len(pieces(ANSWER))
    assert completion.id.startswith("chatcmpl-scripted-")
    assert completion.system_fingerprint == FINGERPRINT


def test_all_messages_count_and_the_last_of_the_user_is_answered(client: openai.OpenAI) -> None:
    """A conversation is read whole, message parts too; its last question picks the answer."""
    completion = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "When is a refund paid?"},
            {"role": "assistant", "content": "Soon."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        ],
    )

    assert completion.choices[0].message.content == ANSWER
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 3 + 6 + 2 + 5


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_answer(endpoint: Running, limit: str) -> None:
    """An answer longer than the limit ends there, with finish_reason `length`."""
    with openai.OpenAI(base_url=endpoint.url, api_key="any", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": QUESTION}],
            extra_body={limit: 4},
        )

    assert completion.choices[0].message.content == "".join(pieces(ANSWER)[:4])
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 4


def test_a_stream_carries_the_same_answer_and_usage(client: openai.OpenAI) -> None:
    """Streamed, the answer comes a token a chunk, and its usage last when it is asked for."""
    with client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]

    assert "".join(text) == ANSWER
    assert [piece for piece in text if piece] == pieces(ANSWER)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(pieces(ANSWER))
    assert {chunk.system_fingerprint for chunk in chunks} == {FINGERPRINT}


def test_a_stream_carries_no_usage_unasked(client: openai.OpenAI) -> None:
    """Without include_usage no chunk has a usage."""
    with client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], stream=True
    ) as stream:
        assert [chunk.usage for chunk in stream if chunk.usage] == []


def test_the_async_client_is_served_at_the_same_time(endpoint: Running) -> None:
    """Several questions at once each get their own answer."""
    questions = [QUESTION, "When is a refund paid?", "What is a token?"]

    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=endpoint.url, api_key="any") as client:
            completions = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="gpt-4o", messages=[{"role": "user", "content": question}]
                    )
                    for question in questions
                )
            )
        return [completion.choices[0].message.content for completion in completions]

    script = Script.read()
    assert asyncio.run(ask()) == [script.answer(question) for question in questions]


def test_the_models_are_listed_as_scripted(client: openai.OpenAI) -> None:
    """Each model in the list is owned by `scripted`."""
    listed = {model.id: model.owned_by for model in client.models.list()}

    assert listed == {"gpt-4o": "scripted", "gpt-4o-mini": "scripted"}


def test_an_unknown_model_is_refused_in_the_shape_of_openai(client: openai.OpenAI) -> None:
    """A model that is not in the list gets 404 with the code model_not_found."""
    with pytest.raises(openai.NotFoundError, match="`no-such-model` does not exist") as refused:
        client.chat.completions.create(
            model="no-such-model", messages=[{"role": "user", "content": QUESTION}]
        )

    assert refused.value.code == "model_not_found"
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("request_line", "body", "status", "says"),
    [
        ("POST /v1/chat/completions", b"{", 400, "no chat completion request"),
        ("POST /v1/chat/completions", b"\xff", 400, "no chat completion request"),
        ("POST /v1/chat/completions", b'{"model": "gpt-4o", "messages": []}', 400, "length"),
        ("POST /v1/chat/completions", b'{"messages": [{"role": "user"}]}', 400, "model"),
        (
            "POST /v1/chat/completions",
            b'{"model": "gpt-4o", "messages": [{"role": "user"}], "max_tokens": 0}',
            400,
            "max_tokens",
        ),
        ("GET /v1/chat/completions", b"", 405, "does not serve GET"),
        ("POST /v1/embeddings", b"{}", 404, "does not serve POST /v1/embeddings"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    endpoint: Running, request_line: str, body: bytes, status: int, says: str
) -> None:
    """What the endpoint cannot serve gets an error of OpenAI's shape that names the fault."""
    method, path = request_line.split()
    connection = http.client.HTTPConnection(HOST, endpoint.port, timeout=100)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        error = json.loads(answer.read())["error"]
    finally:
        connection.close()

    assert answer.status == status
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]
