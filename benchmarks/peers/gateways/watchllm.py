"""Our server as a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measured import KEY, PROJECT

from gateways.gateway import Gateway

if TYPE_CHECKING:
    from pathlib import Path


class WatchLLM(Gateway):
    """`watchllm serve` with its defaults: it knows the key, prices each call and stores it."""

    name = "WatchLLM"
    environment = "watchllm-server"
    distribution = "watchllm-server"
    ready = "/readyz"

    def command(self, directory: Path, port: int) -> list[str]:
        """Start the installed wheel."""
        serve = [str(self.python), "-m", "watchllm", "serve"]
        return [*serve, "--port", str(port), "--data-dir", str(directory)]

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - as named
        """Give the first project and its key, and the provider."""
        return {
            "WATCHLLM_INIT_PROJECT_ID": PROJECT,
            "WATCHLLM_INIT_API_KEY": KEY,
            "WATCHLLM_PROVIDER_OPENAI_BASE_URL": self.provider_url,
        }
