"""A FastAPI app with one route that asks the model and logs the call.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    uvicorn fastapi_app:app
    curl -i http://127.0.0.1:8000/api/chat -H "x-run-id: my-run" \
         -H "Content-Type: application/json" -d '{"prompt": "What is machine learning?"}'

A caller that sends the header x-run-id finds its call under that run; the answer names the run.
"""

import os
import time
import uuid
from contextlib import asynccontextmanager
from typing import AsyncIterator

import openai
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from watchllm import Status, WatchLLMClient

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")

client = openai.AsyncOpenAI()
watchllm = WatchLLMClient()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Send what is queued when the app shuts down."""
    yield
    await client.close()
    watchllm.close()


app = FastAPI(lifespan=lifespan)


class Chat(BaseModel):
    """What a caller sends."""

    prompt: str


@app.post("/api/chat")
async def chat(body: Chat, request: Request) -> JSONResponse:
    """Answer a prompt; log the call, or the error with its context."""
    run_id = request.headers.get("x-run-id", f"run-{uuid.uuid4()}")
    start = time.perf_counter()
    try:
        completion = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": body.prompt}], max_tokens=200
        )
    except openai.OpenAIError as error:
        watchllm.log_error(run_id=run_id, error=error, context={"endpoint": "/api/chat"})
        return JSONResponse({"error": str(error)}, status_code=500, headers={"x-run-id": run_id})

    response = completion.choices[0].message.content or ""
    usage = completion.usage
    watchllm.log_prompt_call(
        run_id=run_id,
        prompt=body.prompt,
        model=completion.model,
        response=response,
        tokens_input=usage.prompt_tokens if usage else None,
        tokens_output=usage.completion_tokens if usage else None,
        latency_ms=int((time.perf_counter() - start) * 1000),
        status=Status.SUCCESS,
    )
    return JSONResponse({"text": response}, headers={"x-run-id": run_id})
