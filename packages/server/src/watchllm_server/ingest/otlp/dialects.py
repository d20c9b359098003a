"""What the attributes of a span mean: OpenTelemetry GenAI, OpenInference, OpenLLMetry.

Each function takes from the attributes what it understands; the rest is kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp import names
from watchllm_server.ingest.otlp.messages import (
    Indexed,
    indexed_message,
    openinference_message,
    take_indexed,
)
from watchllm_server.ingest.otlp.usage import cost_of, usage_of
from watchllm_server.jsontext import parse, text_of
from watchllm_server.messages import Message, answer, conversation, read_messages

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes, Span

_CLIENT: Final = 3
_CALLS: Final = frozenset(
    {"chat", "completion", "text_completion", "generate_content", "embeddings", "embedding", "llm"}
)
_OPERATIONS: Final = {"llm": "chat", "embedding": "embeddings"}
"""What other dialects call the operations of OpenTelemetry."""
_EMBEDDINGS: Final = frozenset({"embeddings", "embedding"})
_STEP_TYPES: Final = {
    "execute_tool": "tool_call",
    "retrieval": "tool_call",
    "tool": "tool_call",
    "retriever": "tool_call",
    "reranker": "tool_call",
    "guardrail": "validation",
    "evaluator": "validation",
}
_PROVIDERS: Final = {
    # As the price lists name them, where they do not know the name of the conventions.
    "az.ai.inference": "azure",
    "azure.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "ibm.watsonx.ai": "watsonx",
    "x_ai": "x-ai",
}
_INDEXED_MESSAGES: Final = {
    "llm.input_messages": (0, openinference_message),
    "gen_ai.prompt": (0, indexed_message),
    "llm.prompts": (0, indexed_message),
    "llm.output_messages": (1, openinference_message),
    "gen_ai.completion": (1, indexed_message),
    "llm.completions": (1, indexed_message),
}
_EMBEDDED, _TOOLS = "embedding.embeddings", "llm.tools"
_INDEXED: Final = frozenset((*_INDEXED_MESSAGES, _EMBEDDED, _TOOLS))
_PROMPT_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_OLD_PROMPT_EVENT, _OLD_ANSWER_EVENT = "gen_ai.content.prompt", "gen_ai.content.completion"
_CHOICE_EVENT: Final = "gen_ai.choice"
_DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
_FIRST_CHUNK_EVENT: Final = "First Token Stream Event"
_SETTING: Final = "gen_ai.request."
_MODELS: Final = frozenset(names.MODEL + names.REQUESTED)
_MODEL_SIGNS: Final = frozenset((*names.PROVIDER, *names.INPUT_TOKENS))


@dataclass(slots=True)
class ModelCall:
    """What a span says about a call of a model."""

    model: str
    prompt: str
    response: str
    usage: dict[str, Any]
    cost: float | None
    template: str
    metadata: dict[str, Any]


@dataclass(slots=True)
class Step:
    """What a span says about any other work."""

    kind: str
    input_data: dict[str, Any]
    output_data: dict[str, Any]
    context: dict[str, Any]


def operation(attributes: Attributes) -> str:
    """Return what a span does, in the words of its dialect in lower case; empty when unsaid."""
    for name in names.OPERATION:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value.lower()
    return ""


def is_model_call(attributes: Attributes) -> bool:
    """Return whether a span is one call of a model, and not work that has such calls below it."""
    doing = operation(attributes)
    if doing:
        return doing in _CALLS
    return not (_MODELS.isdisjoint(attributes) or _MODEL_SIGNS.isdisjoint(attributes))


def take_known(attributes: Attributes, *, call: bool) -> dict[str, Any]:
    """Take what has a name that is understood, and return it by its meaning.

    `call` says whether the span is a call of a model. `operation` is what the span does.
    """
    doing = operation(attributes)
    known = (names.CALL if call else names.STEP).take(attributes)
    known["operation"] = doing
    return known


def take_model_call(span: Span, known: dict[str, Any]) -> ModelCall:
    """Take from a span the rest of what it says about a call of a model."""
    attributes = span.attributes
    doing = known["operation"]
    embedding = doing in _EMBEDDINGS
    indexed = take_indexed(attributes, _INDEXED)
    asking, answering = _take_messages(span, known, indexed)
    usage = usage_of(known)
    if embedding and "input_tokens" in usage:
        usage.setdefault("output_tokens", 0)
    settings = _take_settings(attributes, known)
    requested = known.get("requested") or settings.pop("model", None)
    model = text_of(known.get("model") or requested)
    return ModelCall(
        model=model,
        prompt=conversation(asking) or _input(known, indexed, embedding=embedding),
        response="" if embedding else answer(answering) or text_of(known.get("output")),
        usage=usage,
        cost=cost_of(known.get("cost")),
        template=text_of(known.get("template")),
        metadata={
            "operation": _OPERATIONS.get(doing, doing),
            "provider": provider(known),
            "requested_model": requested if requested != model else None,
            "usage": usage,
            "finish_reason": _finish(known.get("finish"), answering),
            "response_id": known.get("response id"),
            "time_to_first_token_ms": _first_token(span, known.get("first token")),
            "reasoning": "".join(message.reasoning for message in answering),
            "tool_calls": [each for message in answering for each in message.tool_calls],
            "tools": _tools(known, indexed),
            "request": settings,
        },
    )


def step_of(span: Span, known: dict[str, Any]) -> Step:
    """Return what a span says about work that is no call of a model."""
    doing = known["operation"]
    return Step(
        kind=_STEP_TYPES.get(doing) or ("tool_call" if span.kind == _CLIENT else "reasoning"),
        input_data=_as_object(known.get("input")),
        output_data=_as_object(known.get("output")),
        context={"operation": doing, "provider": provider(known)},
    )


def provider(known: dict[str, Any]) -> str:
    """Return the provider by the name of the price lists, in lower case; empty when unsaid."""
    name = text_of(known.get("provider")).lower()
    return _PROVIDERS.get(name, name)


def _take_messages(
    span: Span, known: dict[str, Any], indexed: Indexed
) -> tuple[list[Message], list[Message]]:
    """Take the messages to the model and those of its answer, from wherever the dialect has them.

    Where two places tell the same, as during a change of names, the first one counts.
    """
    told = _messages_of_events(span)
    spread = _indexed_messages(indexed)
    asked = (
        read_messages(known.get("asked"))
        or spread[0]
        or read_messages(known.get("asked in one text"))
        or told[0]
    )
    answered = (
        read_messages(known.get("answered"))
        or spread[1]
        or read_messages(known.get("answered in one text"))
        or told[1]
    )
    instructions = read_messages(known.get("instructions"))
    if instructions:
        text = "\n".join(each.text for each in instructions)
        asked = [Message("system", text), *asked]
    return asked, answered


def _indexed_messages(indexed: Indexed) -> tuple[list[Message], list[Message]]:
    """Return the messages that were spread over attributes, those of each side's first prefix."""
    found: tuple[list[Message], list[Message]] = ([], [])
    for prefix, (side, read) in _INDEXED_MESSAGES.items() if indexed else ():
        if not found[side]:
            found[side].extend(map(read, indexed.get(prefix, ())))
    return found


