"""An RQ job that asks a model, in the run of the program that enqueued it.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (RQ_REDIS_URL,
OPENAI_BASE_URL and OPENAI_MODEL are honoured), and a Redis at hand:

    pip install watchllm openai rq
    rq worker --job-class watchllm.integrations.rq.WatchLLMJob
    python jobs.py "What is machine learning?"
"""

import os
import sys

import openai
import watchllm
from redis import Redis
from rq import Queue
from watchllm.integrations.rq import WatchLLMJob

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
REDIS = os.environ.get("RQ_REDIS_URL", "redis://127.0.0.1")

watchllm.auto_instrument()


def answer(question: str) -> str:
    """Answer a question."""
    completion = openai.OpenAI().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    return completion.choices[0].message.content or ""


if __name__ == "__main__":
    redis = Redis.from_url(REDIS, socket_timeout=90)  # longer than a result is waited for
    queue = Queue(connection=redis, job_class=WatchLLMJob)
    with watchllm.trace(user_id="ada", tags=["jobs"]) as run_id:
        # By its name: a worker knows the function as that of the module, not of this program.
        job = queue.enqueue("jobs.answer", sys.argv[1])
    print(f"{run_id}: {job.latest_result(timeout=60).return_value}")
