"""Anthropic's endpoint for messages."""

from __future__ import annotations

from watchllm.instrumentation._answer import of, plain
from watchllm.instrumentation._client_library import Library
from watchllm.instrumentation._messages import conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from watchllm.instrumentation._answer import Answer, Choice

_TOOLS = ("tool_use", "server_tool_use", "mcp_tool_use")


class _Messages:
    provider = "anthropic"
    operation = "chat"

    def prompt(self, body: Mapping[str, Any]) -> str:
        return conversation(body.get("messages") or (), body.get("system"))

    def read(self, answer: Answer, content: Any) -> None:
        answer.head(content)
        answer.read_usage(of(content, "usage"))
        choice = answer.choice(0)
        choice.finish_reason = of(content, "stop_reason")
        for number, block in enumerate(of(content, "content") or ()):
            _read_block(answer, choice, number, block)

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        kind = of(chunk, "type")
        if kind == "content_block_delta":
            return _read_delta(answer, of(chunk, "index"), of(chunk, "delta"))
        if kind == "message_start":
            message = of(chunk, "message")
            answer.head(message)
            answer.read_usage(of(message, "usage"))
        elif kind == "content_block_start":
            _read_block(answer, answer.choice(0), of(chunk, "index"), of(chunk, "content_block"))
        elif kind == "message_delta":
            answer.choice(0).finish_reason = of(of(chunk, "delta"), "stop_reason")
            # Some who speak this API say zero of what only the beginning has told.
            later = plain(of(chunk, "usage")) or {}
            answer.read_usage({name: count for name, count in later.items() if count})
        return False


def _read_block(answer: Answer, choice: Choice, number: int, block: Any) -> None:
    kind = of(block, "type")
    if kind == "text":
        if choice.texts:
            answer.add(choice.texts, "\n")
        answer.add(choice.texts, of(block, "text"))
    elif kind == "thinking":
        answer.add(choice.reasoning, of(block, "thinking"))
    elif kind in _TOOLS:
        call = choice.call(number)
        call.id = of(block, "id")
        call.name = of(block, "name") or ""
        given = of(block, "input")
        if given:
            call.arguments.append(given)


def _read_delta(answer: Answer, index: Any, delta: Any) -> bool:
    choice = answer.choice(0)
    kind = of(delta, "type")
    if kind == "text_delta":
        return answer.add(choice.texts, of(delta, "text"))
    if kind == "input_json_delta":
        return answer.add(choice.call(index).arguments, of(delta, "partial_json"))
    if kind == "thinking_delta":
        return answer.add(choice.reasoning, of(delta, "thinking"))
    return False


LIBRARY = Library(
    clients=("Anthropic", "AsyncAnthropic"),
    streams=(("", "Stream", "AsyncStream"),),
    apis={"/v1/messages": _Messages()},
)
