"""The programs of the documentation and of examples/frameworks, run as they stand there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "instrument.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run_example(name: str) -> None:
    """Run a program of examples/frameworks in this process."""
    runpy.run_path(str(ROOT / "examples" / "frameworks" / name), run_name="__main__")
