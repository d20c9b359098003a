"""POST /v1/chat/completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watchllm_server.gateway.shapes import choices
from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.gateway.shapes.reading import (
    OK,
    fields,
    items,
    openai_error,
    read_body,
    text,
    tool_call,
)
from watchllm_server.gateway.shapes.sse import SseAssembly, pieces
from watchllm_server.messages import conversation, read_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXTS: Final = ("reasoning_content", "reasoning", "refusal", "content")
"""The texts of a message that clients show as they come."""


class OpenAIChat:
    """Read and write chat completions."""

    name = "openai.chat"
    path = "/v1/chat/completions"

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a request asks for."""
        messages = request.get("messages")
        return Asked(
            text(request.get("model")),
            request.get("stream") is True,
            conversation(read_messages(messages)) if isinstance(messages, list) else "",
            fields(request.get("stream_options")).get("include_usage") is True,
        )

    def assembly(self) -> SseAssembly:
        """Return what puts one stream together."""
        return SseAssembly(_telling, _answer)

    def answer(self, body: bytes) -> Answer:
        """Return what a body says."""
        return _answer(read_body(body))

    def successful(self, status: int, body: bytes) -> bool:
        """Say whether an answer may be kept."""
        return status == OK and choices.successful(body, "message", dict)

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:
        """Return a body as a stream."""
        return choices.chunks(body, "chat.completion.chunk", _split, include_usage=include_usage)

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return an error."""
        return openai_error(status, message, code)


def _telling() -> choices.ChoicesTelling:
    return choices.ChoicesTelling("chat.completion", "message")


def _answer(body: dict[str, Any]) -> Answer:
    return choices.answer_of(body, _said)


def _said(choice: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    message = fields(choice.get("message"))
    parts = "".join(text(part.get("text")) for part in items(message.get("content")))
    words = text(message.get("content")) or parts or text(message.get("refusal"))
    calls = []
    for call in items(message.get("tool_calls")):
        inner = fields(call.get("function")) or fields(call.get("custom"))
        arguments = inner.get("arguments", inner.get("input"))
        calls.append(tool_call(call.get("id"), inner.get("name"), arguments))
    return words, calls


def _split(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a choice as its events have it: the role, the texts, the tool calls, the end."""
    message = fields(choice.get("message"))
    growing = {name: message[name] for name in _TEXTS if isinstance(message.get(name), str)}
    calls = items(message.get("tool_calls"))
    first = {name: "" if name in growing else value for name, value in message.items()}
    if calls:
        del first["tool_calls"]
    index = choice.get("index", 0)
    common = {"index": index, "finish_reason": None}
    logprobs = {"logprobs": choice["logprobs"]} if "logprobs" in choice else {}
    yield {**common, "delta": first, **logprobs}
    if logprobs:
        logprobs = {"logprobs": None}
    for name, whole in growing.items():
        for piece in pieces(whole):
            yield {**common, "delta": {name: piece}, **logprobs}
    for place, call in enumerate(calls):
        for delta in _split_call(call):
            yield {**common, "delta": {"tool_calls": [{"index": place, **delta}]}, **logprobs}
    rest = {name: value for name, value in choice.items() if name not in ("message", "logprobs")}
    yield {**rest, "delta": {}, **logprobs}


def _split_call(call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = "custom" if "custom" in call else "function"
    grows = "input" if kind == "custom" else "arguments"
    inner = fields(call.get(kind))
    whole = text(inner.get(grows))
    if not whole:
        yield call
        return
    yield {**call, kind: {**inner, grows: ""}}
    for piece in pieces(whole):
        yield {kind: {grows: piece}}
