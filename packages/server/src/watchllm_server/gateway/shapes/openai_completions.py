"""POST /v1/completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchllm_server.gateway.shapes import choices
from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.gateway.shapes.reading import OK, fields, openai_error, read_body, text, texts
from watchllm_server.gateway.shapes.sse import SseAssembly, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

_OBJECT = "text_completion"


class OpenAICompletions:
    """Read and write completions."""

    name = "openai.completions"
    path = "/v1/completions"

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a request asks for."""
        return Asked(
            text(request.get("model")),
            request.get("stream") is True,
            texts(request.get("prompt")),
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
        return status == OK and choices.successful(body, "text", str)

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:
        """Return a body as a stream."""
        return choices.chunks(body, _OBJECT, _split, include_usage=include_usage)

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return an error."""
        return openai_error(status, message, code)


def _telling() -> choices.ChoicesTelling:
    return choices.ChoicesTelling(_OBJECT)


def _answer(body: dict[str, Any]) -> Answer:
    return choices.answer_of(body, lambda choice: (text(choice.get("text")), []))


def _split(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    common: dict[str, Any] = {"index": choice.get("index", 0), "finish_reason": None}
    if "logprobs" in choice:
        common["logprobs"] = None
    for piece in pieces(text(choice.get("text"))):
        yield {**common, "text": piece}
    yield {**choice, "text": ""}
