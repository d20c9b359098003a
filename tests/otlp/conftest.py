"""Apps in environments of their own, each with one instrumentation, and the endpoint they ask."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Server

HERE = Path(__file__).parent
INSTRUMENTATIONS = {
    "genai": "opentelemetry.instrumentation.genai.openai",
    "openinference": "openinference.instrumentation.openai",
    "openllmetry": "opentelemetry.instrumentation.openai",
}


@dataclass(frozen=True)
class App:
    """The app as one instrumentation's user runs it."""

    name: str
    server: Server
    endpoint: str

    def run(self, **settings: str) -> list[dict[str, Any]]:
        """Run the app with the exporter set up by its environment; return its run's events."""
        environment = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.server.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{self.server.key}",
            "OTEL_SERVICE_NAME": "weather",
            "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2,deployment.environment.name=staging",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
            **settings,
        }
        python = Path(os.environ["WATCHLLM_OTLP_CLIENTS"]) / self.name / "bin" / "python"
        command = [python, HERE / "client.py", INSTRUMENTATIONS[self.name], self.endpoint]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert ended.returncode == 0, ended.stderr
        found: list[dict[str, Any]] = self.server.run(ended.stdout.split()[0])["events"]
        return found


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Start the endpoint and return its base URL."""
    with subprocess.Popen(
        [sys.executable, HERE / "upstream.py"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.terminate()


@pytest.fixture(scope="session", params=INSTRUMENTATIONS)
def app(request: pytest.FixtureRequest, server: Server, endpoint: str) -> App:
    """Return the app with one instrumentation after the other."""
    return App(request.param, server, endpoint)


@pytest.fixture(scope="session")
def events(app: App) -> list[dict[str, Any]]:
    """Run the app once and return the events of its run in the order in which they ended."""
    return app.run()
