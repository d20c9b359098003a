"""Make calls with the openai client, and print what the client made of each answer.

`python calls_openai.py TARGETS`, where TARGETS is a list in JSON of what the client is given:
`base_url`, `key` and `headers`. Prints a list in JSON: for each target, an outcome for each call.
What differs between two answers to the same question, such as ids and times, is left out.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import openai
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "gpt-4o"
ROME = "How is the weather in Rome?"
OSLO = "How is the weather in Oslo?"
OSLO_IN_SHORT = "How is the weather in Oslo, in short?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Weather(BaseModel):
    """What the structured answer says."""

    city: str
    degrees: int


def text(client: openai.OpenAI, question: str = OSLO) -> Any:
    """Ask for an answer of words."""
    return choice_of(
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": question}]
        )
    )


def stream(client: openai.OpenAI, question: str = OSLO_IN_SHORT, **more: Any) -> Any:
    """Ask for a stream; its deltas are joined."""
    words, reasons, usage = [], [], None
    messages: Any = [{"role": "user", "content": question}]
    with client.chat.completions.create(
        model=MODEL, messages=messages, stream=True, **more
    ) as chunks:
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                words.append(choice.delta.content or "")
                reasons.append(choice.finish_reason)
    return {
        "text": "".join(words),
        "finish_reasons": [reason for reason in reasons if reason],
        "usage": usage.model_dump(include=COUNTS) if usage else None,
    }


def stream_with_usage(client: openai.OpenAI) -> Any:
    """Ask for a stream that tells its usage at its end."""
    return stream(client, stream_options={"include_usage": True})


def text_as_stream(client: openai.OpenAI) -> Any:
    """Ask for a stream of what was answered in one piece."""
    return stream(client, OSLO)


def stream_as_text(client: openai.OpenAI) -> Any:
    """Ask in one piece for what was streamed."""
    return text(client, OSLO_IN_SHORT)


def pieces(client: openai.OpenAI) -> Any:
    """Ask for a stream, and tell whether it comes in more than one piece."""
    question: Any = [{"role": "user", "content": "How is the weather in Oslo, piece by piece?"}]
    chunks = client.chat.completions.create(model=MODEL, messages=question, stream=True)
    words = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    return {"several": sum(map(bool, words)) > 1}


def tools(client: openai.OpenAI) -> Any:
    """Let the model call a tool, give it the result, and take its answer."""
    messages: list[Any] = [{"role": "user", "content": "Use the tool for the weather in Rome."}]
    asked = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    message = asked.choices[0].message
    call = message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
    messages += [message.model_dump(exclude_none=True), result]
    told = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    return {
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "finish_reason": asked.choices[0].finish_reason,
        "told": choice_of(told),
    }


def stream_tools(client: openai.OpenAI) -> Any:
    """Let the model call a tool in a stream; the pieces of its arguments are joined."""
    question = {"role": "user", "content": "Use the tool for the weather in Rome, please."}
    name, arguments, reasons = "", "", []
    for chunk in client.chat.completions.create(
        model=MODEL, messages=[question], tools=[WEATHER], stream=True
    ):
        for choice in chunk.choices:
            reasons.append(choice.finish_reason)
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    return {
        "name": name,
        "arguments": json.loads(arguments),
        "finish_reasons": [reason for reason in reasons if reason],
    }


def structured(client: openai.OpenAI) -> Any:
    """Ask for an answer of a type."""
    question = {"role": "user", "content": "Which city, and how many degrees?"}
    completion = client.chat.completions.parse(
        model=MODEL, messages=[question], response_format=Weather
    )
    return {"parsed": completion.choices[0].message.parsed.model_dump()}


def responses(client: openai.OpenAI) -> Any:
    """Ask by the Responses API."""
    response = client.responses.create(model=MODEL, input=ROME)
    return {
        "text": response.output_text,
        "status": response.status,
        "usage": response.usage.model_dump(include=COUNTS),
    }


def responses_stream(client: openai.OpenAI) -> Any:
    """Ask by the Responses API for a stream."""
    with client.responses.stream(model=MODEL, input=ROME) as events:
        kinds = [event.type for event in events]
        response = events.get_final_response()
    return {"text": response.output_text, "status": response.status, "kinds": sorted(set(kinds))}


def embeddings(client: openai.OpenAI) -> Any:
    """Ask for the vectors of two texts."""
    made = client.embeddings.create(model="text-embedding-3-small", input=["sun", "rain"])
    return {
        "vectors": [[round(number, 6) for number in each.embedding[:3]] for each in made.data],
        "sizes": [len(each.embedding) for each in made.data],
        "different": made.data[0].embedding != made.data[1].embedding,
    }


def models(client: openai.OpenAI) -> Any:
    """Ask whether there are models."""
    return {"some": bool(list(client.models.list()))}


def refused(model: str) -> Callable[[openai.OpenAI], Any]:
    """Return a call that a model's name makes fail; its outcome is the client's exception."""

    def call(client: openai.OpenAI) -> Any:
        try:
            question: Any = [{"role": "user", "content": OSLO}]
            client.chat.completions.create(model=model, messages=question)
        except openai.APIStatusError as error:
            return {
                "exception": type(error).__name__,
                "status": error.status_code,
                "body": error.body,
                "retry_after": error.response.headers.get("retry-after"),
            }
        return None

    return call


def dropped(client: openai.OpenAI) -> Any:
    """Ask for a stream whose connection is lost; the outcome is that it is no whole answer."""
    words = []
    question: Any = [{"role": "user", "content": OSLO}]
    try:
        for chunk in client.chat.completions.create(
            model="dropped", messages=question, stream=True
        ):
            words += [choice.delta.content or "" for choice in chunk.choices]
    except Exception:  # noqa: BLE001 - openai 2.x raises what its HTTP library does
        return {"raised": True, "text": "".join(words)}
    return {"raised": False, "text": "".join(words)}


COUNTS = {
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
}
CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "text": text,
    "text_as_stream": text_as_stream,
    "stream": stream,
    "stream_with_usage": stream_with_usage,
    "stream_as_text": stream_as_text,
    "pieces": pieces,
    "tools": tools,
    "stream_tools": stream_tools,
    "structured": structured,
    "responses": responses,
    "responses_stream": responses_stream,
    "embeddings": embeddings,
    "models": models,
    "limited": refused("limited"),
    "refusing": refused("refusing"),
    "failing": refused("failing"),
    "dropped": dropped,
}


def choice_of(completion: Any) -> Any:
    """Return what a completion says."""
    choice = completion.choices[0]
    return {
        "text": choice.message.content,
        "finish_reason": choice.finish_reason,
        "usage": completion.usage.model_dump(include=COUNTS),
    }


def outcomes(target: dict[str, Any]) -> dict[str, Any]:
    """Make all calls with a client of its own, which repeats nothing by itself."""
    with openai.OpenAI(
        base_url=target["base_url"],
        api_key=target["key"],
        default_headers=target["headers"],
        max_retries=0,
        timeout=100,
    ) as client:
        return {name: call(client) for name, call in CALLS.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([outcomes(target) for target in json.loads(sys.argv[1])]))
