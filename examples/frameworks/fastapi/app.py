"""A FastAPI app that streams a model's answers; each request is a run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install watchllm openai fastapi uvicorn
    uvicorn app:app
    curl -H "x-run-id: my-run" "http://127.0.0.1:8000/ask?question=What+is+machine+learning%3F"
"""

import os
from typing import AsyncIterator

import openai
import watchllm
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from watchllm.integrations.asgi import WatchLLMMiddleware

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")

watchllm.auto_instrument()
client = openai.AsyncOpenAI()

app = FastAPI()
app.add_middleware(WatchLLMMiddleware, tags=["web"])


@app.get("/ask")
async def ask(question: str) -> StreamingResponse:
    """Answer a question, word by word."""
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )

    async def words() -> AsyncIterator[str]:
        async for chunk in stream:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    return StreamingResponse(words(), media_type="text/plain")
