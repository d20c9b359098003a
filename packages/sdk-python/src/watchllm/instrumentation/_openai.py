"""OpenAI's endpoints: chat completions, responses, completions and embeddings."""

from __future__ import annotations

from watchllm.instrumentation._answer import fields_of, of
from watchllm.instrumentation._client_library import Library
from watchllm.instrumentation._messages import conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from watchllm.instrumentation._answer import Answer, Choice

_KEPT = ("system_fingerprint", "service_tier")


class _Chat:
    provider = "openai"
    operation = "chat"

    def prompt(self, body: Mapping[str, Any]) -> str:
        return conversation(body.get("messages") or ())

    def read(self, answer: Answer, content: Any) -> None:
        answer.head(content, *_KEPT)
        answer.read_usage(of(content, "usage"))
        for number, found in enumerate(of(content, "choices") or ()):
            choice = answer.choice(number)
            choice.finish_reason = of(found, "finish_reason")
            _read_message(answer, choice, of(found, "message"))

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        if answer.response_id is None:
            answer.head(chunk, *_KEPT)
        said = False
        for found in chunk.choices or ():
            choice = answer.choice(getattr(found, "index", None) or 0)
            if found.finish_reason is not None:
                choice.finish_reason = found.finish_reason
            delta = getattr(found, "delta", None)
            if delta is None:  # of a part that tells of a filter, say
                continue
            text = delta.content
            if text and not delta.tool_calls:  # as most are
                said = answer.add(choice.texts, text) or said
            else:
                said = _read_message(answer, choice, delta) or said
        usage = getattr(chunk, "usage", None)  # LiteLLM's have none
        if usage is not None:
            answer.read_usage(usage)
        return said


def _read_message(answer: Answer, choice: Choice, message: Any) -> bool:
    """Read a message, or a part of one; say whether it says something."""
    told = fields_of(message)
    said = answer.add(choice.texts, told.get("content"))
    if answer.add(choice.refusal, told.get("refusal")):
        said = True
    for name in ("reasoning_content", "reasoning"):  # of endpoints that speak OpenAI's API
        if answer.add(choice.reasoning, told.get(name)):
            said = True
    if answer.add(choice.texts, of(told.get("audio"), "transcript")):
        said = True
    calls = list(told.get("tool_calls") or ())
    if told.get("function_call"):  # as tools were called before they had that name
        calls.append({"function": told["function_call"]})
    for number, call in enumerate(calls):
        index = of(call, "index")
        found = choice.call(number if index is None else index)
        found.id = of(call, "id") or found.id
        function = of(call, "function") or of(call, "custom")
        found.name = of(function, "name") or found.name
        answer.add(found.arguments, of(function, "arguments") or of(function, "input"))
        said = True
    return said


class _Completions:
    provider = "openai"
    operation = "text_completion"

    def prompt(self, body: Mapping[str, Any]) -> Any:
        return body.get("prompt")

    def read(self, answer: Answer, content: Any) -> None:
        answer.head(content, *_KEPT)
        answer.read_usage(of(content, "usage"))
        self._read_choices(answer, content)

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        answer.head(chunk, *_KEPT)
        if chunk.usage is not None:
            answer.read_usage(chunk.usage)
        return self._read_choices(answer, chunk)

    @staticmethod
    def _read_choices(answer: Answer, content: Any) -> bool:
        said = False
        for found in of(content, "choices") or ():
            choice = answer.choice(of(found, "index") or 0)
            choice.finish_reason = of(found, "finish_reason") or choice.finish_reason
            said = answer.add(choice.texts, of(found, "text")) or said
        return said


class _Embeddings:
    provider = "openai"
    operation = "embeddings"

    def prompt(self, body: Mapping[str, Any]) -> Any:
        given = body.get("input")
        texts = isinstance(given, (list, tuple)) and all(isinstance(text, str) for text in given)
        return "\n\n".join(given) if texts and given else given

    def read(self, answer: Answer, content: Any) -> None:
        answer.head(content)
        answer.read_usage(of(content, "usage"))
        if answer.usage:
            answer.usage.setdefault("completion_tokens", 0)  # an embedding says nothing

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        raise NotImplementedError  # embeddings are not streamed


class _Responses:
    provider = "openai"
    operation = "chat"

    def prompt(self, body: Mapping[str, Any]) -> str:
        given = body.get("input")
        messages = given if isinstance(given, (list, tuple)) else [given]
        return conversation(messages, body.get("instructions"))

    def read(self, answer: Answer, content: Any) -> None:
        answer.head(content, "service_tier")
        answer.read_usage(of(content, "usage"))
        choice = answer.choice(0)
        choice.finish_reason = of(content, "status")
        why = of(of(content, "incomplete_details"), "reason")
        if why:
            choice.finish_reason = why
        error = of(content, "error")
        if error is not None:
            answer.error = {"message": of(error, "message"), "code": of(error, "code")}
        for number, item in enumerate(of(content, "output") or ()):
            _read_item(answer, choice, number, item)

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        kind = of(chunk, "type")
        if kind == "response.output_text.delta":
            return answer.add(answer.choice(0).texts, of(chunk, "delta"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            # It tells all again, and more exactly than its parts.
            answer.choices.clear()
            self.read(answer, of(chunk, "response"))
        elif kind == "response.created":
            answer.head(of(chunk, "response"))
        elif kind == "response.refusal.delta":
            return answer.add(answer.choice(0).refusal, of(chunk, "delta"))
        elif kind == "response.output_item.added":
            item = of(chunk, "item")
            if of(item, "type") == "function_call":
                _read_item(answer, answer.choice(0), of(chunk, "output_index"), item)
        elif kind == "response.function_call_arguments.delta":
            call = answer.choice(0).call(of(chunk, "output_index"))
            return answer.add(call.arguments, of(chunk, "delta"))
        return False


def _read_item(answer: Answer, choice: Choice, number: int, item: Any) -> None:
    kind = of(item, "type")
    if kind == "message":
        for part in of(item, "content") or ():
            answer.add(choice.texts, of(part, "text"))
            answer.add(choice.refusal, of(part, "refusal"))
    elif kind == "reasoning":
        for part in of(item, "summary") or ():
            answer.add(choice.reasoning, of(part, "text"))
    elif kind in ("function_call", "custom_tool_call"):
        call = choice.call(number)
        call.id = of(item, "call_id")
        call.name = of(item, "name") or ""
        answer.add(call.arguments, of(item, "arguments") or of(item, "input"))


CHAT = _Chat()
COMPLETIONS = _Completions()
EMBEDDINGS = _Embeddings()
RESPONSES = _Responses()
LIBRARY = Library(
    clients=("OpenAI", "AsyncOpenAI"),
    streams=(
        ("", "Stream", "AsyncStream"),
        (".lib.streaming.chat", "ChatCompletionStream", "AsyncChatCompletionStream"),
        (".lib.streaming.responses", "ResponseStream", "AsyncResponseStream"),
    ),
    apis={
        "/chat/completions": CHAT,
        "/completions": COMPLETIONS,
        "/embeddings": EMBEDDINGS,
        "/responses": RESPONSES,
    },
    # As the server's price lists name them.
    hosts={
        "azure.com": "azure",
        "cerebras.ai": "cerebras",
        "deepseek.com": "deepseek",
        "fireworks.ai": "fireworks",
        "googleapis.com": "google",
        "groq.com": "groq",
        "mistral.ai": "mistral",
        "openrouter.ai": "openrouter",
        "perplexity.ai": "perplexity",
        "together.xyz": "together",
        "x.ai": "x-ai",
    },
)
