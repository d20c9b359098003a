"""A function of AWS Lambda that asks a model; each invocation is a run.

Deploy it with watchllm and openai as the handler `function.handler`, with WATCHLLM_API_KEY,
WATCHLLM_PROJECT_ID, WATCHLLM_BASE_URL and OPENAI_API_KEY set (OPENAI_BASE_URL and OPENAI_MODEL are
honoured), and WATCHLLM_SPOOL_DIR=/tmp/watchllm, the only place that a function may write to. Invoke
it with {"question": "What is machine learning?"}.
"""

from __future__ import annotations

import os
from typing import Any

import openai
import watchllm
from watchllm.integrations.aws_lambda import watched

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")

watchllm.auto_instrument()
client = openai.OpenAI()


@watched(tags=["lambda"])
def handler(event: dict[str, Any], _: Any) -> dict[str, str]:
    """Answer a question."""
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": event["question"]}]
    )
    return {"text": completion.choices[0].message.content or ""}
