"""What is asked of a gateway that is measured, whichever it is."""

from __future__ import annotations

import http.client
import json
from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from environments import Environment
from measured import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATH = "/v1/chat/completions"
ANSWER_SECONDS = 60.0  # that a single call may take


class Gateway(Environment, ABC):
    """A product that takes OpenAI's chat requests and passes them on to a provider.

    `ready` is the path that answers 200 once it can be used. `provider` is the port of the provider
    on this machine, which is told before it is started.
    """

    name: str
    ready: str
    provider: int = 0

    def __init__(self, requirements: tuple[str, ...] = ()) -> None:
        self.requirements = requirements

    @property
    def provider_url(self) -> str:
        """The address of the provider's API."""
        return f"http://127.0.0.1:{self.provider}/v1"

    @property
    def missing(self) -> str:
        """What this machine lacks to run it, in words; "" where nothing does."""
        return ""

    @property
    def weighed(self) -> bool:
        """Whether its environment is its own, so that what is installed can be counted."""
        return True

    @abstractmethod
    def command(self, directory: Path, port: int) -> list[str]:
        """Return what starts it on a port, its data in a directory."""

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - for others
        """Return environment variables that it is started with."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """Return what its requests need beside the key."""
        return MappingProxyType({})


def words(port: int, stream: bool, headers: Mapping[str, str]) -> str:
    """Ask one question, and return the words of the answer; RuntimeError if there is none."""
    # Two questions, as a cache may answer a stream with what it has of the same plain call.
    question = "Which source does it name?" if stream else "What does it say?"
    request = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": question}],
        **({"stream": True} if stream else {}),
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request(
            "POST",
            PATH,
            json.dumps(request, separators=(",", ":")).encode(),
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers},
        )
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}: {body[:500]}")
    return _streamed(body) if stream else str(json.loads(body)["choices"][0]["message"]["content"])


def _streamed(body: str) -> str:
    """Return the words of a stream's chunks, which has to end as OpenAI's do."""
    events = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        raise RuntimeError(f"the stream has no end: {body[-200:]}")
    chunks: list[dict[str, Any]] = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)
