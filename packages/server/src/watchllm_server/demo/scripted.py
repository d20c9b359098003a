"""A small OpenAI-compatible endpoint that answers from a script: no model is asked.

It serves GET /v1/models and POST /v1/chat/completions, streamed or not. `max_tokens`,
`max_completion_tokens`, `stream` and `stream_options.include_usage` are honoured, other settings
are ignored. Usage is counted, not made up: each word and each mark of the messages and of the
answer is one token. Every answer says what it is, in its id and its system_fingerprint.

    python -m watchllm_server.demo.scripted --port 8001
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from watchllm_server.demo.script import Script, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

MODELS = ("gpt-4o", "gpt-4o-mini")
FINGERPRINT = "fp_scripted_no_model_was_asked"


class Part(msgspec.Struct):
    """One part of a message in parts; only text is read."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """The text of the message, its parts joined."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(msgspec.Struct):
    """What a stream carries beside the answer."""

    include_usage: bool = False


Limit = Annotated[int, msgspec.Meta(ge=1)] | None


class ChatRequest(msgspec.Struct):
    """What this endpoint reads of a chat completion request."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_tokens: Limit = None
    max_completion_tokens: Limit = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None


def create_scripted_app(script: Script) -> Starlette:
    """Return the endpoint as an ASGI application."""

    async def chat(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=ChatRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal(400, f"This is no chat completion request: {error}.", code=None)
        if asked.model not in MODELS:
            message = f"The model `{asked.model}` does not exist. This endpoint is scripted."
            return refusal(404, message, code="model_not_found")
        question = next((m.text for m in reversed(asked.messages) if m.role == "user"), "")
        completion = complete(asked, pieces(script.answer(question)))
        if asked.stream:
            return StreamingResponse(
                chunks(asked, completion),
                media_type="text/event-stream",
            )
        return JSONResponse(completion)

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", chat, methods=["POST"]),
        ],
        exception_handlers={HTTPException: not_served},
    )


async def models(_: Request) -> Response:
    """List the models that the script stands in for."""
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in MODELS
    ]
    return JSONResponse({"object": "list", "data": data})


async def not_served(request: Request, error: Exception) -> Response:
    """Refuse an unknown route or method in OpenAI's shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return refusal(status, f"This endpoint does not serve {request.method} {request.url.path}.")


def refusal(status: int, message: str, *, code: str | None = "not_served") -> Response:
    """Return an error in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status)


def complete(asked: ChatRequest, answer: list[str]) -> dict[str, Any]:
    """Return the completion, cut at the limit that was asked for."""
    limit = asked.max_completion_tokens or asked.max_tokens or len(answer)
    given = answer[:limit]
    read = sum(len(pieces(message.text)) for message in asked.messages)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(given), "refusal": None},
        "logprobs": None,
        "finish_reason": "length" if len(given) < len(answer) else "stop",
    }
    return {
        "id": f"chatcmpl-scripted-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": len(given),
            "total_tokens": read + len(given),
        },
    }


def chunks(asked: ChatRequest, completion: dict[str, Any]) -> Iterator[str]:
    """Yield a completion as the server-sent events of a stream, a token in each."""
    same = {key: completion[key] for key in ("id", "created", "model", "system_fingerprint")}
    whole = completion["choices"][0]

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = {**same, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n"

    def delta(content: dict[str, str], finish_reason: str | None = None) -> str:
        return event([{"index": 0, "delta": content, "finish_reason": finish_reason}])

    yield delta({"role": "assistant", "content": ""})
    for piece in pieces(whole["message"]["content"]):
        yield delta({"content": piece})
    yield delta({}, whole["finish_reason"])
    if asked.stream_options and asked.stream_options.include_usage:
        yield event([], usage=completion["usage"])
    yield "data: [DONE]\n\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the script on a port of 127.0.0.1 until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m watchllm_server.demo.scripted",
        description="Serve an OpenAI-compatible endpoint that answers from a script.",
    )
    parser.add_argument("--port", type=int, default=8001, help="port on 127.0.0.1 (default: 8001)")
    port = parser.parse_args(argv).port
    app = create_scripted_app(Script.read())
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
