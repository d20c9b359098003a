"""A chat app: each answer of the model is logged with its tokens and its latency.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set. OPENAI_BASE_URL points it
at another OpenAI-compatible endpoint, OPENAI_MODEL names another model than gpt-4o:

    python openai_chat.py
    python openai_chat.py "What is machine learning?" "And deep learning?"

The last of its own questions holds an e-mail address and a card number: the model reads them,
WatchLLM stores [REDACTED_EMAIL] and [REDACTED_CC].
"""

import os
import sys
import time

import openai
from watchllm import Status, WatchLLMClient, trace

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
QUESTIONS = [
    "What is machine learning?",
    "How does a language model read a text?",
    "Please confirm my order to ada.lovelace@example.com, paid with card 4111 1111 1111 1111.",
]

client = openai.OpenAI()  # reads OPENAI_API_KEY and OPENAI_BASE_URL
watchllm = WatchLLMClient()  # reads WATCHLLM_API_KEY and WATCHLLM_PROJECT_ID


def generate_content(run_id: str, prompt: str) -> str:
    """Ask the model one question, and log the call or what went wrong."""
    start = time.perf_counter()
    try:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=100,
        )
    except openai.OpenAIError as error:
        watchllm.log_error(run_id=run_id, error=error, context={"model": MODEL, "prompt": prompt})
        raise
    latency_ms = int((time.perf_counter() - start) * 1000)

    response = completion.choices[0].message.content or ""
    usage = completion.usage
    watchllm.log_prompt_call(
        run_id=run_id,
        prompt=prompt,
        model=completion.model,  # the model that answered, which may be more exact than MODEL
        response=response,
        tokens_input=usage.prompt_tokens if usage else None,
        tokens_output=usage.completion_tokens if usage else None,
        latency_ms=latency_ms,
        status=Status.SUCCESS,
        response_metadata={
            "finish_reason": completion.choices[0].finish_reason,
            "system_fingerprint": completion.system_fingerprint,
        },
    )
    return response


if __name__ == "__main__":
    # A new run; everything logged inside carries this user and these tags.
    with watchllm, trace(user_id="ada", tags=["chat"]) as run_id:
        for question in sys.argv[1:] or QUESTIONS:
            print(f"> {question}\n{generate_content(run_id, question)}\n")
        watchllm.flush()  # waits for the server; close() alone would give up after two seconds
        print(f"Logged as run {run_id}.")
