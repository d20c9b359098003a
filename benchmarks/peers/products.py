"""The products that are compared, each with what it takes to install and to start it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = "3.11"


@dataclasses.dataclass
class Product:
    """A product, or one way to set it up.

    `imports` is the statement that an app has at its top. `requirements` are lines beside
    `requirements-<environment>.txt`. `distribution` gives the version that is shown. Where nothing
    `delivers`, CPU is counted per event logged.
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

    @property
    def home(self) -> Path:
        """The directory of its environment."""
        return ROOT / ".venv" / "peers" / self.environment

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.home / "bin" / "python"

    def install(self) -> None:
        """Make its environment anew, from pinned versions."""
        uv = _uv()
        pinned = HERE / f"requirements-{self.environment}.txt"
        subprocess.run([uv, "venv", "-q", "--clear", "-p", PYTHON, self.home], check=True)
        subprocess.run(
            [uv, "pip", "install", "-q", "-p", self.python, "-r", pinned, *self.requirements],
            check=True,
        )

    @cached_property
    def packages(self) -> list[str]:
        """The distributions in its environment, itself among them."""
        return sorted(path.name for path in self.home.rglob("*.dist-info"))

    @cached_property
    def megabytes(self) -> float:
        """What its environment's packages take on disk, without compiled caches."""
        packages = next(self.home.glob("lib/python*/site-packages"))
        files = (p for p in packages.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        own = (p for p in files if not p.name.startswith("_virtualenv"))
        return sum(path.stat().st_size for path in own) / 1e6

    @cached_property
    def version(self) -> str:
        """The version installed, "" where there is no product."""
        if not self.delivers:
            return ""
        code = f"import importlib.metadata as m; print(m.version({self.distribution!r}))"
        return subprocess.run(
            [self.python, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()


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


def _uv() -> str:
    booted = ROOT / ".venv" / "boot" / "bin" / "uv"
    found = str(booted) if booted.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("uv is missing: run `make bench-peers`, which installs it.")
    os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return found
