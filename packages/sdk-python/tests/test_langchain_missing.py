"""Without LangChain its handler says what it needs."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_the_handler_without_langchain_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One ImportError names the extra and the Python; the rest of the SDK works."""
    monkeypatch.setitem(sys.modules, "langchain_core", None)
    monkeypatch.setitem(sys.modules, "langchain_core.callbacks", None)

    with pytest.raises(
        ImportError, match=r"Python 3.10 or newer: pip install 'watchllm\[langchain\]'"
    ):
        importlib.import_module("watchllm.langchain")