def _messages_of_events(span: Span) -> tuple[list[Message], list[Message]]:
    asking: list[Message] = []
    answering: list[Message] = []
    if not span.events:
        return asking, answering
    kept = []
    for event in span.events:
        inner = event.attributes
        if event.name in _PROMPT_EVENTS:
            role = text_of(inner.get("role")) or _PROMPT_EVENTS[event.name]
            asking += read_messages([{**inner, "role": role}])
        elif event.name == _CHOICE_EVENT:
            found = parse(inner.get("message", inner))
            answering += read_messages([found])
        elif event.name == _OLD_PROMPT_EVENT:
            asking += read_messages(inner.get("gen_ai.prompt"))
        elif event.name == _OLD_ANSWER_EVENT:
            answering += read_messages(inner.get("gen_ai.completion"))
        elif event.name == _DETAILS_EVENT:
            asking += read_messages(inner.get("gen_ai.input.messages"))
            answering += read_messages(inner.get("gen_ai.output.messages"))
        else:
            kept.append(event)
    span.events = kept
    return asking, answering


def _input(known: dict[str, Any], indexed: Indexed, *, embedding: bool) -> str:
    texts = [text_of(group.get("embedding.text")) for group in indexed.get(_EMBEDDED, ())]
    if any(texts):
        return "\n".join(texts)
    value = known.get("input")
    asked = parse(value)
    if isinstance(asked, dict):
        if embedding and "input" in asked:
            return text_of(asked["input"])
        if isinstance(asked.get("messages"), list):
            return conversation(read_messages(asked["messages"]))
    return text_of(value)


def _take_settings(attributes: Attributes, known: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of the request and return them by their plain names."""
    given = parse(known.get("settings"))
    settings = dict(given) if isinstance(given, dict) else {}
    for name in ("messages", "model_name"):
        settings.pop(name, None)
    for name in [name for name in attributes if name.startswith(_SETTING)]:
        settings[name.removeprefix(_SETTING)] = attributes.pop(name)
    return {name: value for name, value in settings.items() if value is not None}


def _finish(reasons: Any, answering: list[Message]) -> Any:
    if isinstance(reasons, list) and len(reasons) == 1:
        return reasons[0]
    return reasons or next((each.finish_reason for each in answering if each.finish_reason), None)


def _first_token(span: Span, seconds: Any) -> float | None:
    if isinstance(seconds, int | float):
        return round(1_000 * seconds, 3)
    for event in span.events:
        if event.name == _FIRST_CHUNK_EVENT and event.time >= span.start:
            return (event.time - span.start) / 1e6
    return None


def _tools(known: dict[str, Any], indexed: Indexed) -> Any:
    listed = [parse(next(iter(group.values()))) for group in indexed.get(_TOOLS, ())]
    return listed or parse(known.get("tools"))


def _as_object(value: Any) -> dict[str, Any]:
    found = parse(value)
    if found is None:
        return {}
    return found if isinstance(found, dict) else {"value": found}
