"""What a request and an answer of each API look like. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.gateway.shapes.anthropic_messages import AnthropicMessages
from watchllm_server.gateway.shapes.openai_chat import OpenAIChat
from watchllm_server.gateway.shapes.openai_completions import OpenAICompletions
from watchllm_server.gateway.shapes.openai_embeddings import OpenAIEmbeddings
from watchllm_server.gateway.shapes.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from watchllm_server.gateway.shapes.base import Shape

SHAPES: Final[tuple[Shape, ...]] = (
    OpenAIChat(),
    OpenAICompletions(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    AnthropicMessages(),
)
"""The shape of each API that is read; all else passes untouched."""

__all__ = ["SHAPES"]
