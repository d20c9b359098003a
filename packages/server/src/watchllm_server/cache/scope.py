"""What must be the same, to the letter, before two questions are compared by their meaning.

All of a request but the text of its last user turn is hashed: earlier turns, system and developer
messages, tools to any depth, the form of the answer, sampling, the other parts of the last turn.
A scope is a partition: nothing is ever looked for across two of them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from watchllm_server.cache.key import is_repeatable, request_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TEXT_PARTS: Final = frozenset({"text", "input_text"})
# Stands where the text was. No request of which the scope is asked has an object there.
_QUESTION: Final = {"question": True}
_FIELDS: Final = {
    "openai.chat": "messages",
    "anthropic.messages": "messages",
    "openai.responses": "input",
    "openai.completions": "prompt",
}
# What no embedder reads: its hash would take time for nothing.
_LONGEST: Final = 8_000
_BARE: Final = frozenset({"openai.responses", "openai.completions"})


class Question(NamedTuple):
    """The text that is compared by meaning, and the 32 bytes of the scope that it is asked in."""

    scope: bytes
    text: str


def question_of(
    *,
    project: str,
    namespace: str,
    provider: str,
    shape: str,
    request: dict[str, Any],
    headers: Iterable[tuple[str, str]],
    query: str,
) -> Question | None:
    """Return the question of a request, or None where only an equal request has the same answer.

    All is given as to `request_key`, and counts like there. There is no question where the last
    turn is not the user's or has no text, or more than 8,000 characters of it, and where the answer
    does not depend on the request alone. Raises RecursionError as `request_key` does.
    """
    found = _parted(shape, request)
    if found is None or not is_repeatable(request):
        return None
    text, rest = found
    if len(text) > _LONGEST or not text.strip() or not _is_written(text):
        return None
    key = request_key(
        project=project,
        namespace=namespace,
        provider=provider,
        shape=shape,
        request=rest,
        headers=headers,
        query=query,
    )
    return Question(hashlib.sha256(b"scope" + key).digest(), text)


def _parted(shape: str, request: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the text of the last user turn, and the request with a mark in its place."""
    name = _FIELDS.get(shape, "")
    given = request.get(name)
    if isinstance(given, str) and shape in _BARE:
        return given, {**request, name: _QUESTION}
    turns = given if isinstance(given, list) else []
    last = turns[-1] if turns else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    found = _content(last.get("content")) if last.get("type", "message") == "message" else None
    if found is None:
        return None
    text, content = found
    return text, {**request, name: [*turns[:-1], {**last, "content": content}]}


def _content(content: Any) -> tuple[str, Any] | None:
    """Return the text of a content, or of the last of its parts, and the content without it."""
    if isinstance(content, str):
        return content, _QUESTION
    if not isinstance(content, list):
        return None
    place = _last_text(content)
    if place is None:
        return None
    part = content[place]
    return part["text"], [*content[:place], {**part, "text": _QUESTION}, *content[place + 1 :]]


def _last_text(parts: Sequence[Any]) -> int | None:
    for place in reversed(range(len(parts))):
        part = parts[place]
        if isinstance(part, dict) and part.get("type") in _TEXT_PARTS:
            return place if isinstance(part.get("text"), str) else None
    return None


def _is_written(text: str) -> bool:
    """Say whether a text has no half of a surrogate pair, which nothing but JSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
