"""From one request through the gateway to the event that tells of it."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from watchllm_server import rows
from watchllm_server.jsontext import is_deeper_than
from watchllm_server.limits import Who, shown_amount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from watchllm_server.fields import Status
    from watchllm_server.gateway.shapes.base import Answer, Asked
    from watchllm_server.limits import Limiter, Reached

_log = logging.getLogger(__name__)
_random = random.Random()  # noqa: S311 - seeded by the system; ids, no secrets

MAX_TEXT: Final = 1_000_000
"""Characters that the prompt and the response of an event may have; the rest is cut."""

_CUT = " [TRUNCATED: larger than an event may be]"
_CLIENT: Final = {"sdk_version": "watchllm-gateway", "platform": "gateway"}
SEMANTIC: Final = "HIT-SEMANTIC"
_HITS: Final = frozenset({"HIT", SEMANTIC, "HIT-COALESCED"})
_OK = 200
# English has about four bytes a token, and other scripts, of more bytes a character, fewer of them.
_BYTES_PER_TOKEN = 4
_MAX_LEVELS = 50
# Shorter ones, as the "none" that local servers are given, would be found in any text.
_SHORTEST_KEY = 8
_KEY_WAS = b"[provider key]"
_encode = msgspec.json.encode


class Fault(msgspec.Struct, frozen=True):
    """What went wrong, in words that hold no key: the provider's own message, or ours."""

    message: str
    type: str = ""
    code: str = ""


class Near(msgspec.Struct, frozen=True):
    """A stored answer to another wording of a question.

    `serves` says whether the confidence is one that the project's evidence allows to serve;
    `saved_usd` is what the answer had cost.
    """

    event_id: str
    confidence: float
    similarity: float
    serves: bool
    saved_usd: float | None


def new_id() -> str:
    """Return a UUID of version 7, so that ids sort by time."""
    # No secret: what must be is that no two are the same. A call of the system would cost more than
    # all else here, and gives up the interpreter's lock.
    number = (time.time_ns() // 1_000_000) << 80 | _random.getrandbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True, kw_only=True)
class Call:
    """What is known of one request while it passes; whoever learns something writes it here.

    Moments are those of one monotonic clock, in seconds; only `at` is a time of day, in UTC. Its
    repr has nothing that a user or a provider wrote.
    """

    project: str
    shape: str
    """Name of the API's shape, as in openai.chat."""
    started: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    event_id: str = field(default_factory=new_id)
    key_id: int = 0
    """Of the key that opened the project."""
    provider: str = ""
    price_id: str = ""
    """The provider's name in the price lists, where it differs."""
    model: str = ""
    """The model's name at the provider, without the provider's prefix."""
    asked: Asked | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)
    first_byte: float | None = None
    ended: float | None = None
    status: Status = "success"
    http_status: int = _OK
    error: Fault | None = field(default=None, repr=False)
    cache: str = ""
    """HIT, HIT-SEMANTIC, HIT-COALESCED, MISS or BYPASS; empty where no cache was asked."""
    near: Near | None = None
    """The stored answer to another wording: the one that was given, or that would have been."""
    saved_usd: float | None = None
    """What a hit would have cost; None when that is unknown."""
    comparison_of: str = ""
    """The event of the hit whose answer this call was made to be compared with."""
    fallback_from: str = ""
    """The target that was asked first and failed, as provider/model."""
    attempts: int = 1
    complete: bool = True
    """Whether the answer came to its end; otherwise its tokens are at least what was seen."""
    disconnected: bool = False
    overhead_ms: float | None = None
    keys: tuple[str, ...] = field(default=(), repr=False)
    """The provider keys that were sent for it, of which nothing may be recorded."""
    request_id: str = ""
    """The provider's id of the request."""
    run_id: str = ""
    user_id: str = ""
    tags: tuple[str, ...] = ()
    release: str = ""
    env: str = ""
    passed_on: str = ""
    """Method and path of a request of no known shape: it was passed on unread, and is a step."""

    @property
    def who(self) -> Who:
        """Return who makes the call, as limits are counted."""
        return Who(self.project, self.key_id, self.user_id)

    @property
    def is_hit(self) -> bool:
        """Return whether the answer came from the cache or from another's request."""
        return self.cache in _HITS


class Tokens(msgspec.Struct, frozen=True):
    """How many tokens a call used, and whether that is an estimate from the size of its texts."""

    given: int
    made: int
    estimated: bool = False


