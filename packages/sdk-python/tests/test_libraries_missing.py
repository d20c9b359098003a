"""Without a library, what is for it says what it needs."""

from __future__ import annotations

import importlib
import re
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("watchllm.langchain", "langchain_core.callbacks", "langchain"),
        ("watchllm.integrations.llama_index", "llama_index.core.agent.workflow", "llama-index"),
        ("watchllm.integrations.litellm", "litellm.integrations.custom_logger", "litellm"),
        ("watchllm.integrations.openai_agents", "agents.tracing", "openai-agents"),
        ("watchllm.integrations.opentelemetry", "opentelemetry.sdk.trace.export", "otel"),
    ],
)
def test_without_the_library_it_says_what_to_install(
    module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ImportError names the extra and the Python; the rest of the SDK works."""
    monkeypatch.setitem(sys.modules, library.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, library, None)

    wanted = f"Python 3.10 or newer: pip install 'watchllm[{extra}]'"
    with pytest.raises(ImportError, match=re.escape(wanted)):
        importlib.import_module(module)
