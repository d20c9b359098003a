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


@pytest.mark.parametrize("name", ["asgi", "aws_lambda", "jupyter", "wsgi"])
def test_the_others_need_nothing(name: str) -> None:
    """What is given its host, or speaks a plain protocol, imports no framework."""
    module = importlib.import_module(f"watchllm.integrations.{name}")

    assert all(hasattr(module, public) for public in module.__all__)
