"""The row of an event that a span became.

What the server made itself is right as it is made. So its JSON is neither written nor read here as
that of a sender is by `watchllm_server.events`, which gives the same row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from watchllm_server.events import COLUMNS, DEFAULT_ENV, EXACT_DIGITS
from watchllm_server.rows import Call, Columns, Row

_COMMON: Final = ("event_id", "event_type", "run_id", "env", "tags", "user_id", "release")
_OWN: Final = {
    kind: (*_COMMON, *COLUMNS.get(kind, ())) for kind in ("prompt_call", "agent_step", "error")
}
_encode = msgspec.json.encode


def row_of(event: dict[str, Any], project_id: str) -> Row:
    """Return the row of an event, of which nothing is left: its values go into the row.

    What is unknown is not among its fields, its time is UTC with six decimals, and none of its
    texts is empty where that would mean absent: the user, the release and the environment.
    """
    time: str = event.pop("timestamp")
    ts = datetime.fromisoformat(time)
    found = {name: event.pop(name) for name in _OWN[event["event_type"]] if name in event}
    if "latency_ms" in found:
        text = _encode(found["latency_ms"])
        if len(text) > EXACT_DIGITS:
            event["latency_ms"] = found["latency_ms"]
        found["latency_ms"] = Raw(text)
    if "sample_rate" in event:
        found["sample_rate"] = Raw(_encode(event["sample_rate"]))
    call = _call(event, found, ts) if found["event_type"] == "prompt_call" else None
    found.setdefault("env", DEFAULT_ENV)
    columns = Columns(
        project_id=project_id,
        ts=f"{time[:10]} {time[11:-1]}",
        attributes=_encode(event).decode(),
        **found,
    )
    return Row(project_id, found["event_id"], ts, columns, call)


def _call(event: dict[str, Any], found: dict[str, Any], at: datetime) -> Call:
    metadata = _encode(event["response_metadata"])
    event["response_metadata"] = Raw(metadata)
    cost = event.get("cost_estimate_usd")
    return Call(
        model=found["model"],
        at=at,
        tokens_input=found.get("tokens_input"),
        tokens_output=found.get("tokens_output"),
        response_metadata=metadata,
        cost_estimate_usd=None if cost is None else _encode(cost),
    )
