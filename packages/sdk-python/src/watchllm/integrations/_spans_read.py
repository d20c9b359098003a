"""What the attributes of a span say of a call of a model or of a step, in three dialects.

These are OpenTelemetry's GenAI conventions, OpenInference and OpenLLMetry. Of names for the same,
the first that has a value counts.
"""

from __future__ import annotations

import json

from watchllm._enums import StepType
from watchllm.instrumentation._answer import Answer
from watchllm.instrumentation._messages import as_text, conversation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from watchllm.instrumentation._answer import Choice

    Attributes = Mapping[str, Any]

_OPERATION = (
    "gen_ai.operation.name",
    "openinference.span.kind",
    "llm.request.type",
    "traceloop.span.kind",
)
_CALLS = {
    "chat": "chat",
    "completion": "chat",
    "llm": "chat",
    "text_completion": "text_completion",
    "generate_content": "generate_content",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}
"""What a call of a model is called, and what it is called here."""
_STEP_TYPES = {
    "execute_tool": StepType.TOOL_CALL,
    "retrieval": StepType.TOOL_CALL,
    "tool": StepType.TOOL_CALL,
    "retriever": StepType.TOOL_CALL,
    "reranker": StepType.TOOL_CALL,
    "guardrail": StepType.VALIDATION,
    "evaluator": StepType.VALIDATION,
}
_MODEL = ("gen_ai.response.model", "llm.model_name", "llm.response.model", "embedding.model_name")
_REQUESTED = ("gen_ai.request.model", "llm.request.model")
_PROVIDER = ("gen_ai.provider.name", "llm.provider", "gen_ai.system", "llm.system")
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
)
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_THOUGHT = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
_FINISH = ("gen_ai.response.finish_reasons", "llm.finish_reason")
_ASKED = ("llm.input_messages.", "gen_ai.prompt.")
_ANSWERED = ("llm.output_messages.", "gen_ai.completion.")
_GIVEN = (
    "gen_ai.tool.call.arguments",
    "gen_ai.input.messages",
    "traceloop.entity.input",
    "pydantic_ai.all_messages",
    "tool_arguments",
    "input.value",
)
_MADE = (
    "gen_ai.tool.call.result",
    "gen_ai.output.messages",
    "traceloop.entity.output",
    "final_result",
    "tool_response",
    "output.value",
)


def operation(attributes: Attributes) -> str:
    """Return what a span does, in lower case; empty for one that is neither call nor step."""
    return str(first(attributes, *_OPERATION) or "").lower()


def is_call(attributes: Attributes) -> bool:
    """Return whether a span is a call of a model."""
    return operation(attributes) in _CALLS


def first(attributes: Attributes, *names: str) -> Any:
    """Return the value of the first of the names that has one."""
    return next(
        (attributes[name] for name in names if attributes.get(name) not in (None, "")), None
    )


def provider(attributes: Attributes) -> str:
    """Return the provider in lower case, empty if none is named."""
    return str(first(attributes, *_PROVIDER) or "").lower()


def read_call(attributes: Attributes) -> dict[str, Any]:
    """Return the fields of the event of a call."""
    answer = Answer()
    doing = _CALLS[operation(attributes)]
    asked = _parsed(attributes.get("llm.invocation_parameters"))
    asked = asked if isinstance(asked, dict) else {}
    requested = first(attributes, *_REQUESTED) or asked.get("model")
    _read_usage(answer, attributes, embedding=doing == "embeddings")
    if doing != "embeddings":
        messages = _messages(attributes, "gen_ai.output.messages", *_ANSWERED)
        for number, message in enumerate(messages):
            _read_answer(answer, answer.choice(number), message)
        if not messages:
            answer.add(answer.choice(0).texts, as_text(attributes.get("output.value")))
    fields = answer.fields()
    metadata = fields.pop("metadata")
    finish = first(attributes, *_FINISH)
    if isinstance(finish, (list, tuple)):
        finish = finish[0] if len(finish) == 1 else list(finish)
    seconds = attributes.get("gen_ai.response.time_to_first_chunk")
    model = first(attributes, *_MODEL) or requested or "unknown"
    told = {
        **metadata,
        "operation": doing,
        "provider": provider(attributes),
        "response_id": attributes.get("gen_ai.response.id"),
        "finish_reason": finish or metadata["finish_reason"],
        "requested_model": None if requested == model else requested,
        "request": _settings(attributes, asked),
        "time_to_first_token_ms": seconds * 1_000 if isinstance(seconds, float) else None,
    }
    return {
        **fields,
        "model": str(model),
        "prompt": _prompt(attributes),
        "response_metadata": {
            name: value for name, value in told.items() if value not in (None, "", [], {})
        },
    }


