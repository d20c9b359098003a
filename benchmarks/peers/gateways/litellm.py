"""LiteLLM's proxy, with one worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from measured import KEY

from gateways.gateway import Gateway

if TYPE_CHECKING:
    from pathlib import Path


class LiteLLM(Gateway):
    """`litellm` with one worker, a master key, no database and no callbacks."""

    name = "LiteLLM"
    environment = "litellm"
    distribution = "litellm"
    ready = "/health/liveliness"

    def command(self, directory: Path, port: int) -> list[str]:
        """Write its configuration, and start it."""
        configuration = directory / "litellm.yaml"
        configuration.write_text(json.dumps(self._configuration()))  # JSON is YAML
        served = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        litellm = str(self.home / "bin" / "litellm")
        return [litellm, "--config", str(configuration), *served, "--telemetry", "False"]

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - as named
        """Have it take its installed list of prices, and write of errors alone."""
        return {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "PATH": f"{self.home / 'bin'}:/usr/bin:/bin",
        }

    def _configuration(self) -> dict[str, object]:
        provider = {"model": "openai/gpt-4o", "api_base": self.provider_url, "api_key": "unused"}
        return {
            "model_list": [{"model_name": "gpt-4o", "litellm_params": provider}],
            "general_settings": {"master_key": KEY},
        }
