"""What OpenAI's library offers beside plain calls: tools, structured output, helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Clients

pytest.importorskip("openai")

import openai
from pydantic import BaseModel

from conftest import MESSAGES, QUESTION
from upstream import ANSWER, ARGUMENTS, CHAT_USAGE, STRUCTURED

FUNCTION = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
CALLS = [{"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}]


class Weather(BaseModel):
    """What the structured answer is."""

    city: str
    sunny: bool


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_tool_calls_are_read_whole_and_streamed(
    api: str, stream: bool, clients: Clients, events: Any
) -> None:
    """The tools offered and the tool called are in the event, and in its response as text."""
    client = clients.sync()
    if api == "chat":
        result = client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, tools=TOOLS, temperature=0.5, stream=stream
        )
    else:
        result = client.responses.create(
            model="gpt-4o",
            input=QUESTION,
            tools=[{"type": "function", **FUNCTION}],
            temperature=0.5,
            stream=stream,
        )
    list(result)

    (event,) = events.all()
    metadata = event["response_metadata"]
    assert event["response"] == f"weather({ARGUMENTS})"
    assert metadata["tool_calls"] == CALLS
    assert metadata["tools"] == ["weather"]
    assert metadata["request"] == {"temperature": 0.5}
    assert metadata["finish_reason"] == ("tool_calls" if api == "chat" else "completed")


def test_usage_is_kept_with_its_details(clients: Clients, events: Any) -> None:
    """Cached and reasoning tokens, which have prices of their own, are in the event."""
    clients.sync().chat.completions.create(model="gpt-4o", messages=MESSAGES)

    metadata = events[0]["response_metadata"]
    assert metadata["usage"] == CHAT_USAGE
    assert metadata["response_id"] == "cmpl-1"


def test_a_parsed_answer_is_the_librarys_own(clients: Clients, events: Any) -> None:
    """`parse` of both APIs returns the parsed object, and is logged once each."""
    client = clients.sync()
    chat = client.chat.completions.parse(model="gpt-4o", messages=MESSAGES, response_format=Weather)
    responses = client.responses.parse(model="gpt-4o", input=QUESTION, text_format=Weather)

    assert chat.choices[0].message.parsed == Weather(city="Rome", sunny=True)
    assert responses.output_parsed == Weather(city="Rome", sunny=True)
    assert [event["response"] for event in events] == [STRUCTURED] * 2


def test_an_answer_that_cannot_be_parsed_is_logged_with_its_text(
    clients: Clients, events: Any
) -> None:
    """The app gets the library's exception; the event has it."""

    class Other(BaseModel):
        unheard_of: int

    with pytest.raises(ValueError, match="unheard_of"):
        clients.sync().chat.completions.parse(
            model="gpt-4o", messages=MESSAGES, response_format=Other
        )

    (event,) = events.all()
    assert (event["status"], event["error"]["type"]) == ("error", "ValidationError")


def test_an_answer_cut_short_is_logged_with_what_it_used(clients: Clients, events: Any) -> None:
    """Where the library raises because of the length, the tokens were paid for all the same."""
    with pytest.raises(openai.LengthFinishReasonError):
        clients.sync().chat.completions.parse(
            model="short", messages=MESSAGES, response_format=Weather
        )

    (event,) = events.all()
    assert event["status"] == "error"
    assert (event["tokens_input"], event["tokens_output"]) == (40, 12)
    assert event["model"] == "short-2024-08-06"


def test_the_stream_helpers_work_and_are_logged_once(clients: Clients, events: Any) -> None:
    """`stream()` of both APIs gives its events and its final answer."""
    client = clients.sync()
    with client.chat.completions.stream(
        model="gpt-4o",
        messages=MESSAGES,
        response_format=Weather,
        stream_options={"include_usage": True},
    ) as stream:
        final = stream.get_final_completion()
    with client.responses.stream(model="gpt-4o", input=QUESTION) as responses:
        answer = responses.get_final_response()

    assert final.choices[0].message.parsed == Weather(city="Rome", sunny=True)
    assert answer.output_text == ANSWER
    assert [event["response"] for event in events] == [STRUCTURED, ANSWER]
    assert [event["tokens_output"] for event in events] == [12, 12]


