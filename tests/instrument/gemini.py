"""An endpoint that speaks Gemini's API from a script; a model names the scene."""

from __future__ import annotations

import json
from typing import Any

from upstream import ANSWER, WORDS, Handler

USAGE = {
    "promptTokenCount": 40,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "cachedContentTokenCount": 16,
    "totalTokenCount": 52,
}
VECTOR = {"values": [0.25, 0.5]}
CALL = {"functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Rome"}}}


class Gemini(Handler):
    """Answer as Google does.

    Beside the scenes of upstream.py, `blocked` refuses the prompt, `thinking` tells its thoughts,
    `picture` draws. A model that is offered a function calls it, until it has its result.
    """

    def play(self, asked: dict[str, Any]) -> None:
        """Play the scene."""
        model, _, method = self.path.partition("?")[0].rpartition("/")[2].partition(":")
        if model == "slow":
            self.server_of.arrived.set()
            self.server_of.leave.wait(30)
            self.close_connection = True
        elif model == "nope":
            error = {"code": 404, "message": "There is no model nope.", "status": "NOT_FOUND"}
            self.reply(404, {"error": error})
        elif model == "flaky" and self.server_of.first_of(self.path):
            self.reply(503, {"error": {"code": 503, "message": "Try.", "status": "UNAVAILABLE"}})
        elif method == "streamGenerateContent":
            self.chunks(model, asked)
        elif method == "batchEmbedContents":
            vectors = [VECTOR for _ in asked["requests"]]
            self.reply(200, {"embeddings": vectors, "usageMetadata": {"promptTokenCount": 3}})
        elif method == "embedContent":
            self.reply(200, {"embedding": VECTOR, "usageMetadata": {"promptTokenCount": 3}})
        elif method == "predict":
            self.reply(200, {"predictions": [predicted(each) for each in asked["instances"]]})
        elif model == "plain":
            self.reply(200, [ANSWER])
        else:
            self.reply(200, answer(model, asked))

    def chunks(self, model: str, asked: dict[str, Any]) -> None:
        """Answer with events."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        if model == "cut":
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for number, told in enumerate(streamed(model, asked)):
                if number == 2 and model == "hold":
                    self.server_of.leave.wait(30)
                if number == 2 and model == "cut":
                    return
                error = {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}
                event = {"error": error} if number == 2 and model == "wrong" else told
                self.wfile.write(f"data: {json.dumps(event)}\r\n\r\n".encode())
                self.wfile.flush()
        except OSError:
            pass  # the client has left


def predicted(instance: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of Vertex to one text, which is to be a vector, or to be painted."""
    if "prompt" in instance:
        return {"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}
    return {"embeddings": {**VECTOR, "statistics": {"token_count": 2, "truncated": False}}}


def answer(model: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request that is not streamed."""
    head = {"modelVersion": f"{model}-001", "responseId": "r-1", "usageMetadata": USAGE}
    if model == "blocked":
        usage = {"promptTokenCount": 40, "totalTokenCount": 40}
        return {**head, "usageMetadata": usage, "promptFeedback": {"blockReason": "SAFETY"}}
    if model == "bare":
        candidates: list[dict[str, Any]] = [{"content": None, "unheardOf": {"deep": [1]}}]
        return {"candidates": candidates, "modelVersion": None}
    parts: list[dict[str, Any]] = [{"text": ANSWER}]
    called = any("functionResponse" in part for each in asked["contents"] for part in each["parts"])
    if asked.get("tools") and not called:
        parts = [CALL]
    elif model == "thinking":
        parts = [{"text": "Which city?", "thought": True}, *parts]
    elif model == "picture":
        parts = [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    content = {"role": "model", "parts": parts}
    return {**head, "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}


def streamed(model: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of a streamed answer."""
    whole = answer(model, asked)
    if asked.get("tools"):
        return [whole]
    head = {name: whole[name] for name in ("modelVersion", "responseId")}
    told = [
        {**head, "candidates": [{"content": {"role": "model", "parts": [{"text": word}]}}]}
        for word in WORDS
    ]
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}
    return [*told, {**head, "candidates": [last], "usageMetadata": USAGE}]
