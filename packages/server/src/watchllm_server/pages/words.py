"""The texts of an event as a person reads them: whole or their beginning, in turns of a chat."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.jsontext import parse
from watchllm_server.messages import read_messages, said
from watchllm_server.pages.markdown import rendered

if TYPE_CHECKING:
    from markupsafe import Markup

SHOWN: Final = 20_000
"""Characters of a text that are shown at first."""

_CONTROLS: Final = (
    {
        # As signs that are seen: an escape does nothing on a page, and would not be noticed there.
        code: 0x2400 + code
        for code in range(0x20)
        if chr(code) not in "\t\n\r"
    }
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
# As the SDK and the gateway write a conversation down.
_TURN: Final = re.compile(
    r"(?:\A|\n\n)(system|developer|user|human|assistant|ai|tool|function|model): "
)
_USERS: Final = frozenset({"user", "human"})
_MODELS: Final = frozenset({"assistant", "ai", "model"})


@dataclass(frozen=True, slots=True)
class Words:
    """A text: formatted where it may be, else as it is."""

    text: str
    """With signs for control characters; only its beginning when `cut` is not 0."""
    html: Markup | None
    """The same from Markdown; None for plain texts and for long ones."""
    cut: int
    """How many characters are not shown."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says in a conversation."""

    role: str
    side: str
    """user, model or other: where it stands."""
    words: Words


def words(text: str, *, formatted: bool = True, whole: bool = False) -> Words:
    """Return a text to show; unless `whole`, its beginning when it is long."""
    shown = text if whole else text[:SHOWN]
    seen = visible(shown)
    html = rendered(seen) if formatted else None
    return Words(seen, html, len(text) - len(shown))


def visible(text: str) -> str:
    """Return a text in which control characters are seen, as by ␛ for an escape."""
    return text.translate(_CONTROLS)


def said_in_turns(prompt: str) -> list[tuple[str, str]]:
    """Return the roles and texts of a conversation; a prompt that is none is the user's.

    A conversation is a list of messages in JSON, or paragraphs that each begin with a role.
    """
    if prompt[:1] in ("[", "{"):
        found = parse(prompt)
        listed = found.get("messages") if isinstance(found, dict) else found
        if _is_chat(listed):
            return [(message.role, said(message)) for message in read_messages(listed)]
    marks = list(_TURN.finditer(prompt))
    if not marks or marks[0].start():
        return [("user", prompt)]
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)]
    return [(mark[1], prompt[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]


def turns(prompt: str, *, formatted: bool = True, whole: bool = False) -> list[Turn]:
    """Return a prompt as the turns of a conversation; unless `whole`, not more than is readable."""
    found, left = [], SHOWN
    for role, text in said_in_turns(prompt):
        shown = words(text if whole else text[: max(left, 0)], formatted=formatted, whole=True)
        cut = 0 if whole else len(text) - min(len(text), max(left, 0))
        left -= len(text)
        side = "user" if role in _USERS else "model" if role in _MODELS else "other"
        found.append(Turn(visible(role)[:40], side, Words(shown.text, shown.html, cut)))
    return found


def _is_chat(listed: object) -> bool:
    return (
        isinstance(listed, list)
        and bool(listed)
        and all(
            isinstance(each, dict)
            and isinstance(each.get("role"), str)
            and ("content" in each or "parts" in each or "tool_calls" in each)
            for each in listed
        )
    )
