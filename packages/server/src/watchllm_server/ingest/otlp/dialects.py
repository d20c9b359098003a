"""What the attributes of a span mean: OpenTelemetry GenAI, OpenInference, OpenLLMetry.

The names are written out: no package has them all, and those of OpenTelemetry are on the move. Each
function takes from the attributes what it understands, and leaves the rest to be kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.messages import (
    Message,
    answer,
    conversation,
    indexed_message,
    openinference_message,
    read_messages,
    take_indexed,
)
from watchllm_server.ingest.otlp.usage import take_cost, take_usage
from watchllm_server.ingest.otlp.values import first, parse, text_of

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
_MODEL: Final = (
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "llm.response.model",
    "llm.response.model_name",
    "llm.request.model",
    "llm.request.model_name",
    "embedding.model_name",
    "reranker.model_name",
)
_PROVIDER: Final = ("gen_ai.provider.name", "llm.provider", "gen_ai.system", "llm.system")
_INDEXED_MESSAGES: Final = {
    "llm.input_messages.": (0, openinference_message),
    "gen_ai.prompt.": (0, indexed_message),
    "llm.prompts.": (0, indexed_message),
    "llm.output_messages.": (1, openinference_message),
    "gen_ai.completion.": (1, indexed_message),
    "llm.completions.": (1, indexed_message),
}
_INDEXED: Final = tuple(_INDEXED_MESSAGES)
_FINISH: Final = (
    "gen_ai.response.finish_reasons",
    "llm.finish_reason",
    "anthropic.message.stop_reason",
)
_PROMPT_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_OLD_PROMPT_EVENT, _OLD_ANSWER_EVENT = "gen_ai.content.prompt", "gen_ai.content.completion"
_CHOICE_EVENT: Final = "gen_ai.choice"
_DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
# What says no more than what is understood already, or repeats it in another form.
_REPEATED: Final = (
    "gen_ai.operation.name",
    "input.mime_type",
    "output.mime_type",
    "llm.is_streaming",
    "gen_ai.is_streaming",
    "openinference.span.kind",
    "traceloop.span.kind",
    "llm.request.type",
)


@dataclass(slots=True)
class ModelCall:
    """What a span says about a call of a model."""

    model: str
    prompt: str
    response: str
    usage: dict[str, Any]
    cost: float | None
    template: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Step:
    """What a span says about any other work."""

    kind: str
    input_data: dict[str, Any]
    output_data: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)


def operation(attributes: Attributes) -> str:
    """Return what a span does, in the words of its dialect in lower case; empty when unsaid."""
    for name in (
        "gen_ai.operation.name",
        "openinference.span.kind",
        "llm.request.type",
        "traceloop.span.kind",
    ):
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value.lower()
    return ""


def is_model_call(attributes: Attributes) -> bool:
    """Return whether a span is one call of a model, and not work that has such calls below it."""
    doing = operation(attributes)
    if doing:
        return doing in _CALLS
    return any(name in attributes for name in _MODEL) and any(
        name in attributes for name in (*_PROVIDER, "gen_ai.usage.input_tokens")
    )


def take_model_call(span: Span) -> ModelCall:
    """Take from a span what is known of a call of a model."""
    attributes = span.attributes
    doing = operation(attributes)
    embedding = doing in _EMBEDDINGS
    asked = attributes.get("gen_ai.request.model") or attributes.get("llm.request.model")
    model = text_of(first(attributes, *_MODEL))
    asking, answering = _take_messages(span)
    usage = take_usage(attributes)
    if embedding and "input_tokens" in usage:
        usage.setdefault("output_tokens", 0)
    call = ModelCall(
        model=model,
        prompt=conversation(asking) or _take_input(attributes, embedding=embedding),
        response="" if embedding else answer(answering) or _take_output(attributes),
        usage=usage,
        cost=take_cost(attributes),
        template=text_of(first(attributes, "gen_ai.prompt.name")),
    )
    request = _take_request(attributes)
    asked = asked or request.pop("model", None)
    call.model = call.model or text_of(asked)
    call.metadata = {
        "operation": _OPERATIONS.get(doing, doing),
        "provider": take_provider(attributes),
        "requested_model": asked if asked != call.model else None,
        "usage": usage,
        "finish_reason": _take_finish(attributes, answering),
        "response_id": first(attributes, "gen_ai.response.id"),
        "time_to_first_token_ms": _take_first_token(span),
        "reasoning": "".join(message.reasoning for message in answering),
        "tool_calls": [each for message in answering for each in message.tool_calls],
        "tools": _take_tools(attributes),
        "request": request,
    }
    for name in (*_REPEATED, "input.value", "output.value"):
        attributes.pop(name, None)
    return call


def take_step(span: Span) -> Step:
    """Take from a span what is known of work that is no call of a model."""
    attributes = span.attributes
    doing = operation(attributes)
    step = Step(
        kind=_STEP_TYPES.get(doing) or ("tool_call" if span.kind == _CLIENT else "reasoning"),
        input_data=_as_object(
            first(
                attributes,
                "gen_ai.tool.call.arguments",
                "gen_ai.input.messages",
                "gen_ai.retrieval.query.text",
                "traceloop.entity.input",
                "pydantic_ai.all_messages",
                "input.value",
            )
        ),
        output_data=_as_object(
            first(
                attributes,
                "gen_ai.tool.call.result",
                "gen_ai.output.messages",
                "gen_ai.retrieval.documents",
                "traceloop.entity.output",
                "final_result",
                "output.value",
            )
        ),
    )
    step.context = {"operation": doing}
    for name in _REPEATED:
        attributes.pop(name, None)
    return step


def take_provider(attributes: Attributes) -> str:
    """Take the provider and return it by the name of the price lists, in lower case."""
    name = text_of(first(attributes, *_PROVIDER)).lower()
    return _PROVIDERS.get(name, name)


def _take_messages(span: Span) -> tuple[list[Message], list[Message]]:
    """Take the messages to the model and those of its answer, from wherever the dialect has them.

    Where two places tell the same, as during a change of names, the first one counts.
    """
    attributes = span.attributes
    given = _messages_of_events(span)
    indexed = _take_indexed_messages(attributes)
    asking = [
        read_messages(first(attributes, "gen_ai.input.messages")),
        indexed[0],
        read_messages(first(attributes, "gen_ai.prompt", "llm.prompts")),
        given[0],
    ]
    answering = [
        read_messages(first(attributes, "gen_ai.output.messages")),
        indexed[1],
        read_messages(first(attributes, "gen_ai.completion", "llm.completions")),
        given[1],
    ]
    asked = next((messages for messages in asking if messages), [])
    instructions = read_messages(first(attributes, "gen_ai.system_instructions"))
    if instructions:
        text = "\n".join(each.text for each in instructions)
        asked = [Message("system", text), *asked]
    return asked, next((messages for messages in answering if messages), [])


def _take_indexed_messages(attributes: Attributes) -> tuple[list[Message], list[Message]]:
    """Take the messages that are spread over attributes, those of each prefix in their order."""
    found: tuple[list[Message], list[Message]] = ([], [])
    if any(name.startswith(_INDEXED) for name in attributes):
        for prefix, (side, read) in _INDEXED_MESSAGES.items():
            messages = [read(group) for group in take_indexed(attributes, prefix)]
            found[side].extend(messages if not found[side] else [])
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


def _take_input(attributes: Attributes, *, embedding: bool) -> str:
    texts = [
        text_of(group.get("embedding.text"))
        for group in take_indexed(attributes, "embedding.embeddings.")
    ]
    value = first(attributes, "input.value", "traceloop.entity.input")
    if any(texts):
        return "\n".join(texts)
    asked = parse(value)
    if isinstance(asked, dict):
        if embedding and "input" in asked:
            return text_of(asked["input"])
        if isinstance(asked.get("messages"), list):
            return conversation(read_messages(asked["messages"]))
    return text_of(value)


def _take_output(attributes: Attributes) -> str:
    return text_of(first(attributes, "output.value", "traceloop.entity.output"))


def _take_request(attributes: Attributes) -> dict[str, Any]:
    """Take the settings of the request and return them by their plain names."""
    given = parse(first(attributes, "llm.invocation_parameters", "embedding.invocation_parameters"))
    request = dict(given) if isinstance(given, dict) else {}
    for name in ("messages", "model_name"):
        request.pop(name, None)
    for name in [name for name in attributes if name.startswith("gen_ai.request.")]:
        request[name.removeprefix("gen_ai.request.")] = attributes.pop(name)
    return {name: value for name, value in request.items() if value is not None}


def _take_finish(attributes: Attributes, answering: list[Message]) -> Any:
    reasons = first(attributes, *_FINISH)
    if isinstance(reasons, list) and len(reasons) == 1:
        return reasons[0]
    return reasons or next((each.finish_reason for each in answering if each.finish_reason), None)


def _take_first_token(span: Span) -> float | None:
    seconds = first(
        span.attributes,
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
    )
    if isinstance(seconds, int | float):
        return round(1_000 * seconds, 3)
    for event in span.events:
        if event.name == "First Token Stream Event" and event.time >= span.start:
            return (event.time - span.start) / 1e6
    return None


def _take_tools(attributes: Attributes) -> Any:
    listed = [
        parse(next(iter(group.values())))
        for group in take_indexed(attributes, "llm.tools.")
        if group
    ]
    return listed or parse(first(attributes, "gen_ai.tool.definitions"))


def _as_object(value: Any) -> dict[str, Any]:
    found = parse(value)
    if found is None:
        return {}
    return found if isinstance(found, dict) else {"value": found}
