"""How often a cache that measures before it serves is wrong: one run from shadow to serve.

    python benchmarks/shadow.py MODEL [--requests 20000] [--rate 0.01] [--minutes 20]

MODEL is the folder that `watchllm models fetch` has made. A real server, with that model, stands
before a provider that answers each question by what it means, so that the truth of each hit is
known. The first part of the requests comes in shadow; as soon as the server's stats show a
threshold, or half of the requests or minutes are gone, the project is set to serve. The questions
are made here: intents, many of which are the opposites of others, about things, in several
wordings; an intent and a thing have one answer. None of them was seen by the verifier.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx2
from gateway import free_port, process
from measured import KEY, PROJECT, measured_on

INTENTS = {
    "return": ("How do I return {}?", "What is the way to return {}?", "I want to return {}, how?"),
    "exchange": (
        "How do I exchange {}?",
        "What is the way to exchange {}?",
        "Can {} be exchanged?",
    ),
    "cancel": ("How do I cancel my order of {}?", "How can I cancel an order of {}?"),
    "change": ("How do I change my order of {}?", "How can I change an order of {}?"),
    "price": ("How much does {} cost?", "What is the price of {}?", "What does {} cost?"),
    "weight": ("How much does {} weigh?", "What is the weight of {}?", "What does {} weigh?"),
    "colours": ("Which colours does {} come in?", "In which colours is {} sold?"),
    "sizes": ("Which sizes does {} come in?", "In which sizes is {} sold?"),
    "on": ("How do I turn {} on?", "How can I switch {} on?", "Where do I turn {} on?"),
    "off": ("How do I turn {} off?", "How can I switch {} off?", "Where do I turn {} off?"),
    "wash": (
        "How do I clean {}?",
        "What is the best way to clean {}?",
        "How should {} be cleaned?",
    ),
    "store": ("How do I store {}?", "What is the best way to store {}?", "How should I store {}?"),
    "guarantee": ("How long is the guarantee of {}?", "How long does the guarantee of {} last?"),
    "delivery": ("How long does the delivery of {} take?", "When will {} be delivered?"),
    "repair": ("Who repairs {}?", "Where can I have {} repaired?", "Who can fix {} for me?"),
    "manual": ("Where is the manual of {}?", "Where do I find the manual for {}?"),
}
THINGS = (
    *("the kettle", "the blue lamp", "the red lamp", "the office chair", "the garden chair"),
    *("the bicycle", "the bicycle lock", "the small speaker", "the big speaker", "the camera"),
)
DRESSES = (
    *("{}", "{}", "Hi, {}", "Hello! {}", "{} Thanks", "Please tell me: {}", "Quick question: {}"),
    *("{} Thank you!", "Good morning. {}", "Sorry, one question. {}", "Hey, {}"),
)
CONCURRENT = 4
LOOKED = 250  # requests between two looks at what is known
MINUTES = 20.0  # after which it ends, however many requests are made


class Told(NamedTuple):
    """What came of a run.

    Of `requests`, those from `begun` on could be served: `exact` were answered because they were
    equal to others, `hits` in other words, of which `wrong` were wrong by the truth. `error` is
    what the server says of its hits: share, low, high and comparisons. Half of the hits took at
    most `milliseconds` by the client's clock.
    """

    requests: int
    begun: int
    earned: bool
    exact: int
    hits: int
    wrong: int
    milliseconds: float
    error: dict[str, float]
    totals: dict[str, Any]
    examples: list[str]

    @property
    def hit_rate(self) -> float:
        """Return the share of hits among what could be served and was equal to nothing before."""
        return self.hits / max(1, self.requests - self.begun - self.exact)

    @property
    def true_error(self) -> float:
        """Return the share of hits that were wrong."""
        return self.wrong / max(1, self.hits)


class Questions:
    """Make questions of which the meaning is known, the same ones each time."""

    def __init__(self) -> None:
        self._chance = random.Random(11)
        self._meanings = [(intent, thing) for intent in INTENTS for thing in THINGS]
        self._chance.shuffle(self._meanings)
        # Some things are asked for far more often than others.
        self._weights = [1 / (rank + 5) for rank in range(len(self._meanings))]
        self.article: dict[str, int] = {}
        """The article that answers a text: one for each meaning."""

    def next(self) -> str:
        """Return a question in one of its wordings."""
        place = self._chance.choices(range(len(self._meanings)), self._weights)[0]
        intent, thing = self._meanings[place]
        asked = self._chance.choice(INTENTS[intent]).format(thing)
        if self._chance.random() < 0.3:
            asked = asked.rstrip("?").lower()
        text = self._chance.choice(DRESSES).format(asked)
        self.article[text] = 1_000 + place
        return text

    def answer(self, text: str) -> str:
        """Return the answer to a text."""
        return f"Please read article {self.article[text]} of our help pages."


async def provider(questions: Questions, port: int) -> asyncio.Server:
    """Serve chat completions that answer by meaning."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                said = questions.answer(asked["messages"][-1]["content"])
                message = {"role": "assistant", "content": said}
                body = json.dumps({
                    "id": "chatcmpl-1", "object": "chat.completion", "created": 1_780_000_000,
                    "model": "gpt-4o-2024-08-06",
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32},
                }).encode()  # fmt: skip
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%s" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


