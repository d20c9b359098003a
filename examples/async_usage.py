"""One client for a whole asyncio program: log from any coroutine, without await.

Logging only queues the event, so it never holds up the event loop. flush() waits for the server:
call it in a thread, as the task here does that flushes every half minute.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    python async_usage.py
"""

import asyncio
import os
import time

import openai
from watchllm import WatchLLMClient, trace

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
QUESTIONS = ["What is machine learning?", "What is a token?", "When is a refund paid?"]

watchllm = WatchLLMClient()


async def ask(client: openai.AsyncOpenAI, run_id: str, question: str) -> str:
    """Ask the model and log the call."""
    start = time.perf_counter()
    completion = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], max_tokens=60
    )
    response = completion.choices[0].message.content or ""
    usage = completion.usage
    watchllm.log_prompt_call(
        run_id=run_id,
        prompt=question,
        model=completion.model,
        response=response,
        tokens_input=usage.prompt_tokens if usage else None,
        tokens_output=usage.completion_tokens if usage else None,
        latency_ms=int((time.perf_counter() - start) * 1000),
    )
    return response


async def flush_now() -> None:
    """Wait until the server has what was logged, and let other tasks go on meanwhile."""
    await asyncio.get_running_loop().run_in_executor(None, watchllm.flush)


async def periodic_flush() -> None:
    """Flush every half minute, until cancelled."""
    while True:
        await asyncio.sleep(30)
        await flush_now()


async def main() -> None:
    """Ask all questions at the same time, under one run."""
    flushing = asyncio.create_task(periodic_flush())
    with trace(tags=["async"]) as run_id:
        async with openai.AsyncOpenAI() as client:
            answers = await asyncio.gather(
                *(ask(client, run_id, question) for question in QUESTIONS)
            )
        for question, answer in zip(QUESTIONS, answers):
            print(f"> {question}\n{answer}\n")
    flushing.cancel()
    await flush_now()
    print(f"Logged {len(answers)} calls as run {run_id}.")


if __name__ == "__main__":
    with watchllm:
        asyncio.run(main())
