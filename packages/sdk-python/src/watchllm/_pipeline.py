"""One event on the caller's thread: sample, redact, encode."""

from __future__ import annotations

import marshal

from watchllm._context import current_run
from watchllm._encoding import LARGEST_EVENT_BYTES, dumps, unpack
from watchllm._enums import Status
from watchllm._fields import BY_TYPE, MOST_NOTES, convert, filled_label
from watchllm._late import importing
from watchllm._redaction import Walk, rules_of
from watchllm._runtime import hostname, python_platform, timestamp
from watchllm._sampling import weight
from watchllm._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

    from watchllm._config import Config
    from watchllm._context import Run
    from watchllm._encoding import Encoder

    Encoded = Tuple[bytes, Dict[str, int]]  # the record of an event, and what was replaced in it

FIRST_YEAR, LAST_YEAR = 1970, 2261  # what the contract allows
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"


class Pipeline:
    """Turn events into records under one client's settings. Safe to use from any thread."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        self._config = config
        self._encoder = encoder
        with importing:
            self._rules = rules_of(config.redact_pii)
            self._rules.load()
        # Without redaction nothing must be done before an event may wait in memory.
        self._later = config.durability == "memory" and not config.redact_pii
        client = {
            "sdk_version": __version__,
            "platform": python_platform(),
            "hostname": hostname(),
        }
        own = {"project_id": config.project_id, "client": client}
        self._same_in_all = dumps(own)[1:-1]

    def own_id(self, given: str) -> str:
        """Return the id that an event came with, as it may be sent."""
        return Walk(self._rules).label(given) if self._config.redact_pii else given

    def process(
        self, event_type: str, values: dict[str, Any], event_id: str, time_ns: int
    ) -> Encoded | None:
        """Return the event encoded, or None if its run is sampled out. Changes `values`."""
        run = current_run()
        if run is not None:
            _inherit(values, run)
            if run.tally is not None:
                run.tally.note(event_type, values)
        config = self._config
        share = 1.0
        if config.sample_rate < 1.0:
            share = self._share(event_type, values, event_id)
            if not share:
                return None
        if self._later and share == 1.0:
            record = self._postponed(event_type, values, event_id, time_ns)
            if record is not None:
                return record, {}
        return self._encoded(event_type, values, event_id, time_ns, share)

    def unpack(self, record: bytes) -> bytes:
        """Return the event of a record as JSON; raises ValueError if it is no record."""
        if record[:1] == b"M":
            event_type, event_id, time_ns, values = marshal.loads(record[1:])  # noqa: S302 - it never left this process
            record = self._encoded(event_type, values, event_id, time_ns, 1.0)[0]
        return unpack(record)

    def run_id(self, record: bytes) -> str:
        """Return the run of a record as it will be sent."""
        import json

        return str(json.loads(self.unpack(record))["run_id"])

    def _share(self, event_type: str, values: dict[str, Any], event_id: str) -> float:
        run_id = values.get("run_id")
        return weight(
            self._config.sample_rate,
            event_id if run_id is None else Walk(self._rules).label(run_id) or event_id,
            event_type,
            values["status"] if isinstance(values.get("status"), str) else None,
        )

    @staticmethod
    def _postponed(
        event_type: str, values: dict[str, Any], event_id: str, time_ns: int
    ) -> bytes | None:
        """Return a snapshot of an event of plain values, None if it holds anything else.

        marshal takes exactly the types that it gives back, and copies them in one go.
        """
        status = values.get("status")
        if type(status) is Status:
            values["status"] = status.value
        try:
            data = marshal.dumps((event_type, event_id, time_ns, values))
        except ValueError:
            return None
        return b"M" + data if len(data) < LARGEST_EVENT_BYTES else None

    def _encoded(
        self, event_type: str, values: dict[str, Any], event_id: str, time_ns: int, share: float
    ) -> Encoded:
        """Return the event as the contract wants it."""
        config = self._config
        walk = Walk(self._rules)
        invalid: dict[str, str] = {}
        run_id = values.pop("run_id", None)
        if type(run_id) is not str or not run_id or run_id not in walk.known()[1]:
            run_id = self._run_id(run_id, event_id, walk, invalid)
        when = timestamp(time_ns)
        if "timestamp" in values:
            when = self._timestamp(values.pop("timestamp"), when, walk, invalid)
        env = config.environment
        if "env" in values:
            env = walk.label(values.pop("env")) or env
        if config.release and values.get("release") is None:
            values["release"] = config.release
        texts: dict[str, str] = {}
        wire = convert(values, BY_TYPE[event_type], walk, "", invalid, texts)
        wire["run_id"] = run_id
        wire["env"] = env
        if "tags" not in wire:
            wire["tags"] = []
        if walk.counts:
            wire["redactions"] = walk.counts
        if invalid:
            wire["invalid_fields"] = dict(list(invalid.items())[:MOST_NOTES])
        if share < 1.0:
            wire["sample_rate"] = share
        shown = event_id
        if '"' in shown or "\\" in shown or not shown.isprintable():
            shown = dumps(shown)[1:-1]
        head = (
            f'{{"event_id":"{shown}","event_type":"{event_type}","timestamp":"{when}",'
            f"{self._same_in_all},"
        )
        return self._encoder.record(head, wire, texts), walk.counts

    @staticmethod
    def _run_id(run_id: Any, event_id: str, walk: Walk, invalid: dict[str, str]) -> str:
        try:
            if run_id is not None:
                return filled_label(run_id, walk, "run_id", invalid)
        except Exception:  # noqa: S110 - it is described below like a missing one
            pass
        # An event without a run is a run of its own, never one with all its like.
        shown = walk.describe(run_id)
        invalid["run_id"] = f"expected a text that is not empty, got {shown}"
        return event_id

    @staticmethod
    def _timestamp(value: Any, now: str, walk: Walk, invalid: dict[str, str]) -> str:
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


def _inherit(values: dict[str, Any], run: Run) -> None:
    """Fill in what the event leaves to the run around it."""
    if values.get("run_id") is None:
        values["run_id"] = run.run_id
    if run.user_id is not None and values.get("user_id") is None:
        values["user_id"] = run.user_id
    if run.tags and values.get("tags") is None:
        values["tags"] = list(run.tags)
    if run.release is not None and values.get("release") is None:
        values["release"] = run.release
    if run.parent_event_id is not None and values.get("parent_event_id") is None:
        values["parent_event_id"] = run.parent_event_id


def _utc(value: Any) -> str:
    """Return a moment as RFC 3339 in UTC with 3 to 9 digits of a second."""
    import re
    from datetime import datetime, timezone

    digits = ""
    if isinstance(value, str):
        found = re.fullmatch(_MOMENT, value)
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