def test_an_async_stream_helper_is_logged_once(clients: Clients, events: Any) -> None:
    """Left in the middle, the helper closes the stream, and the event says so."""

    async def first() -> str:
        client = clients.asynchronous()
        async with client.responses.stream(model="gpt-4o", input=QUESTION) as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    return str(event.delta)
        return ""

    assert clients.run(first()) == "Rome"
    (event,) = events.all()
    assert (event["response"], event["status"]) == ("Rome", "success")
    assert event["response_metadata"]["ended"] == "closed early"


def test_several_choices_stand_in_paragraphs(clients: Clients, events: Any) -> None:
    """Each of several answers is in the response."""
    clients.sync().chat.completions.create(model="gpt-4o", messages=MESSAGES, n=2)

    assert events[0]["response"] == f"{ANSWER}\n\n{ANSWER}"


def test_a_refusal_is_the_response(clients: Clients, events: Any) -> None:
    """What the model says instead of an answer is shown."""
    clients.sync().chat.completions.create(model="refuse", messages=MESSAGES)

    assert events[0]["response"] == "I will not."
    assert events[0]["response_metadata"]["refusal"] == "I will not."


def test_the_prompt_is_what_was_asked_not_what_became_of_it(clients: Clients, events: Any) -> None:
    """Messages that the app adds while it reads a stream are not in the prompt."""
    messages = list(MESSAGES)
    stream = clients.sync().chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    messages.append({"role": "assistant", "content": "later"})
    list(stream)

    assert events[0]["prompt"] == QUESTION


def test_embeddings_of_several_texts_and_of_tokens(clients: Clients, events: Any) -> None:
    """Texts stand in paragraphs, tokens as a list; no vector is kept."""
    for given in (["a", "b"], [1, 2]):
        clients.sync().embeddings.create(model="e", input=given, encoding_format="float")

    assert [event["prompt"] for event in events] == ["a\n\nb", "[1,2]"]
    assert "0.25" not in str(list(events))


def test_requests_that_are_no_calls_of_a_model_are_not_logged(
    clients: Clients, events: Any
) -> None:
    """Lists of models and answers of other endpoints are nobody's prompts."""
    with pytest.raises(openai.APIStatusError):
        clients.sync().models.list()

    assert events.all() == []


def test_a_failed_response_is_an_error(clients: Clients, events: Any) -> None:
    """An answer with status 200 that tells of a failure has the status error."""
    client = clients.sync()
    client.responses.create(model="failed", input=QUESTION)
    list(client.responses.create(model="failed", input=QUESTION, stream=True))

    for event in events:
        assert event["status"] == "error"
        assert event["error"] == {"message": "It broke.", "code": "server_error"}


def test_azures_client_is_covered(clients: Clients, events: Any) -> None:
    """A client that asks a deployment of Azure is logged like any other."""
    with openai.AzureOpenAI(
        azure_endpoint=clients.endpoint.url, api_key="k", api_version="2024-10-21"
    ) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert events[0]["response"] == ANSWER


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://x.ai.example.com/v1", "openai"),
        ("https://api.x.ai/v1", "x-ai"),
        ("https://name.openai.azure.com/openai/v1", "azure"),
    ],
)
def test_an_endpoint_of_another_provider_goes_by_its_name(
    base_url: str, provider: str, events: Any
) -> None:
    """Who speaks OpenAI's API has prices of its own; the host tells who it is."""

    class RefusedError(Exception):
        pass

    class Silent(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            raise RefusedError  # nothing may go out

    with Silent(base_url=base_url, api_key="k", max_retries=0) as client, pytest.raises(
        RefusedError
    ):
        client.chat.completions.create(model="m", messages=MESSAGES)

    assert events[0]["response_metadata"]["provider"] == provider
