"""Texts as a person reads them: in turns, formatted, cut, and with nothing that acts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.pages.markdown import MAX, rendered
from watchllm_server.pages.words import SHOWN, said_in_turns, turns, visible, words

ACTIVE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)></svg>",
    "![picture](https://elsewhere.example/x.png)",
    "[click](javascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "<https://elsewhere.example/&quot;onclick=alert(1)>",
    '[a](https://x.example "title\\" onmouseover=alert(1)")',
    "|a|\n|:-:|\n|b|",
    "<!-- --><iframe src=//x>",
    "```<script>\nx\n```",
]


@pytest.mark.parametrize("text", ACTIVE)
def test_markdown_becomes_nothing_that_acts(text: str) -> None:
    """No element but plain ones, no attribute that acts or loads: only links to the web."""
    from html.parser import HTMLParser  # noqa: PLC0415 - used here alone

    allowed = {
        "p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "em", "strong",
    }  # fmt: skip
    found: list[tuple[str, dict[str, str | None]]] = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Elements().feed(rendered(text) or "")

    for tag, attributes in found:
        assert tag in allowed
        assert set(attributes) <= {"href", "rel", "class", "title"}
        assert (attributes.get("href") or "https://").startswith(("http://", "https://"))


def test_markdown_is_formatted() -> None:
    """Lists, code and links are; a heading is no heading of the page."""
    html = rendered("# Plan\n\n- **one**\n\n[more](https://example.com)\n\n    code")

    assert html is not None
    for part in (
        '<p class="heading">Plan</p>', "<strong>one</strong>", "<pre><code>code",
        '<a href="https://example.com" rel="noopener noreferrer nofollow">more</a>',
    ):  # fmt: skip
        assert part in html


def test_a_long_text_is_not_formatted() -> None:
    """What takes long to format is shown as it is."""
    assert rendered("x" * (MAX + 1)) is None


def test_control_characters_are_seen() -> None:
    """Escapes of terminals and the like are signs; line breaks and tabs stay."""
    assert visible("a\x1b[31mb\x00\x7f\x9b\tc\r\nd") == "a␛[31mb␀␡\ufffd\tc\r\nd"


def test_a_long_text_is_cut_until_it_is_wanted_whole() -> None:
    """Of a text of a million characters the beginning is shown, and how many are not."""
    text = "x" * 1_000_000

    beginning, all_of_it = words(text), words(text, whole=True)

    assert (len(beginning.text), beginning.cut) == (SHOWN, 1_000_000 - SHOWN)
    assert (len(all_of_it.text), all_of_it.cut, all_of_it.html) == (1_000_000, 0, None)


def test_a_plain_prompt_is_the_users() -> None:
    """A text without roles is one turn, whatever is in the middle of it."""
    text = "What does this say?\n\nuser: hello"

    assert said_in_turns(text) == [("user", text)]


def test_a_written_conversation_is_taken_apart() -> None:
    """Paragraphs that begin with roles are turns; others belong to the turn before."""
    text = "system: Be short.\n\nReally.\n\nuser: Hi: you\n\nassistant: Yes?\n\nuser: "

    found = said_in_turns(text)

    assert found == [
        ("system", "Be short.\n\nReally."), ("user", "Hi: you"),
        ("assistant", "Yes?"), ("user", ""),
    ]  # fmt: skip
    assert [turn.side for turn in turns(text)] == ["other", "user", "model", "user"]


def test_messages_in_json_are_taken_apart() -> None:
    """A list of messages as an API takes it is a conversation, with its parts and tool calls."""
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
    ]
    expected = [("system", "Be short."), ("user", "Hi"), ("assistant", "f({})")]

    assert said_in_turns(json.dumps(messages)) == expected
    assert said_in_turns(json.dumps({"messages": messages})) == expected


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "[", '[{"role": 1}]', '{"messages": 5}', "[]"])
def test_other_json_is_a_text(text: str) -> None:
    """JSON that is no conversation is shown as it is."""
    assert said_in_turns(text) == [("user", text)]


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.text("ab :\n"))))
def test_turns_hold_the_whole_prompt(said: list[tuple[str, str]]) -> None:
    """Whatever a prompt is, its turns written down again are the prompt."""
    prompt = "\n\n".join(f"{role}: {text}" for role, text in said)

    found = said_in_turns(prompt)

    written = "\n\n".join(f"{role}: {text}" for role, text in found)
    assert written == (prompt if said else "user: ")


def test_a_long_conversation_is_cut_as_a_whole() -> None:
    """Each turn is there; together they show no more than one text does."""
    text = f"system: {'a' * SHOWN}\n\nuser: {'b' * 50}"

    system, user = turns(text)

    assert (len(system.words.text), system.words.cut) == (SHOWN, 0)
    assert (user.words.text, user.words.cut) == ("", 50)
    assert turns(text, whole=True)[1].words.text == "b" * 50
