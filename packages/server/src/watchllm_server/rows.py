"""What an event becomes on its way to the store."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

Text: TypeAlias = str | Raw
"""A text, or its JSON as the sender wrote it."""
Json: TypeAlias = Raw | UnsetType
"""A value's JSON as the sender wrote it."""


# None of these can be part of a cycle: the collector of cycles need not look at them (gc=False).


class Columns(Struct, kw_only=True, gc=False):
    """The values of a row by column; its JSON is a line of ClickHouse's JSONEachRow format."""

    project_id: str
    event_id: Text
    run_id: Text
    event_type: Text
    ts: str
    env: Text
    tags: list[str] | Json = UNSET
    user_id: str | Json = UNSET
    release: str | Json = UNSET
    model: str | Json = UNSET
    status: str | Json = UNSET
    latency_ms: Json = UNSET
    tokens_input: int | Json = UNSET
    tokens_output: int | Json = UNSET
    sample_rate: Json = UNSET
    prompt: str | Json = UNSET
    response: str | Json = UNSET
    attributes: str | UnsetType = UNSET
    error_type: str | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    error_pattern: str | UnsetType = UNSET
    """Of the `error` among the attributes. The store sets them."""
    cost: str | UnsetType = UNSET
    """In US dollars. The writer sets it, when the price is known."""


class Call(Struct, frozen=True, gc=False):
    """What the price of a prompt call depends on. Unknown counts are None."""

    model: str
    at: datetime
    tokens_input: int | None
    tokens_output: int | None
    response_metadata: bytes | None
    cost_estimate_usd: bytes | None


class Row(Struct, frozen=True, gc=False):
    """An event on its way to the store."""

    project_id: str
    event_id: str
    ts: datetime
    columns: Columns
    call: Call | None
    """Present for a prompt call, which the writer prices before it stores the row."""
