"""What the server recorded, read back through its API with the key of the programs."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from watchllm_server.demo.children import HOST
from watchllm_server.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from watchllm_server.demo.programs import Logged

SECONDS_TO_STORE = 20
CALLS_MADE = re.compile(r"^watchllm_gateway_calls_total\{.*\} (\d+)", re.MULTILINE)
HITS = frozenset({"HIT", "HIT-COALESCED"})


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
        """Return the cost of the calls in USD, None if a price is unknown or there is no call.

        A call that used no token, as one that was refused, costs nothing whatever its model.
        """
        calls = self.of_type("prompt_call")
        if not calls:
            return None
        return total(call.get("cost_usd") for call in calls if not used_nothing(call))

    def latency_p50_ms(self) -> float | None:
        """Return the median latency of the calls, None if there is no call."""
        latencies = [event.get("latency_ms") for event in self.of_type("prompt_call")]
        known = [float(latency) for latency in latencies if latency is not None]
        return statistics.median(known) if known else None


@dataclass(frozen=True)
class Gatewayed:
    """The calls that went through the gateway: how many it counted, and those it recorded."""

    made: int
    calls: tuple[dict[str, Any], ...]

    @property
    def kept(self) -> Run:
        """Return the calls that were answered by the cache."""
        return Run("", "", tuple(call for call in self.calls if is_hit(call)))

    @property
    def asked(self) -> Run:
        """Return the calls for which the endpoint was asked."""
        return Run("", "", tuple(call for call in self.calls if not is_hit(call)))

    def saved(self) -> Decimal | None:
        """Return what the cache's answers would have cost in USD, None if one is not known."""
        return total(call["response_metadata"].get("saved_usd") for call in self.kept.events)


def is_hit(call: dict[str, Any]) -> bool:
    """Tell whether the gateway's cache answered a call."""
    return call.get("response_metadata", {}).get("cache") in HITS


def used_nothing(call: dict[str, Any]) -> bool:
    """Tell whether a call is known to have used no token."""
    return call.get("tokens_input") == 0 == call.get("tokens_output")


def total(amounts: Iterable[Any]) -> Decimal | None:
    """Return the exact sum of amounts in USD; a sum that lacks one is None."""
    known = list(amounts)
    if None in known:
        return None
    return sum((Decimal(str(amount)) for amount in known), Decimal(0))


@dataclass(frozen=True)
class Reader:
    """Reads what a project has over HTTP, `page` events at a time."""

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

    def gatewayed(self, since: datetime, seconds: float = SECONDS_TO_STORE) -> Gatewayed:
        """Return what went through the gateway since a moment, in UTC.

        The gateway stores what it records a moment after the answer: this waits until all that it
        has counted since its start is there, or the seconds are over.
        """
        deadline = time.monotonic() + seconds
        while True:
            metrics = self._ask("the metrics", "GET", "/metrics") or b""
            made = sum(map(int, CALLS_MADE.findall(metrics.decode())))
            found = Gatewayed(made, self._calls(since))
            if len(found.calls) >= made or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _calls(self, since: datetime) -> tuple[dict[str, Any], ...]:
        calls: list[dict[str, Any]] = []
        asked = {
            "event_types": ["prompt_call"],
            "date_from": since.isoformat(),
            "sort_order": "asc",
            "limit": self.page,
        }
        while True:
            answer = self._ask("the gateway's calls", "POST", "/v1/events/query", asked)
            page = json.loads(answer or b'{"events": [], "has_more": false}')
            calls += page["events"]
            if not page["has_more"]:
                return tuple(calls)
            asked["cursor"] = page["next_cursor"]

    def _page(self, run_id: str, cursor: str) -> dict[str, Any] | None:
        asked = {"limit": self.page, **({"cursor": cursor} if cursor else {})}
        path = f"/v1/runs/{quote(run_id, safe='')}?{urlencode(asked)}"
        answer = self._ask(f"the run {run_id}", "GET", path)
        return None if answer is None else json.loads(answer)

    def _ask(self, what: str, method: str, path: str, asked: Any = None) -> bytes | None:
        """Return the body of an answer, None if there is no such thing."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if asked is None else json.dumps(asked), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(f"The server could not be asked for {what}: {error}.") from error
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise DemoError(
                f"The server answered {answer.status} when asked for {what}.",
                details=body.decode("utf-8", "replace"),
            )
        return body


def read_back(reader: Reader, logged: Iterable[Logged]) -> list[Run]:
    """Return the runs that the logged events belong to, in the order in which they began."""
    programs = {event.run_id: event.program for event in logged}
    return [Run(run_id, program, reader.events(run_id)) for run_id, program in programs.items()]


def missing(logged: Iterable[Logged], runs: Sequence[Run]) -> list[Logged]:
    """Return the logged events that were not found in the run that they were logged under."""
    stored = {(run.run_id, event.get("event_id")) for run in runs for event in run.events}
    return [event for event in logged if (event.run_id, event.event_id) not in stored]
