"""MLflow, with SQLite and one worker."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from servers.server import Server, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPERIMENT = "0"  # the one that is always there
API = "/api/3.0/mlflow/traces"


class MLflow(Server):
    """`mlflow server` with one worker process, because SQLite takes one writer."""

    name = "MLflow"
    environment = "mlflow"
    distribution = "mlflow"
    ready = "/health"
    headers = MappingProxyType({"x-mlflow-experiment-id": EXPERIMENT})

    def command(self, directory: Path, port: int) -> list[str]:
        """Start it."""
        store = ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
        served = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
        return [str(self.home / "bin" / "mlflow"), "server", *store, *served]

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - as named
        """Have it report nothing to its makers, and find its own programs."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{self.home / 'bin'}:/usr/bin:/bin"}

    def count(self, port: int) -> int:
        """Return the experiment's number of spans."""
        asked = {
            "experiment_ids": [EXPERIMENT],
            "view_type": "SPANS",
            "metric_name": "span_count",
            "aggregations": [{"aggregation_type": "COUNT"}],
        }
        points = ask(port, f"{API}/metrics", asked).get("data_points", [])
        return sum(int(point["values"]["COUNT"]) for point in points)

    def newest(self, port: int) -> int:
        """Ask for the newest traces, with previews of their texts."""
        return self._found(port, order_by=["timestamp_ms DESC"])

    def searches(self) -> dict[str, Callable[[int, str], int]]:
        """Look for a part of what the spans of a trace hold."""
        return {
            "substring": lambda port, text: self._found(port, filter=f"trace.text LIKE '%{text}%'")
        }

    def _found(self, port: int, **question: Any) -> int:
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": EXPERIMENT}}
        asked = {"locations": [place], "max_results": 50, **question}
        return len(ask(port, f"{API}/search", asked).get("traces", []))
