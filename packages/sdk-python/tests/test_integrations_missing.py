"""Without its framework, an integration says what it needs; those that need none are there."""

from __future__ import annotations

import importlib
import sys

import pytest

NEEDED = [("celery", "celery"), ("django", "django"), ("flask", "flask"), ("rq", "rq")]


@pytest.mark.parametrize(("name", "needs"), NEEDED)
def test_an_integration_without_its_framework_says_what_to_install(
    name: str, needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One ImportError names the framework, its oldest version, and the command."""
    for module in (needs, "asgiref"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ImportError, match=rf"integrations\.{name} needs .* pip install '{needs}>="):
        importlib.import_module(f"watchllm.integrations.{name}")


@pytest.mark.parametrize("name", ["asgi", "wsgi"])
def test_plain_protocols_need_nothing(name: str) -> None:
    """ASGI and WSGI are agreements: their middleware imports no framework."""
    assert importlib.import_module(f"watchllm.integrations.{name}").WatchLLMMiddleware
