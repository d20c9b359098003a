"""The README's examples run, and its table of settings is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import watchllm
from watchllm._config import SETTINGS

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {n}" for n in range(len(BLOCKS))])
def test_each_example_runs(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example raises nothing and sends nothing when the environment says that it is disabled."""
    if "MemoryTransport" not in block:
        monkeypatch.setenv("WATCHLLM_ENABLED", "false")
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - it is our own

    watchllm.init(enabled=False)


def test_the_table_names_every_setting() -> None:
    """Each setting has its row with variable and default."""
    for setting in SETTINGS:
        default = "required" if setting.required else "none"
        if setting.default is not None:
            default = f"`{setting.default}`"

        assert f"| `{setting.name}` | `{setting.env}` | {default} |" in README
