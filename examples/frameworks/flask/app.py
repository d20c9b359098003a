"""A Flask app that asks a model; each request is a run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install watchllm openai flask
    flask run --port 8000
    curl -H "x-run-id: my-run" "http://127.0.0.1:8000/ask?question=What+is+machine+learning%3F"
"""

import os

import openai
import watchllm
from flask import Flask, request
from watchllm.integrations.flask import WatchLLM

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")

watchllm.auto_instrument()
client = openai.OpenAI()

app = Flask(__name__)
WatchLLM(app, tags=["web"])


@app.get("/ask")
def ask() -> str:
    """Answer a question."""
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": request.args["question"]}]
    )
    return completion.choices[0].message.content or ""
