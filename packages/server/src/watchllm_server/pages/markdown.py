"""Markdown as HTML that is harmless: no HTML of its own, no images, links to the web alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore

MAX: Final = 20_000
"""Characters of a text that are rendered; a longer one is shown as it is."""

_CELLS: Final = frozenset({"th_open", "td_open"})
_HEADINGS: Final = frozenset({"heading_open", "heading_close"})


def rendered(text: str) -> Markup | None:
    """Return a text of Markdown as HTML, or None when it is too long. Safe from any thread."""
    if len(text) > MAX:
        return None
    return Markup(_PARSER.render(text))  # noqa: S704 - HTML in the text is escaped, see _parser


class _Parser(MarkdownIt):
    """A parser that makes links of addresses on the web alone."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        """Tell whether an address may be a link."""
        return url.lower().startswith(("http://", "https://"))


def _parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"])
    # An image would be loaded from elsewhere, and tell there that someone looks at the page.
    parser.disable("image")
    parser.core.ruler.push("harmless", _harmless)
    return parser


def _harmless(state: StateCore) -> None:
    """Take away what a page may not have: styles, headings among its own, links that tell of us."""
    for token in state.tokens:
        if token.type in _CELLS:
            token.attrs.pop("style", None)
        elif token.type in _HEADINGS:
            token.tag = "p"
            if token.nesting == 1:
                token.attrSet("class", "heading")
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer nofollow")


_PARSER: Final = _parser()
