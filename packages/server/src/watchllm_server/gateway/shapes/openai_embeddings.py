"""POST /v1/embeddings."""

from __future__ import annotations

from typing import Any

from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.gateway.shapes.reading import (
    NOTHING,
    OK,
    items,
    openai_error,
    read_body,
    text,
    texts,
    usage_of,
)
from watchllm_server.gateway.shapes.sse import NoStream


class OpenAIEmbeddings:
    """Read and write embeddings, which have no stream and say no text."""

    name = "openai.embeddings"
    path = "/v1/embeddings"

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a request asks for; its prompt is its inputs, in paragraphs."""
        prompt = texts(request.get("input"))
        return Asked(text(request.get("model")), stream=False, prompt=prompt, usage_in_stream=False)

    def assembly(self) -> NoStream:
        """Return what is never complete."""
        return NoStream(NOTHING)

    def answer(self, body: bytes) -> Answer:
        """Return what a body says."""
        found = read_body(body)
        return NOTHING._replace(usage=usage_of(found), model=text(found.get("model")))

    def successful(self, status: int, body: bytes) -> bool:
        """Say whether an answer may be kept."""
        found = read_body(body)
        data = items(found.get("data"))
        return (
            status == OK
            and found.get("error") is None
            and bool(data)
            and all(_has_vector(each) for each in data)
        )

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:  # noqa: ARG002 - part of the protocol
        """Return the body as it is."""
        return [body]

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return an error."""
        return openai_error(status, message, code)


def _has_vector(item: dict[str, Any]) -> bool:
    """Say whether an item has a vector: as numbers, or as base64."""
    vector = item.get("embedding")
    return bool(vector) and isinstance(vector, list | str)
