"""What the shapes share in reading requests and answers, whatever they hold."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from watchllm_server.gateway.shapes.base import Answer
from watchllm_server.jsontext import text_of

NOTHING: Final = Answer("", [], None, "", "")
OK: Final = 200
_OPENAI_ERRORS: Final = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    429: "rate_limit_error",
}  # fmt: skip


def read_body(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object, empty for anything else."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text(value: Any) -> str:
    """Return a text, and an empty one for anything else."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> str:
    """Return a text, or a list of them as paragraphs; anything else, such as tokens, as JSON."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "\n\n".join(value)
    return text_of(value)


def items(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    """Return an object, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def usage_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the usage as the provider gave it."""
    usage = body.get("usage")
    return usage if isinstance(usage, dict) else None


def tool_call(id_: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """Return a tool call as answers have it; arguments that are no text become their JSON."""
    return {"id": text(id_), "name": text(name), "arguments": text_of(arguments)}


def openai_error(status: int, message: str, code: str) -> bytes:
    """Return an error as OpenAI's clients read it."""
    server = "api_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004 - the class of status
    kind = _OPENAI_ERRORS.get(status, server)
    error = {"message": message, "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error})
