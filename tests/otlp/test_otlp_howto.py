"""What the how-to tells a reader to do works as written."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Server

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "opentelemetry.md").read_text()


def test_the_program_of_the_page_runs_and_its_call_is_stored(server: Server, endpoint: str) -> None:
    """The page's settings and program, with another address and key, give a run with a call."""
    shell, program = re.findall(r"^```(?:bash|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    settings = dict(re.findall(r'^export (\w+)="?(.*?)"?$', shell, re.MULTILINE))
    settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.url
    settings["OTEL_EXPORTER_OTLP_HEADERS"] = settings["OTEL_EXPORTER_OTLP_HEADERS"].replace(
        "wllm_...", server.key
    )
    settings |= {"OPENAI_BASE_URL": endpoint, "OPENAI_API_KEY": "none"}

    done = subprocess.run(
        [Path(os.environ["WATCHLLM_OTLP_CLIENTS"]) / "genai" / "bin" / "python", "-c", program],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    assert done.stdout == "Rome is sunny.\n"
    question = b'{"user_id": "user-456", "event_types": ["agent_step"], "limit": 1}'
    status, answer = server.post("/v1/events/query", question)
    assert status == 200
    call, step = server.run(json.loads(answer)["events"][0]["run_id"])["events"]
    assert (step["step_name"], step["service"]) == ("answer", "weather")
    assert (call["prompt"], call["response"]) == ("How is the weather in Rome?", "Rome is sunny.")
    assert call["parent_event_id"] == step["event_id"]