def tokens(call: Call) -> Tokens:
    """Return a call's tokens as the provider counted them, else estimated from its texts.

    A failed call without an answer used none.
    """
    answer = call.answer
    if answer is None:
        return Tokens(0, 0)
    usage = answer.usage or {}
    given = _count(usage, "prompt_tokens", "input_tokens")
    made = _count(usage, "completion_tokens", "output_tokens")
    if made is None and given is not None and call.shape == "openai.embeddings":
        made = 0
    if given is not None and made is not None and call.complete:
        return Tokens(given, made)
    if given is None:
        given = _estimate(call.asked.prompt) if call.asked else 0
    seen = _estimate(answer.text) + sum(_estimate(_text(c, "arguments")) for c in answer.tool_calls)
    return Tokens(given, max(made or 0, seen), estimated=True)


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
    return None


def _estimate(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def priced(call: Call) -> rows.Call:
    """Return what the price of a call depends on, so that a header says what the event will."""
    used = tokens(call)
    told = _without_nothing(
        provider=call.provider,
        price_id=call.price_id,
        usage=_usage(call),
    )
    return rows.Call(
        model=call.model,
        at=call.at,
        tokens_input=used.given,
        tokens_output=used.made,
        response_metadata=_encode(told),
        cost_estimate_usd=b"0" if call.is_hit else None,
    )


def worth(call: Call) -> rows.Call:
    """Return what the price of a call depends on, as if its answer had not been a kept one."""
    return msgspec.structs.replace(priced(call), cost_estimate_usd=None)


def event_of(call: Call) -> dict[str, Any]:
    """Return the event of a call, as the wire has it. A call without a run is a run of its own."""
    event = _step(call) if call.passed_on else _prompt_call(call)
    event["latency_ms"] = _milliseconds(call.started, call.ended) or 0
    event["status"] = call.status
    if call.error is not None:
        event["error"] = _without_nothing(**msgspec.structs.asdict(call.error)) | {
            "message": call.error.message
        }
    for name in ("user_id", "release", "env"):
        if value := getattr(call, name):
            event[name] = value
    if call.tags:
        event["tags"] = list(call.tags)
    return event


def _head(call: Call, event_type: str, event_id: str) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": event_type,
        "project_id": call.project,
        "run_id": call.run_id or f"run-{call.event_id}",
        "timestamp": f"{call.at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z",
        "client": _CLIENT,
    }


def _step(call: Call) -> dict[str, Any]:
    """Return what is known of a request that was passed on unread."""
    return _head(call, "agent_step", call.event_id) | {
        "step_number": 0,
        "step_name": call.passed_on,
        "step_type": "tool_call",
        "input_data": {},
        "output_data": _without_nothing(
            provider=call.provider,
            http_status=call.http_status,
            request_id=call.request_id,
            attempts=call.attempts if call.attempts > 1 else None,
            disconnected=call.disconnected,
        ),
    }


def _prompt_call(call: Call) -> dict[str, Any]:
    used = tokens(call)
    answer = call.answer
    event = _head(call, "prompt_call", call.event_id) | {
        "prompt": _cut(call.asked.prompt) if call.asked else "",
        "response": _cut(answer.text) if answer else "",
        "model": call.model or (call.asked.model if call.asked else ""),
        "tokens_input": used.given,
        "tokens_output": used.made,
        "response_metadata": _metadata(call, used),
    }
    if call.is_hit:
        event["cost_estimate_usd"] = 0
    if answer is not None:
        if answer.model and answer.model != call.model:
            event["model_version"] = answer.model
        if answer.tool_calls:
            event["tool_calls"] = [_tool_call(asked) for asked in answer.tool_calls]
    return event


def _metadata(call: Call, used: Tokens) -> dict[str, Any]:
    answer = call.answer
    return _without_nothing(
        provider=call.provider,
        price_id=call.price_id,
        api=call.shape,
        http_status=call.http_status,
        request_id=call.request_id,
        finish_reason=answer.finish_reason if answer else "",
        usage=_usage(call),
        usage_estimated=used.estimated,
        stream=call.asked.stream if call.asked else False,
        first_byte_ms=_milliseconds(call.started, call.first_byte),
        overhead_ms=None if call.overhead_ms is None else round(call.overhead_ms, 3),
        cache=call.cache,
        similarity=call.near.similarity if call.near and call.cache == SEMANTIC else None,
        saved_usd=call.saved_usd,
        **_near(call),
        comparison_of=call.comparison_of,
        fallback_from=call.fallback_from,
        attempts=call.attempts if call.attempts > 1 else None,
        incomplete=not call.complete,
        disconnected=call.disconnected,
    )


