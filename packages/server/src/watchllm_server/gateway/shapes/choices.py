"""Answers that are lists of choices: chat completions and completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watchllm_server.gateway.shapes.base import Answer
from watchllm_server.gateway.shapes.deltas import merge, settled
from watchllm_server.gateway.shapes.reading import fields, items, read_body, text, usage_of
from watchllm_server.gateway.shapes.sse import DONE, MalformedStreamError, decoded, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from watchllm_server.gateway.shapes.sse import Event

# Fields that every event of a stream repeats; others stand in the first.
_REPEATED: Final = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
# Random characters that hide the length of the pieces from eavesdroppers.
_PADDING: Final = "obfuscation"


class ChoicesTelling:
    """Collect a stream of choices.

    `into` names what a choice's `delta` grows into; without it, the choice itself grows.
    """

    def __init__(self, object_: str, into: str = "") -> None:
        self.ended = False
        self._object = object_
        self._into = into
        self._head: dict[str, Any] = {}
        self._usage: Any = None
        self._choices: dict[int, dict[str, Any]] = {}

    def take(self, event: Event) -> None:
        """Take the next event."""
        if event.data == DONE:
            self.ended = True
            if not self._choices or not all(map(has_ended, self._choices.values())):
                raise MalformedStreamError("The stream ended before its choices.")
            return
        chunk = decoded(event.data)
        if chunk.get("error") is not None:
            raise MalformedStreamError("The stream reports an error.")
        for choice in chunk.pop("choices"):
            self._take_choice(choice)
        self._usage = chunk.pop("usage", None) or self._usage
        chunk.pop(_PADDING, None)
        for name, value in chunk.items():
            # Azure begins with an event in which id and model are empty.
            self._head[name] = value or self._head.get(name, value)

    def _take_choice(self, choice: dict[str, Any]) -> None:
        into = self._choices.setdefault(int(choice.pop("index", 0)), {})
        if self._into:
            merge(into.setdefault(self._into, {}), choice.pop("delta", None) or {})
        merge(into, choice)

    def body(self) -> dict[str, Any]:
        """Return the body of the same answer without streaming."""
        found = [self._choice(index) for index in sorted(self._choices)]
        made = {**self._head, "object": self._object, "choices": found}
        if self._usage is not None:
            made["usage"] = self._usage
        return made

    def _choice(self, index: int) -> dict[str, Any]:
        choice = {"index": index, **settled(self._choices[index])}
        if self._into:
            message = {"role": "assistant", "content": None, **choice[self._into]}
            for call in items(message.get("tool_calls")):
                call.pop("index", None)
            choice[self._into] = message
        return choice


def has_ended(choice: dict[str, Any]) -> bool:
    """Say whether a choice came to an end that is no error."""
    return text(choice.get("finish_reason")) not in ("", "error")


def successful(body: bytes, said: str, kind: type) -> bool:
    """Say whether a body is an answer, each of whose choices has come to its end.

    `said` is the field of a choice that holds what it says, of the given kind.
    """
    found = read_body(body)
    choices = items(found.get("choices"))
    whole = (has_ended(choice) and isinstance(choice.get(said), kind) for choice in choices)
    return bool(choices) and found.get("error") is None and all(whole)


def answer_of(
    body: dict[str, Any], said: Callable[[dict[str, Any]], tuple[str, list[dict[str, Any]]]]
) -> Answer:
    """Return what the choices say; the texts of several stand in paragraphs."""
    choices = items(body.get("choices"))
    told = [said(choice) for choice in choices]
    return Answer(
        "\n\n".join(words for words, _ in told if words),
        [call for _, calls in told for call in calls],
        usage_of(body),
        next((text(each.get("finish_reason")) for each in choices), ""),
        text(body.get("model")),
    )


def chunks(
    body: bytes,
    object_: str,
    split: Callable[[dict[str, Any]], Iterable[dict[str, Any]]],
    *,
    include_usage: bool,
) -> list[bytes]:
    """Return a body as a stream; `split` returns a choice as the choices of its events."""
    found = read_body(body)
    repeated = {name: found[name] for name in _REPEATED if name in found} | {"object": object_}
    # As OpenAI has it: whoever asks for usage finds it null in all events but one.
    null_usage = {"usage": None} if include_usage else {}
    once = {
        name: value
        for name, value in found.items()
        if name not in repeated and name not in ("choices", "usage")
    }
    made = []
    for choice in items(found.get("choices")):
        for piece in split(choice):
            made.append(written({**repeated, **once, "choices": [piece], **null_usage}))
            once = {}
    usage = fields(found.get("usage"))
    if include_usage and usage:
        made.append(written({**repeated, "choices": [], "usage": usage}))
    made.append(b"data: " + DONE + b"\n\n")
    return made
