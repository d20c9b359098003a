"""A recorded call as a command and as a program, to make it again."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any, Final

from watchllm_server.pages.words import said_in_turns

_MOST: Final = 50_000
_MAX_TOKENS: Final = 1_024
_ROLES: Final = {"human": "user", "ai": "assistant", "model": "assistant"}
_SYSTEM: Final = frozenset({"system", "developer"})
# A tool's answer needs the call that asked for it, which a text does not have.
_PLAIN: Final = frozenset({"user", "assistant"})


@dataclass(frozen=True, slots=True)
class Replay:
    """How to make a call again. The keys stand in the environment of whoever runs it."""

    curl: str
    python: str


def replay_of_call(model: str, prompt: str) -> Replay | None:
    """Return how to make a call again; None when its model is unknown or its prompt very long."""
    if not model or len(prompt) > _MOST:
        return None
    turns = [(_ROLES.get(role, role), text) for role, text in said_in_turns(prompt)]
    name = model.rpartition("/")[2]
    return _anthropic(name, turns) if name.startswith("claude") else _openai(model, turns)


def _openai(model: str, turns: list[tuple[str, str]]) -> Replay:
    messages = [
        {"role": role if role in _PLAIN | _SYSTEM else "user", "content": text}
        for role, text in turns
    ]
    body = {"model": model, "messages": messages}
    headers = ['-H "Authorization: Bearer $OPENAI_API_KEY"']
    address = '"${OPENAI_BASE_URL:-https://api.openai.com/v1}/chat/completions"'
    python = (
        "from openai import OpenAI\n\n"
        "answer = OpenAI().chat.completions.create(\n"
        f"    model={_python(model)},\n"
        f"    messages={_python(messages)},\n"
        ")\n"
        "print(answer.choices[0].message.content)\n"
    )
    return Replay(_curl(address, headers, body), python)


def _anthropic(model: str, turns: list[tuple[str, str]]) -> Replay:
    system = "\n\n".join(text for role, text in turns if role in _SYSTEM)
    messages = [
        {"role": role if role in _PLAIN else "user", "content": text}
        for role, text in turns
        if role not in _SYSTEM
    ]
    body: dict[str, Any] = {"model": model, "max_tokens": _MAX_TOKENS}
    if system:
        body["system"] = system
    body["messages"] = messages
    headers = ['-H "x-api-key: $ANTHROPIC_API_KEY"', "-H 'anthropic-version: 2023-06-01'"]
    address = '"${ANTHROPIC_BASE_URL:-https://api.anthropic.com}/v1/messages"'
    given = "".join(f"    {name}={_python(value)},\n" for name, value in body.items())
    python = (
        "from anthropic import Anthropic\n\n"
        f"answer = Anthropic().messages.create(\n{given})\n"
        "print(answer.content[0].text)\n"
    )
    return Replay(_curl(address, headers, body), python)


def _curl(address: str, headers: list[str], body: dict[str, Any]) -> str:
    lines = [f"curl {address}", *headers, "-H 'Content-Type: application/json'"]
    return " \\\n  ".join([*lines, f"-d {shlex.quote(_json(body))}"])


def _json(value: Any) -> str:
    """Return JSON in which every character that is not seen is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _python(value: Any) -> str:
    """Return a value as Python, in which repr escapes every character that is not seen."""
    if isinstance(value, list):
        return "[\n" + "".join(f"        {each!r},\n" for each in value) + "    ]"
    return repr(value)
