"""What the page on assistants tells them to start answers them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from mcp import Client, StdioServerParameters

if TYPE_CHECKING:
    from conftest import Server

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "assistants.md").read_text("utf-8")


def block(language: str) -> str:
    """Return the page's block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_configurations_of_the_page_start_what_answers(server: Server) -> None:
    """Both forms say the same, and an assistant that starts it gets the project's runs."""
    entry = json.loads(block("json"))["mcpServers"]["watchllm"]
    other = tomllib.loads(block("toml"))["mcp_servers"]["watchllm"]
    started = StdioServerParameters(
        command=str(Path(sys.executable).with_name(entry["command"])),
        args=entry["args"],
        env={"WATCHLLM_BASE_URL": f"{server.url}/v1", "WATCHLLM_API_KEY": server.key},
    )

    async def ask() -> bool:
        async with Client(started) as client:
            return (await client.call_tool("list_runs")).is_error

    assert entry == other
    assert set(started.env or ()) == set(entry["env"])
    assert asyncio.run(ask()) is False
