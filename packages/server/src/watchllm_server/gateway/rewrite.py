"""What must be changed in a request before its provider sees it: as little as there can be."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from watchllm_server.errors import Problem
from watchllm_server.jsontext import is_deeper_than

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_MOST_LEVELS = 500
_USAGE = b'"stream_options":{"include_usage":true}}'


def decode(body: bytes) -> dict[str, Any]:
    """Return a request; raise the Problem that answers 400 to what is no JSON object.

    How deep a parser follows depends on the version of Python, so there is a limit of our own.
    """
    request = _read(body)
    if is_deeper_than(_MOST_LEVELS, body):
        raise Problem(400, "invalid_json", "The body of the request is nested too deeply.")
    return request


def _read(body: bytes) -> dict[str, Any]:
    try:
        return _decode(body)
    except msgspec.ValidationError:
        raise Problem(400, "invalid_json", "The body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(body)


def _decode_leniently(body: bytes) -> dict[str, Any]:
    """Take what providers take beside the standard, such as half a pair of surrogates."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        message = "We could not parse the JSON body of your request."
        raise Problem(400, "invalid_json", message) from None
    if not isinstance(request, dict):
        raise Problem(400, "invalid_json", "The body must be a JSON object.")
    return request


def encode(request: dict[str, Any]) -> bytes:
    """Return a changed request as JSON, its members in the order in which they came."""
    try:
        return msgspec.json.encode(request)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(request, separators=(",", ":")).encode()


def for_provider(
    body: bytes, request: dict[str, Any], *, model: str | None, ask_usage: bool
) -> bytes:
    """Return the body that a provider gets: the very bytes of the client where that can be.

    `model` is the name there where it differs; `ask_usage` has a stream end with its usage.
    """
    if model is None:
        if not ask_usage:
            return body
        if "stream_options" not in request and (end := body.rstrip()).endswith(b"}"):
            return b"".join((end[:-1], b",", _USAGE))
    changed = dict(request)
    if model is not None:
        changed["model"] = model
    if ask_usage:
        options = request.get("stream_options")
        known = options if isinstance(options, dict) else {}
        changed["stream_options"] = {**known, "include_usage": True}
    return encode(changed)
