"""Real clients and the example programs ask a real language model.

It is small, runs on this machine's processor, and goes on with a text rather than answering: what
is looked at is what was recorded of its answers, never what they say. These tests run by
`make real-llm` alone, for the model is a download of 250 MB.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from recorded import events_of
from test_clients import CLIENTS, program_of
from watchllm_server.demo.children import child, free_port
from watchllm_server.demo.programs import Program, examples_folder, run_program
from watchllm_server.demo.recorded import Reader, missing, read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Server

pytestmark = [pytest.mark.real_llm, pytest.mark.timeout(600)]

# instructor needs a tool to be called, which this model never does.
ASKED_BY = [name for name in CLIENTS if name != "instructor"]
EXAMPLES = [
    "openai_chat.py",
    "research_agent.py",
    "error_handling.py",
    "async_usage.py",
    "auto_instrument.py",
]
WORDS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the model, and return the address of its API."""
    log = tmp_path_factory.mktemp("model") / "model.log"
    module = ["watchllm_server.demo.local"]
    with child("model", module, port=free_port(), environment=os.environ, log=log) as running:
        running.wait_until_ready("/v1/models", seconds=300)
        yield f"http://127.0.0.1:{running.port}/v1"


@pytest.fixture(scope="module")
def gateway_of_model(
    model: str, serving: Callable[..., AbstractContextManager[Server]]
) -> Iterator[Server]:
    """Run a server whose providers are both the model, which speaks both APIs."""
    settings = {
        f"WATCHLLM_PROVIDER_{name}_{setting}": value
        for name in ("OPENAI", "ANTHROPIC")
        for setting, value in (("BASE_URL", model), ("API_KEY", "the-model-takes-any"))
    }
    with serving(**settings) as server:
        yield server


@pytest.mark.parametrize("name", ASKED_BY)
def test_a_client_gets_the_models_answer_and_then_the_kept_one(
    gateway_of_model: Server, name: str
) -> None:
    """Both runs print one answer; the model's own counts of tokens are recorded."""
    program = program_of(name, "python", gateway_of_model, f"run-{name}")
    python = Path(os.environ["WATCHLLM_CLIENTS"]) / name / "bin" / "python"
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}

    first, second = (
        subprocess.run(
            [python, "-c", program],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=280,
        ).stdout
        for _ in range(2)
    )

    asked, kept = events_of(gateway_of_model, f"run-{name}", 2)
    assert first == second == f"{asked['response']}\n"
    assert asked["response"] == kept["response"] != ""
    caches = [event["response_metadata"]["cache"] for event in (asked, kept)]
    assert caches == ["MISS", "HIT"]
    usage = asked["response_metadata"]["usage"]
    counted = [usage.get(word) or usage.get(other) for word, other in WORDS]
    assert [asked["tokens_input"], asked["tokens_output"]] == counted
    assert min(counted) > 0
    assert "usage_estimated" not in asked["response_metadata"]


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_runs_with_a_real_model(
    model: str, server: Server, tmp_path: Path, file: str
) -> None:
    """The program ends well, every event that it logged is stored, and calls have their tokens."""
    environment = {
        **server.environment(),
        "WATCHLLM_DEBUG": "1",
        "OPENAI_BASE_URL": model,
        "OPENAI_API_KEY": "the-model-takes-any",
    }

    outcome = run_program(Program(examples_folder() / file, ""), environment, tmp_path)

    assert outcome.exit_code == 0, outcome.output
    runs = read_back(Reader(urlsplit(server.url).port or 0, server.key), outcome.logged)
    calls = [call for run in runs for call in run.of_type("prompt_call")]
    assert missing(outcome.logged, runs) == []
    assert calls
    for call in calls:
        assert call["response"]
        assert call["tokens_input"] > 0
        assert call["tokens_output"] > 0
