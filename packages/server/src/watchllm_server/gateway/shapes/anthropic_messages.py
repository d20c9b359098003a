"""POST /v1/messages of Anthropic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.gateway.shapes.deltas import merge, settled
from watchllm_server.gateway.shapes.reading import (
    OK,
    fields,
    items,
    read_body,
    text,
    tool_call,
    usage_of,
)
from watchllm_server.gateway.shapes.sse import (
    MalformedStreamError,
    SseAssembly,
    decoded,
    pieces,
    written,
)
from watchllm_server.messages import conversation, read_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.gateway.shapes.sse import Event

_TOOL_USES: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
# Texts of a block that come in pieces, and the deltas that carry them.
_GROWING: Final = {"text": "text_delta", "thinking": "thinking_delta"}
# What a stream says at its end.
_LAST: Final = ("stop_reason", "stop_sequence", "container")
_ERRORS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


class AnthropicMessages:
    """Read and write messages."""

    name = "anthropic.messages"
    path = "/v1/messages"

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a request asks for; its stream always ends with the usage."""
        messages = request.get("messages")
        system = request.get("system")
        found = [{"role": "system", "content": system}] if system else []
        found += messages if isinstance(messages, list) else []
        return Asked(
            text(request.get("model")),
            request.get("stream") is True,
            conversation(read_messages(found)),
            usage_in_stream=True,
        )

    def assembly(self) -> SseAssembly:
        """Return what puts one stream together."""
        return SseAssembly(_Telling, _answer)

    def answer(self, body: bytes) -> Answer:
        """Return what a body says."""
        return _answer(read_body(body))

    def successful(self, status: int, body: bytes) -> bool:
        """Say whether an answer may be kept."""
        found = read_body(body)
        said = found.get("type") == "message" and isinstance(found.get("content"), list)
        return status == OK and said and bool(found.get("stop_reason"))

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:  # noqa: ARG002 - the usage is part of every stream
        """Return a body as a stream."""
        return list(_events(read_body(body)))

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return an error, which Anthropic's clients tell by its type."""
        kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - the class of status
        error = {"type": kind, "message": message, "code": code}
        return msgspec.json.encode({"type": "error", "error": error})


class _Telling:
    """Collect a stream of messages."""

    def __init__(self) -> None:
        self.ended = False
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._open: set[int] = set()

    def take(self, event: Event) -> None:
        """Take the next event; kinds that came after this was written are passed over."""
        data = decoded(event.data)
        kind = data.get("type")
        if kind == "message_start":
            self._message = dict(data["message"])
        elif kind == "content_block_start":
            self._blocks[data["index"]] = {}
            merge(self._blocks[data["index"]], data["content_block"])
            self._open.add(data["index"])
        elif kind == "content_block_delta":
            self._take_delta(data["index"], data["delta"])
        elif kind == "content_block_stop":
            self._open.remove(data["index"])
        elif kind == "message_delta":
            self._take_end(data)
        elif kind == "message_stop":
            self.ended = True
            self._check()
        elif kind == "error":
            raise MalformedStreamError("The stream reports an error.")

    def _take_delta(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks[index]
        if index not in self._open:
            raise MalformedStreamError("A block goes on after its end.")
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._inputs.setdefault(index, []).append(delta["partial_json"])
        elif kind == "citations_delta":
            merge(block, {"citations": [delta["citation"]]})
        else:
            merge(block, {name: value for name, value in delta.items() if name != "type"})

    def _take_end(self, data: dict[str, Any]) -> None:
        usage = self._message.get("usage")
        for name, value in data.items():
            if name == "delta":
                self._message |= value
            elif name == "usage" and isinstance(usage, dict):
                # What the last count does not say again stands as the first said it.
                said = {name: count for name, count in value.items() if count is not None}
                self._message["usage"] = usage | said
            elif name != "type":
                self._message[name] = value

    def _check(self) -> None:
        if self._open or not self._message.get("stop_reason"):
            raise MalformedStreamError("The message ended before its blocks.")
        for index, written_ in self._inputs.items():
            if not isinstance(_input("".join(written_)), dict):
                raise MalformedStreamError(f"The input of block {index} is no JSON object.")

    def body(self) -> dict[str, Any]:
        """Return the body of the same answer without streaming."""
        blocks = []
        for index in sorted(self._blocks):
            block = settled(self._blocks[index])
            if index in self._inputs:
                block["input"] = _input("".join(self._inputs[index]))
            blocks.append(block)
        return {**self._message, "content": blocks}


def _input(written_: str) -> Any:
    """Return the input of a tool; of one that broke off, its text so far."""
    try:
        return msgspec.json.decode(written_) if written_ else {}
    except (ValueError, RecursionError):
        return written_


def _answer(body: dict[str, Any]) -> Answer:
    blocks = items(body.get("content"))
    return Answer(
        "".join(text(block.get("text")) for block in blocks if block.get("type") == "text"),
        [
            tool_call(block.get("id"), block.get("name"), block.get("input"))
            for block in blocks
            if text(block.get("type")) in _TOOL_USES
        ],
        usage_of(body),
        text(body.get("stop_reason")),
        text(body.get("model")),
    )


def _events(body: dict[str, Any]) -> Iterator[bytes]:
    usage = fields(body.get("usage"))
    first = {name: value for name, value in body.items() if name not in _LAST}
    first |= {"content": [], "stop_reason": None, "stop_sequence": None}
    if usage:
        first["usage"] = {**usage, "output_tokens": 0}
    yield _event("message_start", message=first)
    for index, block in enumerate(items(body.get("content"))):
        begun, deltas = _split(block)
        yield _event("content_block_start", index=index, content_block=begun)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    last = {name: body[name] for name in _LAST if name in body}
    yield _event("message_delta", delta=last, **({"usage": usage} if usage else {}))
    yield _event("message_stop")


def _event(kind: str, **data: Any) -> bytes:
    return written({"type": kind, **data}, kind)


def _split(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a block begins, and what follows."""
    begun = dict(block)
    deltas: list[dict[str, Any]] = []
    kind = text(block.get("type"))
    citations = block.get("citations")
    if kind == "text" and isinstance(citations, list) and citations:
        begun["citations"] = []
        deltas += [{"type": "citations_delta", "citation": each} for each in citations]
    if kind in _GROWING and isinstance(block.get(kind), str):
        begun[kind] = ""
        deltas += [{"type": _GROWING[kind], kind: piece} for piece in pieces(block[kind])]
    if kind == "thinking" and block.get("signature"):
        begun["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    if kind in _TOOL_USES and isinstance(block.get("input"), dict):
        begun["input"] = {}
        whole = msgspec.json.encode(block["input"]).decode()
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(whole)]
    return begun, deltas
