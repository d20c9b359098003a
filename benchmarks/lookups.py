"""What a lookup by meaning takes, by the clock, and what many questions take of memory."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from watchllm_server.cache import calibrate, embed, verify
from watchllm_server.cache.index import MemoryIndex

if TYPE_CHECKING:
    from watchllm_server.cache.verify import Text, Verdict

ENTRIES = 100_000
SUBJECTS = 2_000
ROUNDS = 200
LONG, SHORT = 250, 32  # tokens, with those of start and end


class Took(NamedTuple):
    """Milliseconds of a lookup, of half of them or less: by the clock, and of all threads' CPU."""

    clock: float
    cpu: float


class Lookups(NamedTuple):
    """What lookups take, by how they end."""

    short_hit: Took
    long_hit: Took
    miss: Took
    refusal: Took


class Large(NamedTuple):
    """What many questions of one scope take."""

    entries: int
    megabytes: float
    milliseconds: float


class Lookup:
    """Look questions up as the gateway does: each step on its thread, and nothing on the loop."""

    def __init__(self, folder: Path) -> None:
        self.model = embed.MiniLM(folder)
        self._verifier = verify.Verifier(folder)
        self._embedder = embed.LocalEmbedder(self.model)
        self._index = MemoryIndex()
        self._texts: list[Text] = []
        self._pool = ThreadPoolExecutor(1)

    async def keep(self, text: str) -> None:
        """Keep a question."""
        vector = await self._embedder.embed(text)
        assert vector is not None
        self._index.add(b"", len(self._texts).to_bytes(4), vector)
        self._texts.append(self._verifier.read(text))

    async def find(self, text: str) -> Verdict | None:
        """Return the best verdict."""
        vector = await self._embedder.embed(text)
        assert vector is not None
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._pool, self._best, text, vector)

    def _best(self, text: str, vector: embed.Vector) -> Verdict | None:
        asked, best = self._verifier.read(text), None
        for key, cosine in self._index.nearest(b"", vector, 3, verify.LEAST_COSINE):
            verdict = self._verifier.judge(asked, self._texts[int.from_bytes(key)], cosine)
            if best is None or verdict.confidence > best.confidence:
                best = verdict
            if verdict.confidence >= verify.THRESHOLD:
                break
        return best


def measure(folder: Path, found: list[list[str]]) -> Lookups:
    """Return what lookups take among the questions of pairs."""
    return asyncio.run(_measure(Lookup(folder), found))


async def _measure(lookup: Lookup, found: list[list[str]]) -> Lookups:
    rows = [row for row in found if _tokens(lookup, row[1]) <= SHORT][:1_500]
    long = [_long(lookup, found[n * 40 : n * 40 + 40]) for n in range(20)]
    for text in [*(row[0] for row in rows), *long]:
        await lookup.keep(text)
    by_end: dict[str, list[Took]] = {}
    for row in rows:
        took, verdict = await _timed(lookup, row[1])
        if verdict is None:
            end = "miss"
        elif verdict.confidence >= verify.THRESHOLD:
            end = "hit"
        else:
            end = "refusal" if verdict.confidence < calibrate.LEVELS[-1] else ""
        by_end.setdefault(end, []).append(took)
    longs = []
    for text in long * 3:
        took, verdict = await _timed(lookup, f"{text} Thank you.")
        assert verdict is not None
        longs.append(took)
    each = (by_end["hit"], longs, by_end["miss"], by_end["refusal"])
    return Lookups(*(Took(*np.median(times, axis=0).tolist()) for times in each))


async def _timed(lookup: Lookup, text: str) -> tuple[Took, Verdict | None]:
    begun, cpu = time.perf_counter(), time.process_time()
    verdict = await lookup.find(text)
    took = Took(1_000 * (time.perf_counter() - begun), 1_000 * (time.process_time() - cpu))
    return took, verdict


def _tokens(lookup: Lookup, text: str) -> int:
    return len(lookup.model.tokens(text) or [0] * (SHORT + 1))


def _long(lookup: Lookup, rows: list[list[str]]) -> str:
    """Return a text of nearly as many tokens as the model reads."""
    text = rows[0][0]
    for row in rows[1:]:
        longer = f"{text} {row[0]}"
        if len(lookup.model.tokens(longer) or [0] * (LONG + 1)) > LONG:
            break
        text = longer
    return text


def large() -> Large:
    """Return what many questions take, in a process of their own."""
    said = subprocess.run(
        [sys.executable, __file__], check=True, capture_output=True, text=True
    ).stdout
    return Large(*json.loads(said))


def _fill() -> Large:
    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    random = np.random.default_rng(7)
    # Questions gather around subjects.
    subjects = random.standard_normal((SUBJECTS, 384), np.float32)

    def vector() -> embed.Vector:
        made = subjects[random.integers(SUBJECTS)] + random.standard_normal(384, np.float32)
        return made / np.linalg.norm(made)

    index, before = MemoryIndex(), resident()
    for n in range(ENTRIES):
        index.add(b"", random.bytes(28) + n.to_bytes(4), vector())
    took = []
    for _ in range(ROUNDS):
        asked = vector()
        begun = time.perf_counter()
        index.nearest(b"", asked, 3, verify.LEAST_COSINE)
        took.append(1_000 * (time.perf_counter() - begun))
    return Large(len(index), resident() - before, float(np.median(took)))


if __name__ == "__main__":
    print(json.dumps(_fill()))
