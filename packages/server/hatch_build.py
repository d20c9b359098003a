"""Carry the repository's examples into the package, where `watchllm demo` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KINDS = ("*.py", "*.md", "requirements.txt")


class ExamplesHook(BuildHookInterface[Any]):
    """Add examples/ to every kind of build.

    In the repository the folder stands two levels up; an sdist carries its own copy, so that a
    wheel built from the sdist holds the same files.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Map each file to its place in the artefact being built."""
        root = Path(self.root)
        examples = root / "examples"
        if not examples.is_dir():
            examples = root.parent.parent / "examples"
        inside = "examples" if self.target_name == "sdist" else "watchllm_server/demo/programs"
        files = sorted(file for kind in KINDS for file in examples.glob(kind))
        if not files:
            raise FileNotFoundError(f"The programs of the demo are not in {examples}.")
        for file in files:
            build_data["force_include"][str(file)] = f"{inside}/{file.name}"
