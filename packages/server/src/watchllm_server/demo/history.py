"""A month of a made-up shop's assistant, so that pages have something to tell at once.

The story: traffic of working days; release 2.4 brings the cache, twelve days ago; a provider fails
for two hours, five days ago; release 2.5, two days ago, moves research to a dearer model and breaks
on some of its answers. The same moment and seed make the same events.
"""

from __future__ import annotations

import itertools
import json
import random
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAYS: Final = 30

_BATCH: Final = 500
_DAY: Final = timedelta(days=1)
_CLIENT: Final = {"sdk_version": "0.2.0", "platform": "linux", "hostname": "assistant-1"}
# No addresses: the server would put one placeholder in the place of them all.
_USERS: Final = (
    "acme-ada", "acme-ben", "globex-chen", "globex-dana",
    "initech-eli", "initech-fatima", "umbrella-goran", "acme-hana",
    "globex-ivan", "stark-julia", "stark-kofi", "wayne-lena",
)  # fmt: skip
_QUESTIONS: Final = (
    ("Where is my order {n}?", "Order {n} left our warehouse yesterday and arrives on Thursday."),
    ("Can I return the blue lamp?", "Yes: within 30 days, unused, with the label in the box."),
    ("Do you ship to Norway?", "We do. It takes four to six working days and costs 12 euros."),
    ("The kettle {n} is broken.", "I am sorry. I have asked for a new one for kettle {n}."),
    ("Change the address of order {n}.", "Done: order {n} goes to the address that you gave."),
    ("Which tent is best for two?", "The Ridge 2: 1.9 kg, and dry in every storm that we tried."),
)
_TOPICS: Final = ("solar panels", "heat pumps", "e-bikes", "winter tents", "espresso machines")
_BROKEN_AT: Final = "Expecting ',' delimiter: line 1 column {}"
_BROKEN: Final = {
    "type": "JSONDecodeError",
    "stack": "Traceback (most recent call last):\n"
    '  File "compare.py", line 88, in table\n'
    "    rows = json.loads(answer)",
}
_OUTAGE: Final = {"type": "RateLimitError", "code": "429"}


@dataclass(frozen=True, slots=True)
class _Moment:
    """When something happens, and what was live then."""

    at: datetime
    age: timedelta
    """How long before the end of the story."""

    @property
    def release(self) -> str:
        return "2.5.0" if self.age < 2 * _DAY else "2.4.1" if self.age < 12 * _DAY else "2.3.0"

    @property
    def has_cache(self) -> bool:
        return self.age < 12 * _DAY

    @property
    def is_outage(self) -> bool:
        return 5 * _DAY < self.age < 5 * _DAY + timedelta(hours=2)

    def later(self, milliseconds: float) -> _Moment:
        """Return the moment after some work."""
        step = timedelta(milliseconds=milliseconds)
        return _Moment(self.at + step, self.age - step)


