"""Google's library `google-genai`: models of Gemini, through both of its APIs.

All its calls go through four methods of one class, with the retries inside. They are wrapped: what
is read there is what goes over the wire.
"""

from __future__ import annotations

import json
from importlib import import_module

from watchllm.instrumentation._answer import of
from watchllm.instrumentation._call import Call
from watchllm.instrumentation._messages import conversation
from watchllm.instrumentation._patch import Patch, owner
from watchllm.instrumentation._stream import ObservedAsyncIterator, ObservedIterator
from watchllm.instrumentation._wrap import async_wrapped, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Iterator, Mapping

    from watchllm.instrumentation._answer import Answer, Choice
    from watchllm.instrumentation._call import Api

_PARAMETERS = ("http_method", "path", "request_dict")
_ROLES = {"model": "assistant", "function": "tool"}


class _Generate:
    provider = "google"
    operation = "generate_content"

    def prompt(self, body: Mapping[str, Any]) -> str:
        told = [_message(content) for content in body.get("contents") or ()]
        system = body.get("systemInstruction")
        return conversation(told, _message(system)["content"] if system else None)

    def read(self, answer: Answer, content: Any) -> None:
        self._read(answer, content)

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        return self._read(answer, json.loads(chunk.body))

    @staticmethod
    def _read(answer: Answer, content: Any) -> bool:
        answer.response_id = of(content, "responseId") or answer.response_id
        answer.model = of(content, "modelVersion") or answer.model
        _read_usage(answer, of(content, "usageMetadata"))
        blocked = of(of(content, "promptFeedback"), "blockReason")
        if blocked:
            answer.choice(0).finish_reason = blocked
        said = False
        for found in of(content, "candidates") or ():
            choice = answer.choice(of(found, "index") or 0)
            choice.finish_reason = of(found, "finishReason") or choice.finish_reason
            for part in of(of(found, "content"), "parts") or ():
                said = _read_part(answer, choice, part) or said
        return said


class _Embeddings:
    provider = "google"
    operation = "embeddings"

    def prompt(self, body: Mapping[str, Any]) -> str:
        return "\n\n".join(
            conversation([_message(content)]) for content in body.get("contents") or ()
        )

    def read(self, answer: Answer, content: Any) -> None:
        told = of(content, "usageMetadata")
        if told is None and of(content, "predictions"):
            # Vertex tells the tokens of each text.
            each = [of(of(one, "embeddings"), "statistics") for one in content["predictions"]]
            told = {"promptTokenCount": sum(of(one, "token_count") or 0 for one in each)}
        _read_usage(answer, told)

    def read_chunk(self, answer: Answer, chunk: Any) -> bool:
        raise NotImplementedError  # embeddings are not streamed


_APIS: dict[str, Api] = {
    "generateContent": _Generate(),
    "streamGenerateContent": _Generate(),
    "embedContent": _Embeddings(),
    "batchEmbedContents": _Embeddings(),
    "predict": _Embeddings(),  # of Vertex; the same method makes pictures
}


class GoogleLibrary:
    """What there is to wrap of the library."""

    def patches(self, module: ModuleType) -> list[Patch]:
        """Return the patches; raises ImportError, AttributeError or LookupError without them."""
        client = import_module(module.__name__ + "._api_client").BaseApiClient
        made = {
            "request": wrapped(_begin, _finish),
            "async_request": async_wrapped(_begin, _async_finish),
            "request_streamed": wrapped(_begin, _observe),
            "async_request_streamed": async_wrapped(_begin, _async_observe),
        }
        return [Patch(owner(client, name), name, make) for name, make in made.items()]


def _begin(_client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    try:
        given = {**dict(zip(_PARAMETERS, args)), **kwargs}
        model, _, method = given["path"].partition("?")[0].rpartition(":")
        asked = given["request_dict"]
        api = _APIS.get(method)
        if api is None or (method == "predict" and "content" not in asked["instances"][0]):
            return None
        return Call(api, _body(model.rpartition("/")[2], method, asked))
    except Exception as failure:
        Call.report(failure)
        return None


def _body(model: str, method: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a request by the names that all requests have here."""
    contents = asked.get("contents") or [
        each.get("content") for each in asked.get("requests") or ()
    ]
    if method == "predict":
        contents = [{"parts": [{"text": each["content"]}]} for each in asked["instances"]]
    return {
        **(asked.get("generationConfig") or {}),
        "model": model,
        "stream": method.startswith("stream"),
        "contents": contents or [asked.get("content")],
        "systemInstruction": asked.get("systemInstruction"),
        "tools": [each for tool in asked.get("tools") or () for each in _tools(tool)],
    }


def _tools(tool: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the functions of a tool, and what of Google's own it is by its name."""
    for name, value in tool.items():
        if name == "functionDeclarations":
            yield from value
        else:
            yield {"name": name}


def _finish(call: Call, result: Any, _kwargs: dict[str, Any]) -> Any:
    call.answered(json.loads(result.body))
    call.end()
    return result


async def _async_finish(call: Call, result: Any, kwargs: dict[str, Any]) -> Any:
    return _finish(call, result, kwargs)


def _observe(call: Call, result: Any, _kwargs: dict[str, Any]) -> Any:
    return ObservedIterator(result, call)


async def _async_observe(call: Call, result: Any, _kwargs: dict[str, Any]) -> Any:
    return ObservedAsyncIterator(result, call)


def _message(content: Any) -> dict[str, Any]:
    """Return a content as a message of a chat has it."""
    role = of(content, "role") or "user"
    parts = [_part(part) for part in of(content, "parts") or ()]
    return {"role": _ROLES.get(role, role), "content": parts}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if "functionCall" in part:
        call = part["functionCall"]
        return {"type": "function_call", "name": of(call, "name"), "arguments": of(call, "args")}
    if "functionResponse" in part:
        return {"type": "tool_result", "content": of(part["functionResponse"], "response")}
    for name in ("inlineData", "fileData"):
        if name in part:
            # Its bytes belong into no prompt.
            kind = of(part[name], "mimeType") or of(part[name], "mime_type") or "file"
            url = of(part[name], "fileUri") or of(part[name], "file_uri")
            return {"type": kind, "source": {"url": url}}
    return {"text": part["text"]} if "text" in part else dict(part)


def _read_usage(answer: Answer, told: Any) -> None:
    """Read the counts; Google tells those of tools and of thoughts beside the others."""
    counts = told or {}
    given, made = counts.get("promptTokenCount"), counts.get("candidatesTokenCount")
    thoughts, cached = counts.get("thoughtsTokenCount"), counts.get("cachedContentTokenCount")
    usage: dict[str, Any] = {}
    if given is not None:
        usage["input_tokens"] = given + counts.get("toolUsePromptTokenCount", 0)
        usage["output_tokens"] = (made or 0) + (thoughts or 0)
    if cached:
        usage["input_tokens_details"] = {"cached_tokens": cached}
    if thoughts:
        usage["output_tokens_details"] = {"reasoning_tokens": thoughts}
    answer.read_usage(usage)


def _read_part(answer: Answer, choice: Choice, part: Any) -> bool:
    call = of(part, "functionCall")
    if call is not None:
        found = choice.call(len(choice.calls))
        found.id, found.name = of(call, "id"), of(call, "name") or ""
        found.arguments.append(of(call, "args") or {})
        return True
    if of(part, "inlineData") is not None:
        return answer.add(choice.texts, f"[{of(of(part, 'inlineData'), 'mimeType')}]")
    return answer.add(choice.reasoning if of(part, "thought") else choice.texts, of(part, "text"))


LIBRARY = GoogleLibrary()
