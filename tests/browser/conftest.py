"""A real browser before a real server that holds a month of a shop's events."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import OUTPUT, Tab
from playwright.sync_api import sync_playwright
from watchllm_server.demo.history import history, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Server
    from playwright.sync_api import Browser

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def shop(serving: Callable[..., AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run a server whose project holds a month of events, the last of this hour."""
    with serving() as server:
        send(server.url, server.key, history(datetime.now(UTC)))
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; what it shows is kept in output/."""
    OUTPUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        path = os.environ.get("WATCHLLM_CHROMIUM") or shutil.which("chromium")
        assert path, "there is no chromium: install it, or name one in WATCHLLM_CHROMIUM"
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser, shop: Server) -> Iterator[Callable[..., Tab]]:
    """Return what opens tabs. No tab may end with an error, a dialog or a foreign request."""
    opened: list[Tab] = []

    def make(*, width: int = 1280, scheme: str = "light", javascript: bool = True) -> Tab:
        context = chromium.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=javascript,
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        made = Tab(context.new_page(), shop.url)
        made.page.set_default_timeout(20_000)
        made.traffic.watch(context.new_cdp_session(made.page))
        made.page.on("pageerror", lambda error: made.faults.append(str(error)))
        made.page.on(
            "console",
            lambda line: made.faults.append(line.text) if line.type == "error" else None,
        )
        made.page.on("dialog", lambda dialog: (made.faults.append("dialog"), dialog.dismiss()))
        made.page.on(
            "request", lambda request: made.traffic.hosts.add("/".join(request.url.split("/")[:3]))
        )
        opened.append(made)
        return made

    yield make
    faults = [fault for each in opened for fault in each.faults]
    hosts = {host for each in opened for host in each.traffic.hosts}
    for each in opened:
        each.page.context.close()
    assert faults == []
    assert hosts <= {shop.url}


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the script of axe-core."""
    folder = os.environ.get("WATCHLLM_AXE") or str(Path(__file__).parent / "node_modules")
    return (Path(folder) / "axe-core" / "axe.min.js").read_text()
