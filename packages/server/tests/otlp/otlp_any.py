"""Attributes of any kind, under names that mean something and others."""

from __future__ import annotations

from hypothesis import strategies as st

_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner),
    ),
    max_leaves=8,
)
_NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(
        [
            "gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.output.messages",
            "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.prompt.0.content",
            "gen_ai.system_instructions", "gen_ai.response.finish_reasons", "error.type",
            "llm.input_messages.0.message.tool_calls.0.tool_call.function.name",
            "llm.invocation_parameters", "openinference.span.kind", "input.value", "tag.tags",
            "llm.cost.total", "gen_ai.response.time_to_first_chunk", "llm.tools.0.x", "user.id",
        ]
    ),
)  # fmt: skip
ATTRIBUTES = st.dictionaries(_NAMES, VALUES, max_size=8)
FEW_ATTRIBUTES = st.dictionaries(_NAMES, VALUES, max_size=3)
