"""What the gateway asks of an API's shape, whichever API it is."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Asked(NamedTuple):
    """What a request asks for, whatever its shape.

    `prompt` is the readable text of all its messages, for the event. `usage_in_stream` says whether
    the client expects the stream to end with its usage.
    """

    model: str
    stream: bool
    prompt: str
    usage_in_stream: bool


class Answer(NamedTuple):
    """What an answer says, whatever its shape.

    `tool_calls` are `{"id", "name", "arguments"}`, the arguments as the text that the model wrote.
    `usage` has the provider's own names, and is None where it gave none. `model` is as the provider
    answered, empty where it did not say.
    """

    text: str
    tool_calls: list[dict[str, Any]]
    usage: dict[str, Any] | None
    finish_reason: str
    model: str


class Assembly(Protocol):
    """Grow while a stream passes. One task feeds it; it is not thread-safe."""

    def feed(self, chunk: bytes) -> None:
        """Take bytes of the stream, split anywhere; never raise, whatever they hold."""
        ...

    @property
    def complete(self) -> bool:
        """Say whether the stream's own end was seen, and nothing malformed and no error."""
        ...

    def body(self) -> bytes:
        """Return the same answer as the JSON body of a request without streaming."""
        ...

    def answer(self) -> Answer:
        """Return what the stream has said so far, also where it broke off."""
        ...


class Shape(Protocol):
    """Read and write one API. Pure and thread-safe; every method takes what was sent as it came.

    `name` is one of openai.chat, openai.completions, openai.responses, openai.embeddings and
    anthropic.messages; `path` is where the API answers, beginning with /v1.
    """

    name: str
    path: str

    def read_request(self, request: dict[str, Any]) -> Asked:
        """Return what a decoded request asks for; odd values are read as absent."""
        ...

    def assembly(self) -> Assembly:
        """Return what puts one stream of this API together."""
        ...

    def answer(self, body: bytes) -> Answer:
        """Return what a body without streaming says; an unreadable one says nothing."""
        ...

    def successful(self, status: int, body: bytes) -> bool:
        """Say whether an answer may be kept: 200, whole, no error inside."""
        ...

    def chunks(self, body: bytes, *, include_usage: bool) -> list[bytes]:
        """Return a body as the server-sent events that the provider would stream."""
        ...

    def error(self, status: int, message: str, code: str) -> bytes:
        """Return the body of an error as this API's clients read it."""
        ...
