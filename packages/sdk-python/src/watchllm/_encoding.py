"""Events as bytes: JSON in UTF-8, with a ceiling for each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Mapping, Sequence

LARGEST_EVENT_BYTES = 8_000_000
_DESCRIPTION_BYTES = 200  # more than what stands in the place of a field


def dumps(value: Any) -> str:
    """Return JSON text of data that a walk returned."""
    import json

    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    )


def encode(event: dict[str, Any], largest: int = LARGEST_EVENT_BYTES) -> bytes:
    """Return an event as JSON, its largest fields described instead where it would be too large.

    `event` is changed in that case.
    """
    data = dumps(event).encode()
    if len(data) > largest:
        sizes = {name: len(dumps(value).encode()) for name, value in event.items()}
        excess = len(data) - largest
        for name in sorted(sizes, key=lambda field: sizes[field], reverse=True):
            if excess <= 0:
                break
            excess -= sizes[name] - _DESCRIPTION_BYTES
            _describe(event, name, sizes[name])
        data = dumps(event).encode()
    return data


def _describe(event: dict[str, Any], name: str, size: int) -> None:
    """Put a description in the place of a field, of the same type."""
    note = f"[TRUNCATED: {size} bytes, more than an event may hold]"
    value = event[name]
    if isinstance(value, dict):
        event[name] = {"message": note}
    elif isinstance(value, list):
        # A list has elements of its own shape: the note stands beside it.
        event[name] = []
        event.setdefault("invalid_fields", {})[name] = note
    else:
        event[name] = note


def body(events: Sequence[bytes], losses: Mapping[str, int]) -> bytes:
    """Return the body of a batch of encoded events, with the losses to report if there are any."""
    tail = f',"losses":{dumps(losses)}}}' if losses else "}"
    return b'{"events":[' + b",".join(events) + b"]" + tail.encode()