class Run:
    """Send the requests, and count what came back."""

    def __init__(self, client: httpx2.AsyncClient, questions: Questions) -> None:
        self._client = client
        self._questions = questions
        self.sent = self.exact = self.wrong = 0
        self.took: list[float] = []
        self.examples: list[str] = []
        self.is_shadow = True

    async def ask(self) -> None:
        """Ask the next question, and judge the answer."""
        text = self._questions.next()
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        begun = time.perf_counter()
        answer = await self._client.post("/v1/chat/completions", json=body)
        took = 1_000 * (time.perf_counter() - begun)
        said = answer.raise_for_status().json()["choices"][0]["message"]["content"]
        cache = answer.headers["x-watchllm-cache"]
        self.sent += 1
        self.exact += cache == "HIT" and not self.is_shadow
        if cache == "HIT-SEMANTIC":
            self.took.append(took)
            if said != self._questions.answer(text):
                self.wrong += 1
                self.examples.append(f"{text!r}: {said}")
        if self.is_shadow:
            # Nobody waits for a lookup in shadow, and those of a crowd are left out. What is known
            # is told in turn with the lookups: who waits for it does not outrun them.
            await self.stats()

    async def several(self, requests: int) -> None:
        """Ask several questions, a few of them at a time."""
        waiting = iter(range(requests))

        async def work() -> None:
            for _ in waiting:
                await self.ask()

        await asyncio.gather(*(work() for _ in range(CONCURRENT)))

    async def stats(self) -> dict[str, Any]:
        """Return what the server knows of its hits."""
        answer = await self._client.get("/v1/cache/stats")
        found: dict[str, Any] = answer.raise_for_status().json()["semantic"]
        return found

    def tell(self, known: dict[str, Any]) -> None:
        """Print how far it has come."""
        counted = f"{known['compared']} compared, {known['different']} of them different"
        hits = f"{len(self.took)} hits, {self.wrong} wrong"
        print(f"{self.sent:6} sent: {counted}, {hits}", file=sys.stderr, flush=True)


async def run(port: int, upstream: int, requests: int, rate: float, minutes: float) -> Told:
    """Run from shadow to serve, and return what happened."""
    questions = Questions()
    serving = await provider(questions, upstream)
    url = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    ) as client:
        told = Run(client, questions)
        while (known := await told.stats())["status"] == "loading":
            pass
        started, begun, earned = time.monotonic(), 0, False
        while told.sent < requests and (gone := time.monotonic() - started) < 60 * minutes:
            earned = bool(known["groups"]) and known["groups"][0]["threshold"] is not None
            halfway = told.sent >= requests // 2 or gone >= 30 * minutes
            if told.is_shadow and (earned or halfway):
                begun, told.is_shadow = told.sent, False
                change = {"cache_semantic": f"serve:{rate:g}"}
                # Without a key: on its own machine, the server is administered by whoever asks.
                httpx2.patch(f"{url}/v1/admin/projects/{PROJECT}", json=change).raise_for_status()
                print(f"set to serve: {known['groups'][:1]}", file=sys.stderr, flush=True)
                await asyncio.sleep(2)  # a running server heeds it within a second
            await told.several(min(LOOKED, requests - told.sent))
            known = await told.stats()
            if told.sent % 1_000 == 0:
                told.tell(known)
        await asyncio.sleep(2)  # what was compared last is written down
        known = await told.stats()
    serving.close()
    totals = {name: value for name, value in known.items() if name != "groups"}
    hits, took = len(told.took), median(told.took or [0.0])
    error = known["groups"][0]["error"]
    return Told(
        told.sent, begun, earned, told.exact, hits, told.wrong, took, error, totals, told.examples
    )


def measure(
    model: Path, requests: int = 20_000, rate: float = 0.01, minutes: float = MINUTES
) -> Told:
    """Start the server with a model's folder, run, and end it."""
    os.environ.pop("WATCHLLM_DATA_DIR", None)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "models").mkdir()
        (folder / "models" / "all-MiniLM-L6-v2").symlink_to(model.resolve())
        port, upstream = free_port(), free_port()
        settings = {
            "WATCHLLM_INIT_PROJECT_ID": PROJECT,
            "WATCHLLM_INIT_API_KEY": KEY,
            "WATCHLLM_PROVIDER_OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
            "WATCHLLM_CACHE_SEMANTIC": f"shadow:{rate:g}",
        }
        arguments = ("-m", "watchllm_server", "serve", "--port", str(port), "--data-dir", made)
        with process(port, *arguments, **settings):
            return asyncio.run(run(port, upstream, requests, rate, minutes))


def main() -> None:
    """Print what a run came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    given = parser.parse_args()
    print(measured_on(), flush=True)
    told = measure(given.model, given.requests, given.rate, given.minutes)
    print(
        f"{told.requests} requests, those from {told.begun} on while serving: {told.exact} equal"
        f" ones came from the cache, {told.hits} in other words ({told.hit_rate:.1%} of the rest),"
        f" half of these within {told.milliseconds:.1f} ms.\n"
        f"true error: {told.wrong} of {told.hits} hits were wrong, {told.true_error:.2%}\n"
        f"measured error: {told.error['share']:.2%} ({told.error['low']:.2%} to"
        f" {told.error['high']:.2%}) of {told.error['comparisons']:.0f} comparisons;"
        f" allowed {given.rate:.2%}"
    )
    print("\n".join(told.examples[:10]))
    print(json.dumps(told.totals))


if __name__ == "__main__":
    main()
