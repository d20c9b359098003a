"""How often a cache that measures before it serves is wrong: one run from shadow to serve.

    python benchmarks/shadow.py MODEL [--requests 20000] [--rate 0.01]

MODEL is the folder that `watchllm models fetch` has made. A real server, with that model, stands
before a provider that answers each question by what it means, so that the truth of each hit is
known. The first part of the requests comes in shadow; as soon as the server's stats show a
threshold, or half of the requests are made, the project is set to serve. The questions are made
here: intents, many of which are the opposites of others, about things, in several wordings; an
intent and a thing have one answer. None of them was seen by the verifier.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

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
# Seconds between the requests of one client: a shadow that is outrun leaves lookups out.
PAUSE = 0.05
LOOKED = 250  # requests between two looks at the stats


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
        self.exact = self.hits = self.wrong = self.missed = 0
        self.examples: list[str] = []

    async def ask(self) -> None:
        """Ask the next question, and judge the answer."""
        text = self._questions.next()
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        answer = await self._client.post("/v1/chat/completions", json=body)
        said = answer.json()["choices"][0]["message"]["content"]
        cache = answer.headers["x-watchllm-cache"]
        if cache == "HIT-SEMANTIC":
            self.hits += 1
            if said != self._questions.answer(text):
                self.wrong += 1
                self.examples.append(f"{text!r}: {said}")
        else:
            self.exact += cache != "MISS"
            self.missed += cache == "MISS"

    def tell(self, sent: int, known: dict[str, Any]) -> None:
        """Print how far it has come."""
        counted = f"{known['compared']} compared, {known['different']} of them different"
        print(f"{sent:6} sent: {counted}, {self.hits} hits, {self.wrong} wrong", flush=True)

    async def stats(self) -> dict[str, Any]:
        """Return what the server knows of its hits."""
        found: dict[str, Any] = (await self._client.get("/v1/cache/stats")).json()["semantic"]
        return found


async def run(port: int, upstream: int, requests: int, rate: float) -> None:
    """Run from shadow to serve, and print what happened."""
    questions = Questions()
    serving = await provider(questions, upstream)
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    ) as client:
        told = Run(client, questions)
        while (await told.stats())["status"] == "loading":
            pass
        begun = 0
        for sent in range(0, requests, LOOKED):
            known = await told.stats()
            earned = known["groups"] and known["groups"][0]["threshold"] is not None
            if not begun and (earned or sent >= requests // 2):
                begun = sent
                change = {"cache_semantic": f"serve:{rate:g}"}
                # Without a key: on its own machine, the server is administered by whoever asks.
                url = f"http://127.0.0.1:{port}/v1/admin/projects/{PROJECT}"
                httpx2.patch(url, json=change).raise_for_status()
                print(f"set to serve after {sent} requests: {known['groups'][:1]}", flush=True)
                await asyncio.sleep(2)  # a running server heeds it within a second
            if sent % 2_500 == 0:
                told.tell(sent, known)
            waiting = iter(range(LOOKED))

            async def work(waiting: Any = waiting) -> None:
                for _ in waiting:
                    await told.ask()
                    await asyncio.sleep(PAUSE)

            await asyncio.gather(*(work() for _ in range(CONCURRENT)))
        await asyncio.sleep(2)
        known = await told.stats()
    serving.close()
    served = requests - begun
    error = known["groups"][0]["error"]
    true = told.wrong / max(1, told.hits)
    print(
        f"{requests} requests, {served} of them while serving: {told.exact} equal ones came from"
        f" the cache, {told.hits} in other words ({told.hits / max(1, served):.1%} of those while"
        f" serving), {told.missed} from the provider.\n"
        f"true error: {told.wrong} of {told.hits} hits were wrong, {true:.2%}\n"
        f"measured error: {error['share']:.2%} ({error['low']:.2%} to {error['high']:.2%}) of"
        f" {error['comparisons']:.0f} comparisons; allowed {rate:.2%}"
    )
    print("\n".join(told.examples[:10]))
    print(json.dumps({name: value for name, value in known.items() if name != "groups"}))


def main() -> None:
    """Start the server, run, and end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0.01)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    (folder / "models").mkdir()
    (folder / "models" / "all-MiniLM-L6-v2").symlink_to(given.model.resolve())
    port, upstream = free_port(), free_port()
    settings = {
        "WATCHLLM_INIT_PROJECT_ID": PROJECT,
        "WATCHLLM_INIT_API_KEY": KEY,
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "WATCHLLM_CACHE_SEMANTIC": f"shadow:{given.rate:g}",
    }
    arguments = ("-m", "watchllm_server", "serve", "--port", str(port), "--data-dir", str(folder))
    print(measured_on())
    with process(port, *arguments, **settings):
        asyncio.run(run(port, upstream, given.requests, given.rate))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.environ.pop("WATCHLLM_DATA_DIR", None)
    main()