def _near(call: Call) -> dict[str, Any]:
    """Return the stored answer to another wording, by whether it was given out."""
    if call.near is None or (call.is_hit and call.cache != SEMANTIC):
        return {}
    return {"hit" if call.is_hit else "would_hit": msgspec.structs.asdict(call.near)}


def _usage(call: Call) -> dict[str, Any] | None:
    """Return the provider's usage, unless it is nested as none is, which no store would take."""
    usage = call.answer.usage if call.answer else None
    return None if usage is not None and is_deeper_than(_MAX_LEVELS, _encode(usage)) else usage


def _without_nothing(**values: Any) -> dict[str, Any]:
    """Leave out what says nothing: None, an empty text, and a flag that is not set."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value is not False and value != ""
    }


def _milliseconds(begun: float, ended: float | None) -> float | None:
    return None if ended is None else round(max(0.0, ended - begun) * 1_000, 3)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + _CUT


def _tool_call(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Tell of a tool that the model asked for; whether and how it ran, the gateway never learns."""
    arguments = _cut(_text(asked, "arguments"))
    try:
        # Deeper than the store would take, they stay the text that the model wrote.
        deep = is_deeper_than(_MAX_LEVELS, arguments.encode("utf-8", "replace"))
        given = arguments if deep else msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        given = arguments
    told = {
        "tool_name": _text(asked, "name"),
        "input": given,
        "output": None,
        "latency_ms": 0,
        "status": "success",
    }
    if identity := _text(asked, "id"):
        told["tool_id"] = identity
    return told


class Lines(Protocol):
    """What keeps events until they are stored."""

    def append(self, line: bytes) -> bool:
        """Keep one event's JSON; return False when it was dropped and counted."""
        ...


class Pricing(Protocol):
    """What knows the cost of a call."""

    def cost(self, call: rows.Call, project_id: str) -> Decimal | None:
        """Return the cost of a project's call in US dollars, or None when it is not known."""
        ...


class Ledger:
    """Record calls, and count what they use. Used by the event loop's thread alone.

    `cost` returns the price of a project's call at once, or None; only limits need it here.
    """

    def __init__(
        self,
        lines: Lines,
        limiter: Limiter | None = None,
        cost: Callable[[rows.Call, str], Decimal | None] = lambda _, __: None,
    ) -> None:
        self._lines = lines
        self._limiter = limiter
        self._cost = cost
        self.failures = 0
        """Calls that could not be made into an event, which is a mistake of ours."""

    def record(self, call: Call) -> None:
        """Write a call down. It never raises and never waits: the user's call comes first."""
        try:
            if self._limiter is not None and self._limiter.concerns(call.project):
                self._count(self._limiter, call)
            self._lines.append(_line(call))
        except Exception as error:  # noqa: BLE001 - whatever it was, the user's call goes on
            self.failures += 1
            # The text of the error may hold what the user wrote.
            _log.error("A call could not be recorded: %s", type(error).__name__)

    def _count(self, limiter: Limiter, call: Call) -> None:
        # A hit asks nothing of the provider, whose limits and prices these are.
        if not call.is_hit:
            used = tokens(call)
            cost = self._cost(priced(call), call.project)
            limiter.count(call.who, used.given + used.made, cost)
        for reached in limiter.reached():
            self._lines.append(_encode(alert_of(reached, call)))


def alert_of(reached: Reached, call: Call) -> dict[str, Any]:
    """Return the event of a limit that warns, in the run of the call that reached it."""
    limit, counted, used = reached
    minutes = {"minute": 1, "day": 1_440, "month": 44_640}
    whose = f"{counted.scope} {counted.subject}".strip()
    return _head(call, "performance_alert", new_id()) | {
        "alert_type": "cost_spike" if limit.unit == "usd" else "token_limit",
        "threshold": float(shown_amount(limit.amount, limit.unit)),
        "actual_value": float(shown_amount(used, limit.unit)),
        "window_minutes": minutes[limit.per],
        "affected_models": [call.model] if call.model else [],
        "severity": "medium",
        "limit": f"{limit.unit} of {whose} per {limit.per}",
    }


def _line(call: Call) -> bytes:
    event = event_of(call)
    try:
        line = _encode(event)
    except UnicodeEncodeError:
        line = _encode(_mended(event))
    # A provider that refuses a key may quote it in its error.
    for key in call.keys:
        if len(key) >= _SHORTEST_KEY:
            line = line.replace(key.encode("utf-8", "replace"), _KEY_WAS)
    return line


def _mended(value: Any) -> Any:
    """Return a value whose texts have no lone halves of surrogate pairs: no UTF-8 holds them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(name): _mended(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(each) for each in value]
    return value
