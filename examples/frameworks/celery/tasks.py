"""A Celery task that asks a model, in the run of the program that sent it.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (CELERY_BROKER_URL,
OPENAI_BASE_URL and OPENAI_MODEL are honoured), and a Redis at hand:

    pip install watchllm openai 'celery[redis]'
    celery -A tasks worker
    python tasks.py "What is machine learning?"
"""

import os
import sys

import openai
import watchllm
from celery import Celery
from watchllm.integrations.celery import connect

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
REDIS = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1")

watchllm.auto_instrument()
connect()
app = Celery("tasks", broker=REDIS, backend=REDIS)


@app.task
def answer(question: str) -> str:
    """Answer a question."""
    completion = openai.OpenAI().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    return completion.choices[0].message.content or ""


if __name__ == "__main__":
    with watchllm.trace(user_id="ada", tags=["jobs"]) as run_id:
        # By its name: a worker knows the task as that of the module, not of this program.
        sent = app.send_task("tasks.answer", [sys.argv[1]])
    print(f"{run_id}: {sent.get(timeout=60)}")
