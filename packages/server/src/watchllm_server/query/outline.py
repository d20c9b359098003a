"""Answer what a run consists of, as little of each event as a list of thousands can show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from watchllm_server.events import EPOCH, micros

if TYPE_CHECKING:
    from watchllm_server.query.runs import Run
    from watchllm_server.store.base import EventStore, Value


@dataclass(frozen=True, slots=True)
class OutlineEvent:
    """An event in the outline of its run. Texts that are not known are empty."""

    event_id: str
    event_type: str
    ts: datetime
    """When it happened, in UTC: at the end of its work."""
    model: str
    status: str
    latency_ms: float | None
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: Decimal | None
    prompt_head: str
    """The first 200 characters of a call's prompt."""
    error_type: str
    parent_event_id: str
    step_number: str
    """0 where there is none."""
    name: str
    """Of a step, an assertion, an alert or a method, as the sender wrote it."""
    step_type: str

    @property
    def began(self) -> datetime:
        """Return when its work began."""
        try:
            return self.ts - timedelta(milliseconds=self.latency_ms or 0)
        except OverflowError:
            return self.ts


def outline_of_run(
    store: EventStore, project_id: str, run: Run, *, limit: int
) -> list[OutlineEvent]:
    """Return the events of a run in the order of their times, `limit` of them at most."""
    parameters: dict[str, Value] = {
        "project_id": project_id,
        "run_id": run.run_id,
        "from_us": micros(run.started_at),
        "limit": limit,
    }
    return [_event(row) for row in store.query("run_outline", parameters)]


def _event(row: list[Any]) -> OutlineEvent:
    event_id, event_type, ts_us, *known = row
    model, status, latency_ms, tokens_input, tokens_output, cost, *texts = known
    prompt_head, error_type, parent_event_id, step_number, name, step_type = texts
    return OutlineEvent(
        event_id=event_id,
        event_type=event_type,
        ts=(EPOCH + timedelta(microseconds=ts_us)).astimezone(UTC),
        model=model,
        status=status,
        latency_ms=latency_ms,
        tokens_input=tokens_input,
        tokens_output=tokens_output,
        cost_usd=None if cost is None else Decimal(cost),
        prompt_head=prompt_head,
        error_type=error_type,
        parent_event_id=parent_event_id,
        step_number=step_number,
        name=name,
        step_type=step_type,
    )
