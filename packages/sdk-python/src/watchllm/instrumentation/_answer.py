"""What a model said, whole or put together from the parts of a stream."""

from __future__ import annotations

from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_CHARACTERS = 4_000_000
"""Of one answer, that are kept while it is streamed: more than an event may hold."""


def of(value: Any, name: str) -> Any:
    """Return a field of an object of a library, or of a dict; None if it has none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of an object of a library, also those that it does not know, or a dict.

    Pydantic takes longer to say that there is no such field than this takes for all of them.
    """
    if isinstance(value, dict):
        return value
    extra = getattr(value, "__pydantic_extra__", None) or {}
    return {**getattr(value, "__dict__", {}), **extra}


def plain(value: Any, depth: int = 8) -> Any:
    """Return an object of a library as dicts and lists, without what is None."""
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value] if depth else str(type(value))
    if not (isinstance(value, dict) or hasattr(value, "__dict__")):
        return value
    return {
        name: plain(item, depth - 1) if depth else str(type(item))
        for name, item in fields_of(value).items()
        if item is not None and not str(name).startswith("_")
    }


class Choice:
    """One of the answers that a call has, most often the only one."""

    __slots__ = ("calls", "finish_reason", "reasoning", "refusal", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[Any, ToolCall] = {}
        self.finish_reason: str | None = None

    def call(self, key: Any) -> ToolCall:
        """Return the tool call of a key, a new one for a new key."""
        found = self.calls.get(key)
        if found is None:
            found = self.calls[key] = ToolCall()
        return found


class ToolCall:
    """A tool that the model wants called. `arguments` are parts of JSON, or one object."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.arguments: list[Any] = []

    def text(self) -> str:
        """Return the arguments as JSON."""
        from watchllm._encoding import dumps

        if all(isinstance(part, str) for part in self.arguments):
            return "".join(self.arguments)
        return dumps(plain(self.arguments[0]))

    def metadata(self) -> dict[str, Any]:
        """Return the call as an object."""
        import json

        arguments: Any = self.text()
        with suppress(ValueError):  # of what was cut short, or is no JSON
            arguments = json.loads(arguments)
        return {"id": self.id, "name": self.name, "arguments": arguments}


class Answer:
    """What is known of an answer so far."""

    __slots__ = ("_left", "choices", "error", "extra", "model", "response_id", "usage")

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.usage: dict[str, Any] = {}
        self.choices: dict[int, Choice] = {}
        self.error: dict[str, Any] | None = None
        self.extra: dict[str, Any] = {}
        self._left = MOST_CHARACTERS

    def choice(self, index: int) -> Choice:
        """Return the choice of that number, a new one for a new number."""
        found = self.choices.get(index)
        if found is None:
            found = self.choices[index] = Choice()
        return found

    def add(self, texts: list[Any], text: Any) -> bool:
        """Add a part to a text; say whether it is a text that is not empty."""
        if not text or not isinstance(text, str):
            return False
        if self._left > 0:
            texts.append(text)
            self._left -= len(text)
        return True

    def head(self, content: Any, *names: str) -> None:
        """Read the id and the model, and more fields that are kept as they are."""
        self.response_id = of(content, "id") or self.response_id
        self.model = of(content, "model") or self.model
        for name in names:
            value = of(content, name)
            if value is not None:
                self.extra[name] = value

    def read_usage(self, usage: Any) -> None:
        """Read what was used; what is told later adds to it, or corrects it."""
        found = plain(usage)
        if isinstance(found, dict):
            self.usage.update(found)

    def text(self) -> str:
        """Return what was said and, a line each, the tools to call; choices in paragraphs."""
        paragraphs = []
        for choice in self.choices.values():
            lines = ["".join(choice.texts) or "".join(choice.refusal)]
            lines += [f"{call.name}({call.text()})" for call in choice.calls.values()]
            paragraphs.append("\n".join(line for line in lines if line))
        return "\n\n".join(paragraphs)

    def tokens(self) -> tuple[int | None, int | None]:
        """Return the tokens of the prompt and of the answer, None where it does not say."""
        usage = self.usage
        given, made = (
            usage.get(f"{new}_tokens", usage.get(f"{old}_tokens"))
            for new, old in (("input", "prompt"), ("output", "completion"))
        )
        return given, made

    def fields(self) -> dict[str, Any]:
        """Return it as fields of an event, with all else as `metadata`."""
        tokens_input, tokens_output = self.tokens()
        return {
            "response": self.text(),
            "model": self.model,
            "tokens_input": tokens_input,
            "tokens_output": tokens_output,
            "metadata": self.metadata(),
        }

    def metadata(self) -> dict[str, Any]:
        """Return all else, as the event's metadata."""
        choices = list(self.choices.values())
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        return {
            **self.extra,
            "response_id": self.response_id,
            "usage": self.usage,
            "finish_reason": reasons[0] if len(set(reasons)) == 1 else reasons,
            "reasoning": "".join(part for choice in choices for part in choice.reasoning),
            "refusal": "".join(part for choice in choices for part in choice.refusal),
            "tool_calls": [call.metadata() for choice in choices for call in choice.calls.values()],
        }
