"""The spans that all servers are sent: calls of a model, as an instrumentation tells of them.

They speak OpenInference, which each of the servers measured understands, and Phoenix calls its own:
its filters look for a text where that dialect has it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import spans
from load import text

if TYPE_CHECKING:
    import random

MARKER = "zebrafinch"  # a word that one span of each request has
ABSENT = "quokkasaurus"  # a word that none has


def export(seed: random.Random) -> bytes:
    """Return a request of 50 spans of 3.6 kB, no two texts alike."""
    return spans.export(seed, "ChatCompletion", _attributes)


def _attributes(seed: random.Random, number: int) -> spans.Attributes:
    prompt = text(spans.PROMPT, seed)
    if number == 0:
        prompt = f"{prompt[: -len(MARKER) - 1]} {MARKER}"
    asked, answered = spans.tokens(seed, number)
    return {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.provider": "openai",
        "llm.model_name": "gpt-4o",
        "llm.invocation_parameters": json.dumps({"max_tokens": 512, "temperature": 0.2}),
        "input.value": prompt,
        "input.mime_type": "text/plain",
        "output.value": text(spans.RESPONSE, seed),
        "output.mime_type": "text/plain",
        "user.id": f"user-{seed.randrange(5_000)}",
        "metadata": json.dumps({"request": f"req-{seed.randrange(10**9)}"}),
        "llm.token_count.prompt": asked,
        "llm.token_count.completion": answered,
        "llm.token_count.total": asked + answered,
    }
