"""The files that pages load."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

from watchllm_server.pages.assets import Assets

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from conftest import Account


def addresses(account: Account) -> list[str]:
    """Return what the overview loads."""
    page = account.client.get(f"/projects/{account.project}/overview").text
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


def test_browsers_keep_files_for_good_under_the_hash_of_their_content(account: Account) -> None:
    """Each file that a page names is there, packed, and never asked for again."""
    found = addresses(account)

    names = {address.split("/")[2].split(".")[0] for address in found}
    assert names == {"icon", "style", "htmx", "uplot", "app"}
    for address in found:
        answer = account.client.get(address, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"


def test_a_browser_that_cannot_unpack_gets_the_plain_file(account: Account) -> None:
    """Without Accept-Encoding the same content comes unpacked."""
    address = next(each for each in addresses(account) if "style" in each)

    plain = account.client.get(address, headers={"Accept-Encoding": "identity"})
    packed = account.client.get(address, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert plain.text == packed.text


def test_another_hash_is_no_file(account: Account) -> None:
    """A file of another version is 404, so that no browser keeps the wrong one for good."""
    for path in ("/static/app.000000000000.js", "/static/css/base.css", "/static/../site.py"):
        assert account.client.get(path).status_code == 404


def test_a_page_is_packed_for_browsers_that_unpack(account: Account) -> None:
    """Pages come by gzip where that is accepted, and caches between are told so."""
    path = f"/projects/{account.project}/runs"

    packed = account.client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = account.client.get(path, headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert len(gzip.compress(plain.content)) < len(plain.content) / 2


def test_pages_do_without_what_npm_did_not_fetch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing library has no address, and the log says how to get it."""
    for name in ("css/base.css", "css/layout.css", "css/parts.css", "js/app.js", "icon.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    assets = Assets(tmp_path)

    assert assets.address("uplot.js") == assets.address("htmx.js") == ""
    assert assets.address("style.css").startswith("/static/style.")
    assert "vendor/htmx.js" in caplog.text
    assert "npm" in caplog.text
