"""POST /v1/responses of OpenAI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.gateway.shapes.reading import (
    OK,
    fields,
    items,
    openai_error,
    read_body,
    text,
    tool_call,
    usage_of,
)
from watchllm_server.gateway.shapes.responses_events import events
from watchllm_server.gateway.shapes.sse import DONE, MalformedStreamError, SseAssembly, decoded
from watchllm_server.messages import conversation, read_messages

if TYPE_CHECKING:
    from watchllm_server.gateway.shapes.sse import Event

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_ENDED: Final = frozenset({"completed", "incomplete"})
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})


class OpenAIResponses:
    """Read and write responses."""

    name = "openai.responses"
    path = "/v1/responses"

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a request asks for; its stream always ends with the usage."""
        given = request.get("input")
        found = [{"role": "user", "content": given}] if isinstance(given, str) else items(given)
        instructions = text(request.get("instructions"))
        if instructions:
            found = [{"role": "system", "content": instructions}, *found]
        return Asked(
            text(request.get("model")),
            request.get("stream") is True,
            conversation(read_messages([_message(each) for each in found])),
            usage_in_stream=True,
        )

    def assembly(self) -> SseAssembly:
        """Return what puts one stream together."""
        return SseAssembly(_Telling, _answer)

    def answer(self, body: bytes) -> Answer:
        """Return what a body says."""
        return _answer(read_body(body))

    def successful(self, status: int, body: bytes) -> bool:
        """Say whether an answer may be kept: one that is at its end, also by a limit of tokens."""
        found = read_body(body)
        return status == OK and found.get("error") is None and text(found.get("status")) in _ENDED

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:  # noqa: ARG002 - the usage is part of every stream
        """Return a body as a stream."""
        return events(read_body(body))

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return an error."""
        return openai_error(status, message, code)


class _Telling:
    """Collect a stream of responses. Its last event holds the whole of it."""

    def __init__(self) -> None:
        self.ended = False
        self._response: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, int], list[str]] = {}
        self._arguments: dict[int, list[str]] = {}

    def take(self, event: Event) -> None:
        """Take the next event; kinds that came after this was written are passed over."""
        if event.data == DONE:
            return
        data = decoded(event.data)
        kind = text(data.get("type"))
        if kind in _ENDS:
            self.ended = True
            self._end(data["response"])
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            self._response = dict(data["response"])
        elif kind == "response.failed":
            self._response = dict(data["response"])
            raise MalformedStreamError("The response failed.")
        elif kind == "error":
            raise MalformedStreamError("The stream reports an error.")
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._items[int(data["output_index"])] = dict(data["item"])
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            place = (int(data["output_index"]), int(data["content_index"]))
            self._texts.setdefault(place, []).append(data["delta"])
        elif kind in (
            "response.function_call_arguments.delta",
            "response.custom_tool_call_input.delta",
        ):
            self._arguments.setdefault(int(data["output_index"]), []).append(data["delta"])

    def _end(self, response: dict[str, Any]) -> None:
        self._response = response
        if response.get("error") is not None or text(response.get("status")) not in _ENDED:
            raise MalformedStreamError("The response ended with an error.")

    def body(self) -> dict[str, Any]:
        """Return the body of the same answer without streaming; of a broken one, what it said."""
        if self.ended:
            return self._response
        places = sorted({*self._items, *self._arguments, *(place for place, _ in self._texts)})
        output = [self._item(place) for place in places]
        return {**self._response, "output": output} if self._response or output else {}

    def _item(self, place: int) -> dict[str, Any]:
        item = self._items.get(place, {"type": "message", "role": "assistant"})
        if item.get("status") == "completed":
            return item
        texts = [self._texts[key] for key in sorted(self._texts) if key[0] == place]
        if texts:
            parts = [{"type": "output_text", "text": "".join(pieces)} for pieces in texts]
            item = {**item, "content": parts}
        if place in self._arguments:
            grows = "input" if item.get("type") == "custom_tool_call" else "arguments"
            item = {**item, grows: "".join(self._arguments[place])}
        return item


def _answer(body: dict[str, Any]) -> Answer:
    output = items(body.get("output"))
    messages = [item for item in output if item.get("type") == "message"]
    parts = [part for message in messages for part in items(message.get("content"))]
    words = [text(part.get("text")) or text(part.get("refusal")) for part in parts]
    return Answer(
        "\n\n".join(word for word in words if word),
        [
            tool_call(
                item.get("call_id"), item.get("name"), item.get("arguments", item.get("input"))
            )
            for item in output
            if text(item.get("type")) in _CALLS
        ],
        usage_of(body),
        text(fields(body.get("incomplete_details")).get("reason")) or text(body.get("status")),
        text(body.get("model")),
    )


def _message(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of the input as a message; calls and their outputs have forms of their own."""
    kind = text(item.get("type"))
    if kind in _CALLS:
        call = {"name": item.get("name"), "arguments": item.get("arguments", item.get("input"))}
        return {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), **call}]}
    if kind.endswith("_output"):
        return {"role": "tool", "content": item.get("output")}
    return item
