"""The page about redaction runs, and names every kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchllm._redaction import rules_of
from watchllm._redaction._config import KINDS, RedactionConfig

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "redaction.md"
TEXT = PAGE.read_text("utf-8") if PAGE.is_file() else ""
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.skipif(not TEXT, reason="the documentation is not beside the package")


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {n}" for n in range(len(BLOCKS))])
def test_each_example_runs(block: str) -> None:
    """An example raises nothing, and what it asserts holds."""
    exec(compile(block, str(PAGE), "exec"), {})  # noqa: S102 - it is our own


def test_the_table_names_every_kind_and_placeholder() -> None:
    """Each kind has its row, with what its findings become."""
    assert BLOCKS
    for kind in KINDS:
        placeholder = re.escape(rules_of(RedactionConfig([kind]))[0].placeholder)
        assert re.search(rf"^\| `{kind}`.*\| `{placeholder}` \|", TEXT, re.MULTILINE)
