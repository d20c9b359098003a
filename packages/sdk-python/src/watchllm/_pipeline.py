"""One event on the caller's thread: sample, redact, encode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from watchllm._context import current_run
from watchllm._encoding import encode
from watchllm._fields import BY_TYPE, MOST_NOTES, convert, filled_label
from watchllm._redaction import DEFAULT_DETECTORS, Walk
from watchllm._runtime import Clock, IdSource, hostname, python_platform, sdk_version, timestamp
from watchllm._sampling import weight

if TYPE_CHECKING:
    from typing import Sequence

    from watchllm._config import Config
    from watchllm._events import Event
    from watchllm._redaction import Detector

FIRST_YEAR, LAST_YEAR = 1970, 2261  # what the contract allows
_OWN = ("event_id", "event_type", "project_id", "run_id", "timestamp", "env", "client")
_OURS_ALONE = (*_OWN, "sample_rate", "redactions", "invalid_fields")
_moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class Encoded:
    """An event ready for the spool."""

    __slots__ = ("data", "event_id", "event_type", "redactions", "run_id")

    def __init__(self, data: bytes, wire: dict[str, Any], redactions: dict[str, int]) -> None:
        self.data = data
        self.event_id: str = wire["event_id"]
        self.event_type: str = wire["event_type"]
        self.run_id: str = wire["run_id"]
        self.redactions = redactions


class Pipeline:
    """Turn events into bytes under one client's settings. Safe to use from any thread."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        ids: IdSource,
        detectors: Sequence[Detector] = DEFAULT_DETECTORS,
    ) -> None:
        self._config = config
        self._clock = clock
        self._ids = ids
        self._detectors = detectors if config.redact_pii else ()
        self._client = {
            "sdk_version": sdk_version(),
            "platform": python_platform(),
            "hostname": hostname(),
        }

    def process(self, event: Event, event_id: str) -> Encoded | None:
        """Return the event encoded, or None if its run is sampled out."""
        values = event.to_wire()
        _inherit(values)
        run_id = values.get("run_id")
        kept = weight(
            self._config.sample_rate,
            event_id if run_id is None else Walk().label(run_id) or event_id,
            event.event_type.value,
            values["status"] if isinstance(values.get("status"), str) else None,
        )
        if not kept:
            return None
        wire, redactions = self._wire(event.event_type.value, values, event_id)
        if kept < 1.0:
            wire["sample_rate"] = kept
        return Encoded(encode(wire), wire, redactions)

    def _wire(
        self, event_type: str, values: dict[str, Any], event_id: str
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Return the event as the contract wants it, and what was redacted."""
        walk = Walk(self._detectors)
        invalid: dict[str, str] = {}
        wire: dict[str, Any] = {
            "event_id": event_id,
            "event_type": event_type,
            "project_id": self._config.project_id,
            "run_id": self._run_id(values, event_id, walk, invalid),
            "timestamp": self._timestamp(values.get("timestamp"), walk, invalid),
            "env": self._config.environment,
            "tags": [],
        }
        if "env" in values:
            wire["env"] = walk.label(values["env"]) or wire["env"]
        if values.get("release") is None and self._config.release:
            values["release"] = self._config.release
        values = {name: value for name, value in values.items() if name not in _OURS_ALONE}
        wire.update(convert(values, BY_TYPE[event_type], walk, "", invalid))
        wire["client"] = self._client
        if walk.counts:
            wire["redactions"] = walk.counts
        if invalid:
            wire["invalid_fields"] = dict(list(invalid.items())[:MOST_NOTES])
        return wire, walk.counts

    @staticmethod
    def _run_id(values: dict[str, Any], event_id: str, walk: Walk, invalid: dict[str, str]) -> str:
        try:
            return filled_label(values["run_id"], walk, "run_id", invalid)
        except Exception:
            # An event without a run is a run of its own, never one with all its like.
            shown = walk.describe(values.get("run_id"))
            invalid["run_id"] = f"expected a text that is not empty, got {shown}"
            return event_id

    def _timestamp(self, value: Any, walk: Walk, invalid: dict[str, str]) -> str:
        now = timestamp(self._clock.time_ns())
        if value is None:
            return now
        try:
            return _utc(value)
        except (ValueError, OverflowError, AttributeError, TypeError):
            invalid["timestamp"] = (
                "expected a datetime with a time zone, or RFC 3339 with an offset, from 1970 to"
                f" 2261, got {walk.describe(value)}; the time of logging stands in its place"
            )
            return now


def _inherit(values: dict[str, Any]) -> None:
    """Fill in what the event leaves to the run around it."""
    run = current_run()
    if run is None:
        return
    values.setdefault("run_id", run.run_id)
    if run.user_id is not None:
        values.setdefault("user_id", run.user_id)
    if run.tags:
        values.setdefault("tags", list(run.tags))


def _utc(value: Any) -> str:
    """Return a moment as RFC 3339 in UTC with 3 to 9 digits of a second."""
    from datetime import datetime, timezone

    digits = ""
    if isinstance(value, str):
        found = _moment.fullmatch(value)
        if found is None:
            raise ValueError(value)
        digits = (found.group(1) or ".000").ljust(4, "0")
        offset = "+00:00" if found.group(2) == "Z" else found.group(2)
        moment = datetime.fromisoformat(value[:19] + offset).astimezone(timezone.utc)
    else:
        if value.tzinfo is None:
            raise ValueError(value)
        moment = value.astimezone(timezone.utc)
        digits = f".{moment.microsecond:06d}"
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(value)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z"
