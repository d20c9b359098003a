"""Vectors from any endpoint that speaks OpenAI's POST /embeddings."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watchllm_server.cache.embed import Vector

    Post = Callable[[bytes], Awaitable[bytes]]
    """Send a JSON body and return the body of a successful answer; raise ModelError for another."""

MAX_CHARACTERS: Final = 8_000
"""Of longer texts no vector is asked for: models cut them, and their starts would stand for all."""
AT_ONCE: Final = 4
"""Requests that are under way at once; what comes meanwhile goes together in the next."""
TEXTS: Final = 64
"""Texts that one request carries."""
WAITING: Final = 1_000
"""Texts that may wait; the lookup of a further one finds nothing, and its request goes on."""


class _Datum(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Answer(msgspec.Struct):
    data: list[_Datum]


_answer: Final = msgspec.json.Decoder(_Answer).decode


class EndpointEmbedder:
    """Ask an endpoint for vectors, of many texts at once where many wait. Used on one event loop.

    `name` tells its vectors from those of others, and `model` is what the endpoint calls it.
    """

    def __init__(self, name: str, model: str, post: Post) -> None:
        self.name = name
        self._model = model
        self._post = post
        self._waiting: deque[tuple[str, asyncio.Future[Vector]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def embed(self, text: str) -> Vector | None:
        """Return the vector that the endpoint gives; None for a text that is empty or too long.

        Raises ModelError where the endpoint fails, and where too many texts wait for it.
        """
        if not text.strip() or len(text) > MAX_CHARACTERS:
            return None
        if len(self._waiting) >= WAITING:
            raise ModelError(f"{WAITING:,} texts wait for the embeddings endpoint")
        found: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, found))
        self._send_on()
        return await found

    def close(self) -> None:
        """End what is under way; the connection belongs to whoever sends."""
        for task in self._under_way:
            task.cancel()
        while self._waiting:
            _fail([self._waiting.popleft()], _CLOSED)

    def _send_on(self) -> None:
        while self._waiting and len(self._under_way) < AT_ONCE:
            batch = [self._waiting.popleft() for _ in range(min(TEXTS, len(self._waiting)))]
            # Whoever has gone meanwhile is not asked for.
            batch = [each for each in batch if not each[1].done()]
            if batch:
                task = asyncio.get_running_loop().create_task(self._ask(batch))
                self._under_way.add(task)
                task.add_done_callback(partial(self._done, batch))

    def _done(
        self, batch: list[tuple[str, asyncio.Future[Vector]]], task: asyncio.Task[None]
    ) -> None:
        # A task that is ended before it has begun tells nobody itself.
        _fail(batch, _CLOSED)
        self._under_way.discard(task)
        self._send_on()

    async def _ask(self, batch: list[tuple[str, asyncio.Future[Vector]]]) -> None:
        try:
            vectors = await self._vectors([text for text, _ in batch])
        except ModelError as error:
            _fail(batch, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            _fail(batch, f"the embeddings endpoint cannot be asked: {type(error).__name__}")
        else:
            for (_, found), vector in zip(batch, vectors, strict=True):
                if not found.done():
                    found.set_result(vector)

    async def _vectors(self, texts: list[str]) -> list[Vector]:
        """Return the vectors of texts, in their order."""
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            data = _answer(await self._post(msgspec.json.encode(body))).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"the embeddings endpoint answered something else: {error}") from None
        data.sort(key=lambda datum: datum.index)
        if len(data) != len(texts):
            raise ModelError(
                f"the embeddings endpoint gave {len(data)} vectors for {len(texts)} texts"
            )
        return [_unit(datum.embedding) for datum in data]


_CLOSED: Final = "the embeddings endpoint is no longer asked"


def _fail(batch: list[tuple[str, asyncio.Future[Vector]]], why: str) -> None:
    for _, found in batch:
        if not found.done():
            found.set_exception(ModelError(why))


def _unit(numbers: list[float]) -> Vector:
    vector = np.array(numbers, np.float32)
    length = float(np.linalg.norm(vector))
    if not vector.size or not np.isfinite(length) or length == 0:
        raise ModelError("the embeddings endpoint gave no usable vector")
    unit: Vector = vector / np.float32(length)
    return unit