def read_step(attributes: Attributes) -> dict[str, Any]:
    """Return the fields of the event of a step."""
    doing = operation(attributes)
    return {
        "step_type": _STEP_TYPES.get(doing, StepType.REASONING),
        "input_data": _object(first(attributes, *_GIVEN)),
        "output_data": _object(first(attributes, *_MADE)),
        "context": {"operation": doing},
    }


def _read_usage(answer: Answer, attributes: Attributes, *, embedding: bool) -> None:
    cached, thought = first(attributes, *_CACHED), first(attributes, *_THOUGHT)
    made = first(attributes, *_OUTPUT)
    answer.read_usage(
        {
            "input_tokens": first(attributes, *_INPUT),
            "output_tokens": 0 if embedding and made is None else made,
            "input_tokens_details": {"cached_tokens": cached} if cached else None,
            "output_tokens_details": {"reasoning_tokens": thought} if thought else None,
        }
    )


def _settings(attributes: Attributes, asked: dict[str, Any]) -> dict[str, Any]:
    told = dict(asked)
    for name in ("temperature", "max_tokens", "top_p"):
        told[name] = attributes.get(f"gen_ai.request.{name}", told.get(name))
    return {name: value for name, value in told.items() if isinstance(value, (int, float))}


def _prompt(attributes: Attributes) -> str:
    messages = _messages(attributes, "gen_ai.input.messages", *_ASKED)
    system = _parsed(attributes.get("gen_ai.system_instructions"))
    if messages or system:
        return conversation(
            [_message(each) for each in messages],
            [_part(part) for part in system] if isinstance(system, list) else system,
        )
    texts = [
        each.get("embedding", {}).get("text")
        for each in _indexed(attributes, "embedding.embeddings.")
    ]
    return "\n\n".join(map(as_text, texts)) or as_text(attributes.get("input.value"))


def _messages(attributes: Attributes, whole: str, *prefixes: str) -> list[dict[str, Any]]:
    """Return messages, from one attribute with all of them or from many with their parts."""
    found = _parsed(attributes.get(whole))
    if isinstance(found, list):
        return [each for each in found if isinstance(each, dict)]
    for prefix in prefixes:
        spread = _indexed(attributes, prefix)
        if spread:
            return [each.get("message", each) for each in spread]
    return []


def _indexed(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """Return objects that are spread over attributes such as `prefix.0.name`."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            *path, last = name[len(prefix) :].split(".")
            at = tree
            for key in path:
                at = at.setdefault(key, {})
            at[last] = value
    return [found for _, found in sorted(tree.items(), key=lambda item: int(item[0]))]


def _listed(value: Any) -> list[Any]:
    """Return what may be a list, or a list spread over keys, as a list."""
    return list(value.values()) if isinstance(value, dict) else list(value or ())


def _message(found: dict[str, Any]) -> dict[str, Any]:
    """Return a message as OpenAI's API has it."""
    parts = found.get("parts")
    if parts is None:
        parts = [each.get("message_content", each) for each in _listed(found.get("contents"))]
    content = [_part(part) for part in parts] or _parsed(found.get("content"))
    calls = [_called(call) for call in _listed(found.get("tool_calls"))]
    return {"role": found.get("role") or "user", "content": content, "tool_calls": calls}


def _called(call: dict[str, Any]) -> dict[str, Any]:
    inner = call.get("tool_call", call)
    function = inner.get("function") or inner
    return {
        "id": inner.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _part(part: Any) -> Any:
    """Return a part of a message as OpenAI's API has it; bytes are named, not kept."""
    if not isinstance(part, dict):
        return as_text(part)
    kind = part.get("type")
    if kind == "tool_call":
        return {**_called(part), "type": "function_call"}
    if kind == "tool_call_response":
        return {"type": "tool_result", "content": part.get("response", part.get("result"))}
    if kind == "text":
        return {"type": "text", "text": part.get("text", part.get("content"))}
    return {"type": kind, "source": {"url": part.get("uri"), "media_type": part.get("mime_type")}}


def _read_answer(answer: Answer, choice: Choice, found: dict[str, Any]) -> None:
    """Read one of the answers of a model."""
    choice.finish_reason = found.get("finish_reason")
    message = _message(found)
    parts = message["content"] if isinstance(message["content"], list) else []
    calls = message["tool_calls"] + [each for each in parts if "name" in each]
    if not parts:
        answer.add(choice.texts, as_text(message["content"]))
    for part in found.get("parts") or parts:
        kept = choice.reasoning if part.get("type") in ("reasoning", "thinking") else choice.texts
        answer.add(kept, part.get("content", part.get("text")))
    for number, call in enumerate(calls):
        called = choice.call(number)
        called.id, called.name = call.get("id"), call.get("name") or ""
        called.arguments.append(call.get("arguments") or "")


def _object(value: Any) -> dict[str, Any]:
    found = _parsed(value)
    if isinstance(found, dict):
        return found
    return {} if found is None else {"value": found}


def _parsed(value: Any) -> Any:
    """Return what a text of JSON says, anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
