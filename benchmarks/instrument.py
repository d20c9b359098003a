"""Measure what automatic instrumentation adds to a call of OpenAI's library, and to a chunk.

The library's transport answers in the process, so that nothing but the library and the SDK is
measured. Rounds without and with instrumentation alternate; of each the quickest counts, in
microseconds of the calling thread's CPU.

    python benchmarks/instrument.py
"""

from __future__ import annotations

import json
import tempfile
import time
from typing import TYPE_CHECKING, Any

import openai
import watchllm
from watchllm.testing import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import httpx2 as httpx
except ImportError:
    import httpx

ROUNDS, CALLS, CHUNKS = 9, 60, 2_000
QUESTION = "Explain the weather in Rome, and why it is what it is. " * 36  # 2 KB
ANSWER = "It is sunny, for Rome lies in the south. " * 25  # 1 KB
MESSAGES = [{"role": "user", "content": QUESTION}]
HEAD = {"id": "c", "created": 1, "model": "gpt-4o-2024-08-06"}
USAGE = {"prompt_tokens": 400, "completion_tokens": 200, "total_tokens": 600}


def chunk(**choice: Any) -> bytes:
    """Return an event of a stream."""
    choices = [{"index": 0, "finish_reason": None, **choice}]
    told = {**HEAD, "object": "chat.completion.chunk", "choices": choices}
    return f"data: {json.dumps(told)}\n\n".encode()


said = {"role": "assistant", "content": ANSWER}
WHOLE = {
    **HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
    "usage": USAGE,
}
STREAM = chunk(delta={"content": " word"}) * CHUNKS + b"data: [DONE]\n\n"


def answer(request: Any) -> Any:
    """Answer a request in the process."""
    if json.loads(request.content).get("stream"):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM)
    return httpx.Response(200, json=WHOLE)


transport = httpx.MockTransport(answer)
client = openai.OpenAI(
    api_key="k", base_url="http://127.0.0.1/v1", http_client=httpx.Client(transport=transport)
)


def whole() -> None:
    """Make calls."""
    for _ in range(CALLS):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def streamed() -> None:
    """Read a stream."""
    for _ in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
        pass


def cost(program: Callable[[], None]) -> float:
    """Return the CPU of this thread that a program takes, in microseconds."""
    start = time.thread_time_ns()
    program()
    return (time.thread_time_ns() - start) / 1_000


def main() -> None:
    """Measure and print."""
    spool = tempfile.mkdtemp()  # as in an app, events wait on disk
    watchllm.init(api_key="k", project_id="p", transport=MemoryTransport(), spool_dir=spool)
    for name, program, count in (("call", whole, CALLS), ("streamed chunk", streamed, CHUNKS)):
        bare, with_us = [], []
        for _ in range(ROUNDS):
            bare.append(cost(program) / count)
            watchllm.auto_instrument("openai")
            with_us.append(cost(program) / count)
            watchllm.disable_instrumentation()
            watchllm.get_client().flush()
        added = min(with_us) - min(bare)
        print(f"{name}: {min(bare):.1f} us bare, {min(with_us):.1f} us with, {added:+.2f} us")


if __name__ == "__main__":
    main()
