"""An endpoint that speaks OpenAI's and Anthropic's APIs from a script; a model names the scene.

`flaky` fails at the first try, `slow` never answers, `nope` is not there. Of streams, `hold` stops
in the middle until the client leaves, `cut` breaks off, `wrong` tells of an error. `short` was cut
short, `failed` failed, `refuse` says no, `plain` is no JSON, `torn` ends too early, `bare` has no
usage and odd fields. `agent` calls every tool that it is offered, and answers when it has results.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Iterator

WORDS = ("Rome", " is", " sunny.")
ANSWER = "".join(WORDS)
ARGUMENTS = '{"city": "Rome"}'
STRUCTURED = '{"city": "Rome", "sunny": true}'
CHAT_USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 12,
    "total_tokens": 52,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
RESPONSES_USAGE = {
    "input_tokens": 40,
    "output_tokens": 12,
    "total_tokens": 52,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 5},
}
AGENTS = ("agent", "gpt-4.1")
"""The models that use tools; not every library takes a name that it does not know."""
MESSAGES_USAGE = {"input_tokens": 24, "output_tokens": 12, "cache_read_input_tokens": 16}


class Endpoint:
    """A running endpoint on a free port of loopback."""

    def __init__(self, handler: type[Handler] | None = None) -> None:
        self.leave = threading.Event()
        """Set when those who wait are to give up."""
        self.arrived = threading.Event()
        """Set when a request that is never answered has arrived."""
        self._asked: dict[str, int] = {}
        endpoint = self

        class Scripted(handler or Handler):  # type: ignore[misc] # known when it runs
            server_of = endpoint

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def first_of(self, path: str) -> bool:
        """Say whether a path is asked for the first, the third, the fifth time."""
        self._asked[path] = self._asked.get(path, 0) + 1
        return self._asked[path] % 2 == 1

    def stop(self) -> None:
        """End the endpoint."""
        self.leave.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answer as OpenAI and Anthropic do."""

    protocol_version = "HTTP/1.1"
    server_of: Endpoint

    def do_POST(self) -> None:
        """Read the request."""
        self.play(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def play(self, asked: dict[str, Any]) -> None:
        """Play the scene."""
        self.path = self.path.partition("?")[0]
        model = asked["model"]
        # Libraries of agents keep their clients to themselves: nobody closes their connections.
        self.close_connection = model in AGENTS
        if model == "slow":
            self.server_of.arrived.set()
            self.server_of.leave.wait(30)
            self.close_connection = True
        elif model == "nope":
            error = {"message": "There is no model nope.", "type": "not_found_error"}
            self.reply(404, {"type": "error", "error": {**error, "code": "model_not_found"}})
        elif model == "flaky" and self.headers.get("x-stainless-retry-count") == "0":
            self.reply(500, {"error": {"message": "Try again."}})
        elif model in ("plain", "torn"):
            length = len(ANSWER) if model == "plain" else 1_000_000
            self.close_connection = model == "torn"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(ANSWER.encode())
        elif asked.get("stream"):
            self.stream(asked)
        else:
            self.reply(200, answer(self.path, asked))

    def reply(self, status: int, content: Any) -> None:
        """Answer with JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("retry-after-ms", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def stream(self, asked: dict[str, Any]) -> None:
        """Answer with events."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        if asked["model"] == "cut":
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for number, told in enumerate(events(self.path, asked)):
                event = told
                if number == 3 and asked["model"] == "hold":
                    self.server_of.leave.wait(30)
                if number == 3 and asked["model"] == "cut":
                    return
                if number == 3 and asked["model"] == "wrong":
                    event = {"type": "error", "error": {"message": "Overloaded.", "type": "busy"}}
                if "messages" in self.path or "type" in event:
                    self.wfile.write(f"event: {event['type']}\n".encode())
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            if "completions" in self.path:
                self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass  # the client has left

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def named(asked: dict[str, Any]) -> str:
    """Return the model by the more exact name with which it answers."""
    return f"{asked['model']}-2024-08-06"


def called(asked: dict[str, Any]) -> dict[str, str]:
    """Return the tools that the model calls, by the ids of the calls."""
    offered = [tool.get("function", tool)["name"] for tool in asked.get("tools") or ()]
    if asked["model"] not in AGENTS:
        return {"call_1": "weather"} if offered else {}
    told = asked.get("messages") or asked.get("input") or ()
    results = any(
        isinstance(each, dict)
        and (each.get("role") == "tool" or each.get("type") == "function_call_output")
        for each in told
    )
    return {} if results else {f"call_{number}": name for number, name in enumerate(offered, 1)}


def answer(path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request that is not streamed."""
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return {"object": "list", "model": asked["model"], "data": data, "usage": usage}
    if path.endswith("/responses"):
        return response(asked)
    if path.endswith("/count_tokens"):
        return {"input_tokens": 24}
    if "/messages" in path:
        return message(asked)
    head = {"id": "cmpl-1", "created": 1_795_600_000, "model": named(asked), "usage": CHAT_USAGE}
    if not path.endswith("/chat/completions"):
        choices = [{"index": 0, "text": ANSWER, "finish_reason": "stop", "logprobs": None}]
        return {**head, "object": "text_completion", "choices": choices}
    said: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    reason = "stop"
    if called(asked):
        calls = [
            {"id": key, "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
            for key, name in called(asked).items()
        ]
        said, reason = {**said, "content": None, "tool_calls": calls}, "tool_calls"
    elif asked.get("response_format"):
        said["content"] = STRUCTURED
        reason = "length" if asked["model"] == "short" else "stop"
    elif asked["model"] == "refuse":
        said.update(content=None, refusal="I will not.")
    elif asked["model"] == "bare":
        del head["usage"]
        head["system_fingerprint"] = "fp_1"
        said.update(content=None, unheard_of={"deep": [1]})
    choices = [
        {"index": index, "message": said, "finish_reason": reason, "logprobs": None}
        for index in range(asked.get("n") or 1)
    ]
    return {**head, "object": "chat.completion", "choices": choices}


def response(asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer of the Responses API."""
    output: list[dict[str, Any]]
    text = STRUCTURED if asked.get("text") else ANSWER
    if called(asked):
        shared = {"type": "function_call", "status": "completed", "arguments": ARGUMENTS}
        output = [
            {**shared, "id": f"f{key}", "call_id": key, "name": name}
            for key, name in called(asked).items()
        ]
    else:
        parts = [{"type": "output_text", "text": text, "annotations": []}]
        said = {"id": "msg_1", "role": "assistant", "status": "completed", "content": parts}
        thought = {"type": "reasoning", "id": "rs_1", "summary": []}
        output = [thought, {"type": "message", **said}]
    if asked["model"] == "failed":
        more.setdefault("error", {"message": "It broke.", "code": "server_error"})
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_600_000,
        "model": named(asked),
        "status": "completed",
        "output": output,
        "usage": RESPONSES_USAGE,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }


def message(asked: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the Messages API."""
    content: list[dict[str, Any]] = [{"type": "text", "text": ANSWER}]
    if asked.get("tools"):
        content = [
            {"type": "thinking", "thinking": "Which city?", "signature": "s"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
        ]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": named(asked),
        "content": content,
        "stop_reason": "tool_use" if asked.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": MESSAGES_USAGE,
    }


def events(path: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed answer: four or more."""
    if path.endswith("/responses"):
        return _responses_events(asked)
    if "/messages" in path:
        return _messages_events(asked)
    return _chat_events(path, asked)


def _chat_events(path: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chat = path.endswith("/chat/completions")
    kind = "chat.completion.chunk" if chat else "text_completion"
    head = {"id": "cmpl-1", "object": kind, "created": 1_795_600_000, "model": named(asked)}

    def chunk(choice: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "finish_reason": reason, **choice}]}

    if called(asked):
        for index, (key, name) in enumerate(called(asked).items()):
            function = {"name": name, "arguments": ""}
            start = {"index": index, "id": key, "type": "function", "function": function}
            yield chunk({"delta": {"role": "assistant", "tool_calls": [start]}})
            for part in (ARGUMENTS[:5], ARGUMENTS[5:]):
                call = {"index": index, "function": {"arguments": part}}
                yield chunk({"delta": {"tool_calls": [call]}})
        yield chunk({"delta": {}}, "tool_calls")
    elif chat:
        yield chunk({"delta": {"role": "assistant", "content": ""}})
        for word in (STRUCTURED,) if asked.get("response_format") else WORDS:
            yield chunk({"delta": {"content": word}})
        yield chunk({"delta": {}}, "stop")
    else:
        for word in WORDS:
            yield chunk({"text": word, "logprobs": None})
        yield chunk({"text": "", "logprobs": None}, "stop")
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": CHAT_USAGE}


def _responses_events(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    done = response(asked)
    begun = response(asked, status="in_progress", output=[], usage=None)
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    told: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    item = done["output"][-1]
    if item["type"] == "message":
        started = {**item, "status": "in_progress", "content": []}
        told.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        part = {"type": "output_text", "text": "", "annotations": []}
        told.append({"type": "response.content_part.added", **where, "part": part})
        text = item["content"][0]["text"]
        words = WORDS if text == ANSWER else (text,)
        told += [
            {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
            for word in words
        ]
        told.append({"type": "response.output_text.done", **where, "text": text, "logprobs": []})
    else:
        started = {**item, "arguments": "", "status": "in_progress"}
        told.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        delta = {"item_id": "fc_1", "output_index": 0, "delta": ARGUMENTS}
        told.append({"type": "response.function_call_arguments.delta", **delta})
    told.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    done = {**done, "output": done["output"][-1:]}
    told.append({"type": "response.completed", "response": done})
    for number, event in enumerate(told):
        yield {**event, "sequence_number": number}


def _messages_events(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    done = message(asked)
    usage = {**MESSAGES_USAGE, "output_tokens": 1}
    begun = {**done, "content": [], "stop_reason": None, "usage": usage}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(done["content"]):
        kind = block["type"]
        empty = {"text": {"text": ""}, "thinking": {"thinking": ""}, "tool_use": {"input": {}}}
        yield {
            "type": "content_block_start",
            "index": index,
            "content_block": {**block, **empty[kind]},
        }
        if kind == "text":
            words = WORDS if block["text"] == ANSWER else (block["text"],)
            deltas = [{"type": "text_delta", "text": word} for word in words]
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        else:
            parts = (ARGUMENTS[:5], ARGUMENTS[5:])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": done["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 12}}
    yield {"type": "message_stop"}
