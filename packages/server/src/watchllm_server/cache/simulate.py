"""What a cache would have saved and risked on calls that were made without one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from watchllm_server.cache import answers
from watchllm_server.cache.calibrate import Estimate, estimate
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.verify import LEAST_COSINE
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from watchllm_server.cache.evaluate import Decision

_USER: Final = "user: "
_CANDIDATES: Final = 3
_SHOWN: Final = 10


class Made(NamedTuple):
    """A call that was made: what it was asked within, the last question, the answer, its cost."""

    scope: bytes
    text: str
    answer: str
    cost: float


class Doubt(NamedTuple):
    """A hit whose stored answer differs from the one that was given."""

    asked: str
    stored: str
    confidence: float


@dataclass
class Outcome:
    """What came of a replay. Costs are in US dollars; `doubts` holds the first ten."""

    calls: int = 0
    cost: float = 0.0
    equal: int = 0
    equal_saved: float = 0.0
    alike: int = 0
    alike_saved: float = 0.0
    compared: int = 0
    different: int = 0
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def error(self) -> Estimate:
        """Return which share of the hits by meaning had another answer, as far as compared."""
        return estimate(self.different, self.compared)


def read_calls(path: Path) -> Iterator[Made]:
    """Yield the answered calls of exported events, in the order of the file.

    Of a conversation, all but its last user turn is the scope; what an event does not hold, such as
    sampling parameters, is not told apart. Raises StartError for a line that is no event.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    event = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    event = None
                if not isinstance(event, dict):
                    raise StartError(f"Line {number} of {path} is no event: export it as jsonl.")
                made = _made(event)
                if made is not None:
                    yield made
    except OSError as error:
        raise StartError(f"The events in {path} cannot be read: {error.strerror}.") from None


def _made(event: dict[str, Any]) -> Made | None:
    prompt, answer = event.get("prompt"), event.get("response")
    if event.get("event_type") != "prompt_call" or event.get("status") != "success":
        return None
    if not (isinstance(prompt, str) and prompt.strip() and isinstance(answer, str) and answer):
        return None
    # A conversation is kept as its turns, each after its role and with an empty line between.
    context, _, text = prompt.rpartition(f"\n\n{_USER}")
    within = [event.get("project_id"), event.get("model"), context]
    scope = hashlib.sha256(msgspec.json.encode(within)).digest()
    cost = event.get("cost_usd")
    return Made(scope, text, answer, float(cost) if isinstance(cost, int | float) else 0.0)


def replay(calls: Iterable[Made], decision: Decision, threshold: float) -> Outcome:
    """Send calls through an empty cache that serves from a threshold on, and never forgets."""
    outcome, index = Outcome(), MemoryIndex()
    equal: dict[tuple[bytes, str], int] = {}
    kept: list[Made] = []
    for call in calls:
        outcome.calls += 1
        outcome.cost += call.cost
        if (call.scope, call.text) in equal:
            outcome.equal += 1
            outcome.equal_saved += call.cost
            continue
        known = decision.known(call.text)
        if known is not None:
            best = (0.0, -1)
            for key, _ in index.nearest(call.scope, known[0], _CANDIDATES, LEAST_COSINE):
                place = int.from_bytes(key)
                verdict = decision.judge(call.text, kept[place].text)
                best = max(best, (verdict.confidence, place))
            if best[0] >= threshold:
                _count(outcome, decision, call, kept[best[1]], best[0])
                continue
            index.add(call.scope, len(kept).to_bytes(8), known[0])
        equal[call.scope, call.text] = len(kept)
        kept.append(call)
    return outcome


def _count(
    outcome: Outcome, decision: Decision, call: Made, stored: Made, confidence: float
) -> None:
    outcome.alike += 1
    outcome.alike_saved += call.cost
    same = answers.same_words(call.answer, stored.answer)
    if same is None:
        left, right = decision.known(call.answer), decision.known(stored.answer)
        if left is None or right is None:
            return
        same = answers.same_meaning(left[0], right[0])
    outcome.compared += 1
    if not same:
        outcome.different += 1
        if len(outcome.doubts) < _SHOWN:
            outcome.doubts.append(Doubt(call.text, stored.text, confidence))