def history(until: datetime, *, days: int = DAYS, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Return the events of the days before a moment, as the wire has them, run by run.

    There are about 200 a day. The last ones happen in the hour before `until`.
    """
    for hour in range(24 * days, 0, -1):
        chance = random.Random(f"{seed} {hour}")  # noqa: S311 - a story, no secret
        begin = until - timedelta(hours=hour)
        busy = (0.35 if begin.weekday() > 4 else 1) * (1.6 if 8 <= begin.hour < 18 else 0.5)  # noqa: PLR2004 - the days and hours of work
        for number in range(round(chance.uniform(2, 5) * busy) + 1):
            since = timedelta(minutes=chance.uniform(0, 59))
            moment = _Moment(begin + since, timedelta(hours=hour) - since)
            yield from _Run(chance, moment, f"{seed}-{hour}-{number}").events()


def send(address: str, key: str, events: Iterable[dict[str, Any]]) -> int:
    """Send events to a server in batches, and return how many it took.

    Raises OSError when it cannot be reached or refuses, and ValueError when it rejects an event.
    """
    waiting, taken = iter(events), 0
    while batch := list(itertools.islice(waiting, _BATCH)):
        request = urllib.request.Request(  # noqa: S310 - the address is that of our own server
            f"{address}/v1/events/batch",
            json.dumps({"events": batch}).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            told = json.load(answer)
        if told["total_errors"]:
            raise ValueError(f"The server rejected events: {told['errors'][:3]}")
        taken += len(batch)
    return taken


class _Run:
    """One conversation, research or extraction."""

    def __init__(self, chance: random.Random, moment: _Moment, name: str) -> None:
        self._chance = chance
        self._moment = moment
        self._kind = chance.choices(("chat", "research", "extract"), (6, 2, 3))[0]
        self._shared = {
            "run_id": f"{self._kind}-{uuid.uuid5(uuid.NAMESPACE_URL, name).hex[:12]}",
            "user_id": chance.choices(_USERS, range(len(_USERS), 0, -1))[0],
            "env": "staging" if chance.random() < 0.12 else "production",  # noqa: PLR2004 - a share
            "release": moment.release,
            "client": _CLIENT,
        }

    def events(self) -> Iterator[dict[str, Any]]:
        """Return the run's events in order."""
        yield from {"chat": self._chat, "research": self._research, "extract": self._extract}[
            self._kind
        ]()

    def _chat(self) -> Iterator[dict[str, Any]]:
        for _ in range(self._chance.randint(1, 3)):
            number = self._chance.randint(20_000, 29_999)
            asked, told = (text.format(n=number) for text in self._chance.choice(_QUESTIONS))
            yield self._call(
                "gpt-4o-mini",
                asked,
                told,
                latency=self._chance.lognormvariate(6.6, 0.4),
                tags=["chat", "support"],
                prompt_template_id="support-v2" if self._moment.has_cache else "support-v1",
                cacheable=True,
            )
        if self._chance.random() < 0.02:  # noqa: PLR2004 - a share
            yield self._event(
                "hallucination_detected",
                detection_method="ground_truth_verification",
                confidence_score=0.86,
                flagged_content="arrives on Thursday",
                ground_truth="arrives on Friday",
                recommendations=["Give the model the tracking events."],
                tags=["chat", "support"],
            )

    def _research(self) -> Iterator[dict[str, Any]]:
        topic = self._chance.choice(_TOPICS)
        dearer = self._moment.release == "2.5.0"
        model = "claude-sonnet-4-5" if dearer else "gpt-4o"
        yield self._step(1, "Plan", "reasoning", {"topic": topic}, {"questions": 3}, latency=180)
        for number in (2, 3):
            found = {"results": self._chance.randint(3, 9)}
            yield self._step(
                number, "Search the catalogue", "tool_call", {"query": topic}, found, latency=240
            )
        yield self._call(
            model,
            f"Compare the five best-selling {topic} by price, warranty and reviews.",
            f"Of the {topic}, the first is the cheapest and the third lasts longest ...",
            latency=self._chance.lognormvariate(8.4 if dearer else 7.9, 0.3),
            tags=["research", "agent"],
            prompt_template_id="compare-v3" if dearer else "compare-v2",
            scale=12,
        )
        if dearer and self._chance.random() < 0.3:  # noqa: PLR2004 - a share
            yield self._event(
                "error",
                error={**_BROKEN, "message": _BROKEN_AT.format(self._moment.at.second + 40)},
                tags=["research", "agent"],
            )
        yield self._step(
            4, "Write the comparison", "output", {"rows": 5}, {"sent": True}, latency=35
        )

    def _extract(self) -> Iterator[dict[str, Any]]:
        number = self._chance.randint(100, 999)
        model = self._chance.choices(("gpt-4o-mini", "shop-extractor-8b"), (4, 1))[0]
        yield self._call(
            model,
            f"Extract the number and the total: Invoice {number}, 3 items, total 84.50 EUR.",
            f'{{"invoice": {number}, "total": 84.5}}',
            latency=self._chance.lognormvariate(6.0, 0.3),
            tags=["extract", "invoices"],
            prompt_template_id="extract-v1",
            cacheable=True,
        )
        if self._chance.random() < 0.04:  # noqa: PLR2004 - a share
            yield self._event(
                "assertion_failed",
                assertion_name="total is a number",
                assertion_type="response_format",
                expected="number",
                actual='"84,50"',
                severity="medium",
                tags=["extract", "invoices"],
            )

    def _call(
        self,
        model: str,
        prompt: str,
        response: str,
        *,
        latency: float,
        tags: list[str],
        prompt_template_id: str,
        scale: int = 1,
        cacheable: bool = False,
    ) -> dict[str, Any]:
        tokens = {
            "tokens_input": round(self._chance.lognormvariate(6.2, 0.4)) * scale,
            "tokens_output": round(self._chance.lognormvariate(4.6, 0.4)) * scale,
        }
        fields: dict[str, Any] = {"status": "success", "response": response}
        provider = "anthropic" if model.startswith("claude") else "openai"
        metadata: dict[str, Any] = {"provider": provider} if "shop" not in model else {}
        if self._moment.is_outage and model.startswith("gpt"):
            message = f"Rate limit reached for {model}: retry after {self._chance.randint(2, 30)} s"
            fields = {"status": "error", "response": "", "error": {**_OUTAGE, "message": message}}
            tokens["tokens_output"] = 0
        elif self._chance.random() < 0.008:  # noqa: PLR2004 - a share
            latency = 30_000
            error = {"type": "APITimeoutError", "message": "Request timed out."}
            fields = {"status": "timeout", "response": "", "error": error}
            tokens["tokens_output"] = 0
        elif cacheable and self._moment.has_cache and "shop" not in model:
            hit = self._chance.random() < 0.35  # noqa: PLR2004 - a share
            metadata["cache"] = "MISS"
            if hit:
                saved = (0.15 * tokens["tokens_input"] + 0.6 * tokens["tokens_output"]) / 1e6
                metadata |= {"cache": self._chance.choice(("HIT", "HIT", "HIT-SEMANTIC"))}
                metadata["saved_usd"] = round(saved, 9)
                fields["cost_estimate_usd"] = 0
                latency = self._chance.uniform(2, 9)
        return self._event(
            "prompt_call",
            latency=latency,
            prompt=prompt,
            model=model,
            tags=tags,
            prompt_template_id=prompt_template_id,
            response_metadata=metadata,
            **tokens,
            **fields,
        )

    def _step(
        self, number: int, name: str, kind: str, given: Any, made: Any, *, latency: float
    ) -> dict[str, Any]:
        return self._event(
            "agent_step",
            latency=latency,
            step_number=number,
            step_name=name,
            step_type=kind,
            input_data=given,
            output_data=made,
            status="success",
            tags=["research", "agent"],
        )

    def _event(self, kind: str, *, latency: float = 0, **fields: Any) -> dict[str, Any]:
        """Return an event that ends `latency` milliseconds after the one before it."""
        self._moment = self._moment.later(latency + self._chance.uniform(5, 400))
        if latency:
            fields["latency_ms"] = round(latency, 1)
        at = self._moment.at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return {
            "event_id": str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            "event_type": kind,
            "timestamp": f"{at}Z",
            **self._shared,
            **fields,
        }
