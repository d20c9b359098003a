"""Errors with their context: what failed, for whom, in which request.

A small support desk works on three requests. One is answered by the model, one asks for a refund
of an order that does not exist, one for a model that does not exist (an endpoint that serves a
single model may answer it all the same). Each error is logged with its context and sent before it
is handled, and the desk goes on.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    python error_handling.py
"""

import os
import time
import uuid
from datetime import datetime, timezone

import openai
from watchllm import Status, WatchLLMClient

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
ORDERS = {"order-17": 24.90}
REQUESTS = [
    {"id": "req-1", "type": "question", "model": MODEL, "text": "When is a refund paid?"},
    {"id": "req-2", "type": "refund", "order": "order-99"},
    {"id": "req-3", "type": "question", "model": "no-such-model", "text": "Where is my parcel?"},
]

client = openai.OpenAI()
watchllm = WatchLLMClient(environment="production")


class UnknownOrderError(Exception):
    """A request names an order that the shop does not have."""


def execute_business_logic(run_id: str, request: "dict[str, str]") -> str:
    """Refund an order or answer a question."""
    if request["type"] == "refund":
        if request["order"] not in ORDERS:
            raise UnknownOrderError(f"There is no order {request['order']}.")
        return f"{ORDERS[request['order']]:.2f} will be refunded."

    start = time.perf_counter()
    completion = client.chat.completions.create(
        model=request["model"],
        messages=[{"role": "user", "content": request["text"]}],
        max_tokens=60,
    )
    response = completion.choices[0].message.content or ""
    usage = completion.usage
    watchllm.log_prompt_call(
        run_id=run_id,
        prompt=request["text"],
        model=completion.model,
        response=response,
        tokens_input=usage.prompt_tokens if usage else None,
        tokens_output=usage.completion_tokens if usage else None,
        latency_ms=int((time.perf_counter() - start) * 1000),
        status=Status.SUCCESS,
    )
    return response


def process_request(user_id: str, request: "dict[str, str]") -> str:
    """Work on a request; an error is logged with its context and raised again."""
    run_id = f"request-{user_id}-{uuid.uuid4()}"
    try:
        return execute_business_logic(run_id, request)
    except Exception as error:
        watchllm.log_error(
            run_id=run_id,
            error=error,
            context={
                "request_id": request.get("id"),
                "request_type": request.get("type"),
                "timestamp": datetime.now(timezone.utc).isoformat(),
            },
            tags=["error", "processing", "user-request"],
            user_id=user_id,
        )
        watchllm.flush()  # the error is sent before it is handled
        raise


def serve(request: "dict[str, str]") -> str:
    """Return what the user gets to read, also when the request failed."""
    try:
        return process_request("ada", request)
    except (UnknownOrderError, openai.OpenAIError) as error:
        return f"this failed and was logged: {error}"


if __name__ == "__main__":
    with watchllm:
        for request in REQUESTS:
            print(f"{request['id']}: {serve(request)}")
