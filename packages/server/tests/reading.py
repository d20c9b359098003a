"""Pages taken apart as HTML, for tests."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Account

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "</pre></details><script>x</script>",
    "{{ 7 * 7 }}{% raw %}",
]
VOID = {"meta", "link", "img", "br", "hr", "input", "rect"}


class Page(HTMLParser):
    """A page taken apart: its text, its tags with attributes, and what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data

    def links(self) -> list[str]:
        """Return where links lead."""
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a"]


def show_page(account: Account, path: str) -> Page:
    """Return a page that must be there, well formed and without anything foreign."""
    answer = account.client.get(path)
    assert answer.status_code == 200, answer.text
    page = Page(answer.text)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "style"}
        assert tag != "script" or (attributes["src"] or "").startswith("/static/")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        address = attributes.get("href") or attributes.get("src") or "/"
        assert address[0] in "/#"
        assert not address.startswith("//")
    return page
