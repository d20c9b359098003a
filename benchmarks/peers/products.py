"""The products that are compared, each with what it takes to install and to start it."""

from __future__ import annotations

import dataclasses
from functools import cached_property

from environments import Environment


@dataclasses.dataclass
class Product(Environment):
    """A product, or one way to set it up.

    `imports` is the statement that an app has at its top. Where nothing `delivers`, CPU is counted
    per event logged.
    """

    name: str
    logger: str
    distribution: str
    imports: str
    options: dict[str, object] = dataclasses.field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    environment: str = ""
    delivers: bool = True

    def __post_init__(self) -> None:
        self.environment = self.environment or self.logger

    @cached_property
    def version(self) -> str:
        """The version installed, "" where there is no product."""
        return super().version if self.delivers else ""


OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
"""


def products(wheel: str) -> list[Product]:
    """Return all that is compared; `wheel` is the file of our own SDK."""

    def ours(name: str, environment: str = "watchllm", **options: object) -> Product:
        imports = "from watchllm import WatchLLMClient"
        return Product(name, "watchllm", "watchllm", imports, options, (wheel,), environment)

    floor = dataclasses.replace(ours("(an empty call)"), logger="nothing", imports="pass")
    floor.delivers = False
    return [
        floor,
        ours("watchllm"),
        ours("watchllm[fast]", "watchllm-fast"),
        ours("watchllm, in memory, unredacted", durability="memory", redact_pii=False),
        Product("OpenTelemetry", "opentelemetry", "opentelemetry-sdk", OPENTELEMETRY),
        Product("LangSmith", "langsmith", "langsmith", "from langsmith import Client, uuid7"),
        Product("PostHog", "posthog", "posthog", "from posthog import Posthog"),
        Product("Langfuse", "langfuse", "langfuse", "from langfuse import Langfuse"),
        Product("Sentry", "sentry", "sentry-sdk", "import sentry_sdk"),
        Product("Opik", "opik", "opik", "from opik import Opik"),
    ]
