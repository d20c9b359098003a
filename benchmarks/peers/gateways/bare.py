"""The bare proxy: the least that any proxy in Python adds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from gateways.gateway import Gateway

PROGRAM = Path(__file__).parent.parent.parent / "gateway_bare.py"


class Bare(Gateway):
    """uvicorn and aiohttp as our server has them, passing bytes on: no key, no JSON, no record."""

    name = "(a bare proxy)"
    environment = "watchllm-server"
    distribution = "uvicorn"
    ready = "/"  # the provider answers, as to everything

    @cached_property
    def version(self) -> str:
        """Have none: it is no product."""
        return ""

    @property
    def weighed(self) -> bool:
        """Be part of our server's environment."""
        return False

    def command(self, directory: Path, port: int) -> list[str]:  # noqa: ARG002 - it keeps nothing
        """Start the program beside the benchmarks."""
        return [str(self.python), str(PROGRAM), str(port), f"http://127.0.0.1:{self.provider}"]
