"""The program on each client's page works as written, with another address and another key."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from endpoint import ANSWER, WEATHER
from recorded import events_of

if TYPE_CHECKING:
    from conftest import Server

PAGES = Path(__file__).parents[2] / "docs" / "howto" / "clients"
CLIENTS = sorted(path.stem for path in Path(__file__).parent.glob("*.in"))
PROMPT = "How is the weather in Rome?"
SUNNY = f"{ANSWER}\n"
OUTPUTS = {"instructor": f"{WEATHER['city']} has {WEATHER['degrees']} degrees.\n"}


def program_of(name: str, kind: str, server: Server, run_id: str) -> str:
    """Return the first program of a page, with this server's address and key, and its own run.

    It also has a question of its own: equal requests of two clients have one entry in the cache.
    """
    page = (PAGES / f"{name}.md").read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    changed = (
        found.replace("http://127.0.0.1:8787", server.url)
        .replace("wllm_...", server.key)
        .replace("run-42", run_id)
        .replace(PROMPT, f"{PROMPT} ({name})")
    )
    assert changed != found
    return str(changed)


def check(events: list[dict[str, Any]]) -> None:
    """Check that a program that ran twice made one call and one hit, both of its user."""
    first, second = events
    assert PROMPT in first["prompt"]
    assert (first["tokens_input"], first["tokens_output"], first["status"]) == (40, 12, "success")
    assert {event["user_id"] for event in events} == {"user-456"}
    assert [event["response_metadata"]["cache"] for event in events] == ["MISS", "HIT"]
    assert first["cost_usd"] > 0
    assert second["cost_usd"] == 0
    assert second["response_metadata"]["saved_usd"] == pytest.approx(first["cost_usd"])


@pytest.mark.parametrize("name", CLIENTS)
def test_the_program_of_a_page_runs_and_its_calls_are_recorded(gateway: Server, name: str) -> None:
    """Run twice, the program prints the answer twice; the second is from the cache and costs 0."""
    program = program_of(name, "python", gateway, f"run-{name}")
    python = Path(os.environ["WATCHLLM_CLIENTS"]) / name / "bin" / "python"

    outputs = [
        subprocess.run(
            [python, "-c", program],
            # LiteLLM would fetch its price list, and some clients tell their makers of each run.
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        for _ in range(2)
    ]

    assert outputs == [OUTPUTS.get(name, SUNNY)] * 2
    check(events_of(gateway, f"run-{name}", 2))


def test_the_commands_of_the_http_page_run_and_are_recorded(gateway: Server) -> None:
    """Both of curl's requests get an answer; run twice, the chat's second is from the cache."""
    command = program_of("curl", "bash", gateway, "run-curl")

    answers = [
        json.loads(
            subprocess.run(
                ["bash", "-c", f"{command.strip()} --silent --show-error --fail"],
                check=True,
                capture_output=True,
                timeout=100,
            ).stdout
        )
        for _ in range(2)
    ]

    assert [each["choices"][0]["message"]["content"] for each in answers] == [ANSWER] * 2
    check(events_of(gateway, "run-curl", 2))
