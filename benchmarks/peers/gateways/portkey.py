"""Portkey's gateway, which runs on Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gateways.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

PINNED = Path(__file__).parent / "portkey"
PACKAGE = Path("node_modules") / "@portkey-ai" / "gateway"


class Portkey(Gateway):
    """`@portkey-ai/gateway` with its defaults; the provider is told by headers."""

    name = "Portkey"
    environment = distribution = "portkey"
    ready = "/"

    @property
    def missing(self) -> str:
        """Say which program of Node is not here."""
        lacking = [program for program in ("node", "npm") if shutil.which(program) is None]
        return f"{' and '.join(lacking)} not found" if lacking else ""

    def install(self) -> None:
        """Make its directory anew, from the versions of package-lock.json."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(PINNED, self.home)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(["npm", "ci", *quiet], cwd=self.home, check=True)  # noqa: S607 - as found

    @cached_property
    def packages(self) -> list[str]:
        """The packages in its directory, itself among them."""
        installed = json.loads((self.home / "node_modules" / ".package-lock.json").read_text())
        return sorted(installed["packages"])

    @cached_property
    def megabytes(self) -> float:
        """What its packages take on disk; Node itself is not counted."""
        files = (path for path in (self.home / "node_modules").rglob("*") if path.is_file())
        return sum(path.lstat().st_size for path in files) / 1e6

    @cached_property
    def version(self) -> str:
        """The version installed."""
        return str(json.loads((self.home / PACKAGE / "package.json").read_text())["version"])

    def command(self, directory: Path, port: int) -> list[str]:  # noqa: ARG002 - it keeps nothing
        """Start it."""
        server = self.home / PACKAGE / "build" / "start-server.js"
        return [shutil.which("node") or "node", str(server), f"--port={port}", "--headless"]

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - as named
        """Say that it serves users, not developers."""
        return {"NODE_ENV": "production"}

    def headers(self) -> Mapping[str, str]:
        """Name the provider and its address."""
        return {"x-portkey-provider": "openai", "x-portkey-custom-host": self.provider_url}
