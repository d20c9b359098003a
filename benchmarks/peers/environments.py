"""The environment of a product: made from pinned versions, and weighed."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = "3.11"


class Environment:
    """What is installed of a product, below .venv/peers.

    `environment` names its directory and `requirements-<environment>.txt`; `requirements` are lines
    beside that file. `distribution` gives the version that is shown.
    """

    environment: str
    distribution: str
    requirements: tuple[str, ...]

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
            [
                uv,
                "pip",
                "install",
                "-q",
                "--compile-bytecode",
                "-p",
                self.python,
                "-r",
                pinned,
                *self.requirements,
            ],
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
        """The version installed."""
        code = f"import importlib.metadata as m; print(m.version({self.distribution!r}))"
        return subprocess.run(
            [self.python, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()


def _uv() -> str:
    booted = ROOT / ".venv" / "boot" / "bin" / "uv"
    found = str(booted) if booted.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("uv is missing: run `make bench-peers`, which installs it.")
    os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return found
