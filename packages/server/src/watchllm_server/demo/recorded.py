"""What the server recorded, read back through its API with the key of the programs."""

from __future__ import annotations

import http.client
import json
import statistics
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from watchllm_server.demo.children import HOST
from watchllm_server.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watchllm_server.demo.programs import Logged


@dataclass(frozen=True)
class Run:
    """The events of one run, or of several, as the server gave them back."""

    run_id: str
    program: str
    events: tuple[dict[str, Any], ...]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """Return the events of a type."""
        return [event for event in self.events if event.get("event_type") == event_type]

    def tokens(self, direction: str) -> int | None:
        """Return the sum of the known token counts (`input` or `output`), None if none is known."""
        counts = [event.get(f"tokens_{direction}") for event in self.of_type("prompt_call")]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def cost(self) -> Decimal | None:
        """Return the cost of the calls in USD, None if a price is unknown or there is no call."""
        costs = [event.get("cost_usd") for event in self.of_type("prompt_call")]
        if not costs or None in costs:
            return None
        return sum((Decimal(str(cost)) for cost in costs), Decimal(0))

    def latency_p50_ms(self) -> float | None:
        """Return the median latency of the calls, None if there is no call."""
        latencies = [event.get("latency_ms") for event in self.of_type("prompt_call")]
        known = [float(latency) for latency in latencies if latency is not None]
        return statistics.median(known) if known else None


@dataclass(frozen=True)
class Reader:
    """Reads the runs of a project over HTTP, `page` events at a time."""

    port: int
    key: str
    page: int = 1000

    def events(self, run_id: str) -> tuple[dict[str, Any], ...]:
        """Return the events of a run in order, none if the server does not know the run."""
        events: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self._page(run_id, cursor)
            if page is None:
                return ()
            events += page["events"]
            if not page["has_more"]:
                return tuple(events)
            cursor = page["next_cursor"]

    def _page(self, run_id: str, cursor: str) -> dict[str, Any] | None:
        asked = {"limit": self.page, **({"cursor": cursor} if cursor else {})}
        path = f"/v1/runs/{quote(run_id, safe='')}?{urlencode(asked)}"
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(
                f"The server could not be asked for the run {run_id}: {error}."
            ) from error
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise DemoError(
                f"The server answered {answer.status} when asked for the run {run_id}.",
                details=body.decode("utf-8", "replace"),
            )
        page: dict[str, Any] = json.loads(body)
        return page


def read_back(reader: Reader, logged: Iterable[Logged]) -> list[Run]:
    """Return the runs that the logged events belong to, in the order in which they began."""
    programs = {event.run_id: event.program for event in logged}
    return [Run(run_id, program, reader.events(run_id)) for run_id, program in programs.items()]


def missing(logged: Iterable[Logged], runs: Sequence[Run]) -> list[Logged]:
    """Return the logged events that were not found in the run that they were logged under."""
    stored = {(run.run_id, event.get("event_id")) for run in runs for event in run.events}
    return [event for event in logged if (event.run_id, event.event_id) not in stored]
