"""Events of a real size, a sink that takes them, and a bounded HTTP load."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

WORDS = re.findall(
    r"\w+",
    "the model answers with a short summary of each document and names its source so that "
    "people can check what was said and when because an answer without evidence is worth "
    "little to anyone who has to decide what the customer is told about price delivery "
    "warranty and the next step",
)


def text(characters: int, seed: random.Random) -> str:
    """Return English-like text of about so many characters, different at every call."""
    words: list[str] = []
    length = 0
    while length < characters:
        word = seed.choice(WORDS)
        if seed.random() < 0.1:
            word = f"{word}{seed.randrange(1000)}"
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:characters]


def prompt_call(seed: random.Random, project_id: str) -> dict[str, object]:
    """Return one prompt call of about 3.6 kB of JSON, as the SDK would send it."""
    return {
        "event_id": str(uuid.UUID(int=seed.getrandbits(128), version=4)),
        "event_type": "prompt_call",
        "project_id": project_id,
        "run_id": f"run-{seed.randrange(100_000)}",
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "env": "production",
        "tags": ["bench", f"team-{seed.randrange(8)}"],
        "user_id": f"user-{seed.randrange(5_000)}",
        "release": "1.2.0",
        "client": {"sdk_version": "0.2.0", "platform": "bench", "hostname": "bench"},
        "prompt": text(2_048, seed),
        "response": text(1_024, seed),
        "model": seed.choice(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]),
        "tokens_input": seed.randrange(50, 900),
        "tokens_output": seed.randrange(20, 400),
        "latency_ms": seed.randrange(200, 5_000),
        "status": "success",
        "response_metadata": {"finish_reason": "stop", "request": f"req-{seed.randrange(10**9)}"},
    }


# What the SDK sends it has redacted, so that the server does not by default.
SDK = {"User-Agent": "watchllm-python/0.2.0"}


@dataclass
class Result:
    """What a load saw: seconds per answer, events stored, answers by status."""

    seconds: list[float] = field(default_factory=list)
    stored: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    wall: float = 0.0


class Connection:
    """One keep-alive connection to the server, by as little code as can be: it shares the cores."""

    def __init__(
        self, headers: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, key: str, headers: Mapping[str, str]) -> Connection:
        """Connect to a port of this machine; `headers` are sent with each request."""
        sent = {"Host": "127.0.0.1", "Authorization": f"Bearer {key}", **headers}
        return cls(sent, *await asyncio.open_connection("127.0.0.1", port, limit=2**20))

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.decode().lower().split("\r\n")
        length = next(int(h.split(":")[1]) for h in lines if h.startswith("content-length"))
        return int(lines[0].split()[1]), await self._reader.readexactly(length)

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


async def probe(port: int, key: str, events: list[dict[str, object]], apart: float) -> list[float]:
    """Send single events so many seconds apart; return how long until the server showed each.

    An event is asked for by its id once it was answered, and again until it is there.
    """

    async def one(number: int, event: dict[str, object]) -> float:
        due = started + number * apart
        await asyncio.sleep(max(0, due - time.perf_counter()))
        connection = await Connection.open(port, key, SDK | {"Content-Type": "application/json"})
        body = json.dumps({"events": [event]}).encode()
        status, content = await connection.ask("POST", "/v1/events/batch", body)
        if status != 200:
            raise SystemExit(f"a probe was answered {status}: {content[:200]!r}")
        status = 0
        while status != 200:
            status, _ = await connection.ask("GET", f"/v1/events/{event['event_id']}")
        seconds = time.perf_counter() - due
        await connection.close()
        return seconds

    started = time.perf_counter()
    return await asyncio.gather(*(one(number, event) for number, event in enumerate(events)))


async def post_all(
    port: int,
    key: str,
    bodies: list[bytes],
    connections: int,
    *,
    per_second: float | None = None,
    path: str = "/v1/events/batch",
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    stored: Callable[[bytes], int] = lambda content: json.loads(content)["total_processed"],
) -> Result:
    """Post every body once over so many keep-alive connections, as fast as they are answered.

    With `per_second` each body is due at its own moment, at that rate, and the seconds of an answer
    count from there: a server that falls behind cannot hide it. `stored` tells from an answer of
    200 how many events it means. `headers` are sent beside those of every request.
    """
    sent = {"Content-Type": content_type, **(headers or {})}
    result = Result()
    waiting = enumerate(bodies)
    started = time.perf_counter()

    async def one_connection() -> None:
        connection = await Connection.open(port, key, sent)
        for number, body in waiting:
            due = time.perf_counter()
            if per_second is not None:
                due = started + number / per_second
                await asyncio.sleep(max(0, due - time.perf_counter()))
            status, content = await connection.ask("POST", path, body)
            result.seconds.append(time.perf_counter() - due)
            result.statuses[status] = result.statuses.get(status, 0) + 1
            if status == 200:
                result.stored += stored(content)
        await connection.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    result.wall = time.perf_counter() - started
    return result


def percentile(values: list[float], share: float) -> float:
    """Return the value below which so large a share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
