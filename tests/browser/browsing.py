"""A tab of a real browser, and what sends events to the server that it looks at."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Server
    from playwright.sync_api import CDPSession, Page

OUTPUT = Path(__file__).parent / "output"

WHOLE = """() => {
    const later = document.querySelector(".later");
    later?.scrollIntoView();
    return !later && document.body.dataset.ready === "";
}"""
"""Scrolls, as a person would, until the page has fetched what it fetches when that is seen."""


def administer(server: Server, path: str, **body: Any) -> dict[str, Any]:
    """Post to the admin API, as anyone on the server's machine may."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{server.url}/v1/admin{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=100) as answer:  # noqa: S310 - loopback
        made: dict[str, Any] = json.load(answer)
    return made


@dataclass
class Traffic:
    """What a page loaded: bytes on the wire of each answer, and hosts that were asked."""

    transferred: list[float] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self, session: CDPSession) -> None:
        """Count from now on."""
        session.send("Network.enable")
        session.on(
            "Network.loadingFinished",
            lambda told: self.transferred.append(told["encodedDataLength"]),
        )


@dataclass
class Tab:
    """A page of the browser, with whatever went wrong in it."""

    page: Page
    url: str
    traffic: Traffic = field(default_factory=Traffic)
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Load a page of the server and wait until it rests."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("load")
        return self.page
