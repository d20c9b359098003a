"""Answer whether a run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from watchllm_server.events import EPOCH, micros

if TYPE_CHECKING:
    from watchllm_server.query.runs import Run
    from watchllm_server.store.base import EventStore, Value


@dataclass(frozen=True, slots=True)
class Pulse:
    """How many events a run has, and when the last of them came to this server, in UTC."""

    events: int
    received_at: datetime


def pulse_of_run(store: EventStore, project_id: str, run: Run) -> Pulse:
    """Return the pulse of a run."""
    parameters: dict[str, Value] = {
        "project_id": project_id,
        "run_id": run.run_id,
        "from_us": micros(run.started_at),
    }
    [(events, received_ms)] = store.query("run_pulse", parameters)
    return Pulse(events, EPOCH + timedelta(milliseconds=received_ms))
