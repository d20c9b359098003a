"""The names of attributes in every dialect, by what they mean.

They are written out: no package has them all, and those of OpenTelemetry are on the move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.ingest.otlp.span import Attributes


class Names:
    """Names by meaning. Where several of one meaning have a value, the first named counts."""

    def __init__(self, meanings: Mapping[str, tuple[str, ...]]) -> None:
        self._meanings = {name: meaning for meaning, names in meanings.items() for name in names}
        self._ranks = {name: rank for rank, name in enumerate(self._meanings)}

    def take(self, attributes: Attributes) -> dict[str, Any]:
        """Take all attributes that have one of the names, and return their values by meaning."""
        found: dict[str, Any] = {}
        for name in sorted(attributes.keys() & self._ranks.keys(), key=self._ranks.__getitem__):
            value = attributes.pop(name)
            if value is not None and value != "":
                found.setdefault(self._meanings[name], value)
        return found


OPERATION: Final = (
    "gen_ai.operation.name",
    "openinference.span.kind",
    "llm.request.type",
    "traceloop.span.kind",
)
MODEL: Final = (
    "gen_ai.response.model",
    "llm.model_name",
    "llm.response.model",
    "llm.response.model_name",
    "embedding.model_name",
    "reranker.model_name",
)
REQUESTED: Final = ("gen_ai.request.model", "llm.request.model", "llm.request.model_name")
PROVIDER: Final = ("gen_ai.provider.name", "llm.provider", "gen_ai.system", "llm.system")
INPUT_TOKENS: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
RESPONSE_ID: Final = "gen_ai.response.id"
# What says no more than is understood already.
_NOTHING_MORE: Final = (
    *OPERATION,
    "input.mime_type",
    "output.mime_type",
    "llm.is_streaming",
    "gen_ai.is_streaming",
)

_SPAN: Final = {
    "user": ("user.id", "enduser.id", "traceloop.association.properties.user_id"),
    "session": (
        "gen_ai.conversation.id",
        "session.id",
        "traceloop.association.properties.session_id",
    ),
    "tags": ("tag.tags",),
    "error": ("error.type",),
}
USAGE: Final = {
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "total_tokens": (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
    ),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.details.cache_read_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
    ),
    "input_audio_tokens": ("llm.token_count.prompt_details.audio",),
    "output_audio_tokens": ("llm.token_count.completion_details.audio",),
}
CALL: Final = Names(
    {
        **_SPAN,
        **USAGE,
        "model": MODEL,
        "requested": REQUESTED,
        "provider": PROVIDER,
        "asked": ("gen_ai.input.messages",),
        "asked in one text": ("gen_ai.prompt", "llm.prompts"),
        "answered": ("gen_ai.output.messages",),
        "answered in one text": ("gen_ai.completion", "llm.completions"),
        "instructions": ("gen_ai.system_instructions",),
        "input": ("input.value", "traceloop.entity.input"),
        "output": ("output.value", "traceloop.entity.output"),
        "settings": ("llm.invocation_parameters", "embedding.invocation_parameters"),
        "finish": (
            "gen_ai.response.finish_reasons",
            "llm.finish_reason",
            "anthropic.message.stop_reason",
        ),
        "response id": (RESPONSE_ID,),
        "first token": (
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.server.time_to_first_token",
        ),
        "tools": ("gen_ai.tool.definitions",),
        "template": ("gen_ai.prompt.name",),
        "cost": ("llm.cost.total", "gen_ai.usage.cost", "operation.cost"),
        "nothing": _NOTHING_MORE,
    }
)
STEP: Final = Names(
    {
        **_SPAN,
        "provider": PROVIDER,
        "input": (
            "gen_ai.tool.call.arguments",
            "gen_ai.input.messages",
            "gen_ai.retrieval.query.text",
            "traceloop.entity.input",
            "pydantic_ai.all_messages",
            "input.value",
        ),
        "output": (
            "gen_ai.tool.call.result",
            "gen_ai.output.messages",
            "gen_ai.retrieval.documents",
            "traceloop.entity.output",
            "final_result",
            "output.value",
        ),
        "nothing": _NOTHING_MORE,
    }
)
