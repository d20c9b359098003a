"""The short way for a prompt call as nearly all are: read and checked in one go.

Whatever is out of the ordinary, also a fault, is left to `events`, which tells what it is. Both
give the same row.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from watchllm_server import fields
from watchllm_server.events import COMMON, DEFAULT_ENV, EXACT_DIGITS, SHAPES
from watchllm_server.fields import FaultyFieldError, check
from watchllm_server.jsontext import is_deeper_than, unescape
from watchllm_server.rows import Call, Columns, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.fields import Kind

_Name = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=0, le=fields.MAX_INT)]


class _PromptCall(Struct, forbid_unknown_fields=True, gc=False):
    event_id: _Name
    event_type: Literal["prompt_call"]
    run_id: _Name
    timestamp: str
    prompt: Raw
    response: Raw
    model: str
    tokens_input: _Count
    tokens_output: _Count
    latency_ms: Raw
    status: fields.Status
    project_id: str | UnsetType = UNSET
    env: _Name = DEFAULT_ENV
    tags: list[str] | UnsetType = UNSET
    user_id: _Name | UnsetType = UNSET
    release: _Name | UnsetType = UNSET
    # From here on: what has no column, but for sample_rate, which has one and remains all the same.
    client: Raw | UnsetType = UNSET
    sample_rate: Raw | UnsetType = UNSET
    redactions: Raw | UnsetType = UNSET
    model_version: Raw | UnsetType = UNSET
    cost_estimate_usd: Raw | UnsetType = UNSET
    prompt_template_id: Raw | UnsetType = UNSET
    response_metadata: Raw | UnsetType = UNSET
    tool_calls: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_REST: Final[Mapping[str, Kind]] = {
    **{name: COMMON[name] for name in ("client", "sample_rate", "redactions")},
    **SHAPES["prompt_call"].optional,
}
_QUOTE = ord('"')
_YEARS = range(1970, 2262)
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_decode = msgspec.json.Decoder(_PromptCall).decode
_encode = msgspec.json.encode


def read_call(raw: Raw, project_id: str) -> Row | None:
    """Return the row of a prompt call without any peculiarity, or None for every other event."""
    try:
        event = _decode(raw)
        if not _is_plain(event, project_id):
            return None
        time = event.timestamp
        ts = datetime.fromisoformat(time)
        check("latency_ms", event.latency_ms, fields.AMOUNT)
        attributes = _attributes(event)
    except (msgspec.DecodeError, RecursionError, ValueError, FaultyFieldError):
        return None
    if ts.year not in _YEARS:
        return None
    columns = Columns(
        project_id=project_id,
        event_id=event.event_id,
        run_id=event.run_id,
        event_type=event.event_type,
        ts=f"{time[:10]} {time[11:-1]}",
        env=event.env,
        tags=event.tags,
        user_id=event.user_id,
        release=event.release,
        model=event.model,
        status=event.status,
        latency_ms=event.latency_ms,
        tokens_input=event.tokens_input,
        tokens_output=event.tokens_output,
        sample_rate=event.sample_rate,
        prompt=event.prompt,
        response=event.response,
        attributes=attributes,
    )
    call = Call(
        model=event.model,
        at=ts,
        tokens_input=event.tokens_input,
        tokens_output=event.tokens_output,
        response_metadata=_bytes(event.response_metadata),
        cost_estimate_usd=_bytes(event.cost_estimate_usd),
    )
    return Row(project_id, event.event_id, ts, columns, call)


def _is_plain(event: _PromptCall, project_id: str) -> bool:
    return (
        (event.project_id is UNSET or event.project_id == project_id)
        and memoryview(event.prompt)[0] == _QUOTE
        and memoryview(event.response)[0] == _QUOTE
        and len(event.latency_ms) <= EXACT_DIGITS
        and _UTC.fullmatch(event.timestamp) is not None
    )


def _attributes(event: _PromptCall) -> str | UnsetType:
    rest = {}
    for name, kind in _REST.items():
        value = getattr(event, name)
        if value is not UNSET:
            check(name, value, kind)
            rest[name] = value
    if not rest:
        return UNSET
    text = _encode(rest)
    if is_deeper_than(fields.MAX_DEPTH, text):
        raise ValueError("nested too deeply")
    return unescape(text).decode()


def _bytes(raw: Raw | UnsetType) -> bytes | None:
    return None if raw is UNSET else bytes(raw)
