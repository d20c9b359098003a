"""The programs of docs/howto/instrument.md run as they stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import watchllm

from conftest import NAME
from programs import PAGE, PROGRAMS

if TYPE_CHECKING:
    from upstream import Endpoint

OTHERS = {"openai", "anthropic"} - {NAME}


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_runs_and_logs(
    number: int, endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each program of the page that needs no other library runs, and its calls are logged."""
    program = compile(PROGRAMS[number], str(PAGE), "exec")
    if OTHERS & set(program.co_names):
        pytest.skip(f"it is of the environments of {', '.join(OTHERS)}")
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{endpoint.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", endpoint.url)
    exec(program, {"__name__": "__main__"})  # noqa: S102 - our own page
    watchllm.disable_instrumentation()

    calls = watchllm_events.of_type("prompt_call")
    steps = watchllm_events.of_type("agent_step")
    assert len(calls) == PROGRAMS[number].count("client.")
    assert all(call["status"] == "success" for call in calls)
    assert all(call["tokens_output"] == 12 for call in calls)
    assert len(steps) == 2 * PROGRAMS[number].count("@watchllm.step")
    assert all(step["tags"] == ["agent"] for step in steps)
    assert len({event["run_id"] for event in watchllm_events}) <= 1
