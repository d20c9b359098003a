"""A response of OpenAI as the events that its API streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watchllm_server.gateway.shapes.reading import fields, items, text
from watchllm_server.gateway.shapes.sse import pieces, written

if TYPE_CHECKING:
    from collections.abc import Iterator

# The text of a part or an item that grows, and what its events are called.
_PARTS: Final = {
    "output_text": ("text", "output_text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning_text"),
}
_ITEMS: Final = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}
_Event = tuple[str, dict[str, Any]]


def events(body: dict[str, Any]) -> list[bytes]:
    """Return the events of a response, numbered, the last of which holds the whole of it."""
    made = []
    for number, (kind, data) in enumerate(_told(body)):
        name = f"response.{kind}"
        made.append(written({"type": name, "sequence_number": number, **data}, name))
    return made


def _told(body: dict[str, Any]) -> Iterator[_Event]:
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    begun |= {name: None for name in ("incomplete_details", "completed_at") if name in body}
    yield "created", {"response": begun}
    yield "in_progress", {"response": begun}
    for index, item in enumerate(items(body.get("output"))):
        yield from _item(index, item)
    yield "incomplete" if body.get("status") == "incomplete" else "completed", {"response": body}


def _item(index: int, item: dict[str, Any]) -> Iterator[_Event]:
    kind = text(item.get("type"))
    here = {"output_index": index, "item_id": text(item.get("id"))}
    begun = dict(item)
    if "status" in item:
        begun["status"] = "in_progress"
    begun |= {name: [] for name in ("content", "summary") if isinstance(item.get(name), list)}
    grows, name = _ITEMS.get(kind, ("", ""))
    if grows:
        begun[grows] = ""
    yield "output_item.added", {"output_index": index, "item": begun}
    for place, part in enumerate(items(item.get("summary"))):
        yield from _summary(here | {"summary_index": place}, part)
    for place, part in enumerate(items(item.get("content"))):
        yield from _part(here | {"content_index": place}, part)
    if grows:
        whole = text(item.get(grows))
        for piece in pieces(whole):
            yield f"{name}.delta", {**here, "delta": piece}
        named = {"name": text(item.get("name"))} if kind == "function_call" else {}
        yield f"{name}.done", {**here, grows: whole, **named}
    yield "output_item.done", {"output_index": index, "item": item}


def _part(here: dict[str, Any], part: dict[str, Any]) -> Iterator[_Event]:
    grows, name = _PARTS.get(text(part.get("type")), ("", ""))
    if not grows:
        yield "content_part.added", {**here, "part": part}
        yield "content_part.done", {**here, "part": part}
        return
    begun = {**part, grows: ""}
    begun |= {name: [] for name in ("annotations", "logprobs") if isinstance(part.get(name), list)}
    yield "content_part.added", {**here, "part": begun}
    whole = text(part.get(grows))
    # Clients read the probabilities of a piece without asking whether there are any.
    probabilities = {"logprobs": part.get("logprobs") or []} if name == "output_text" else {}
    extra = dict(probabilities)
    for piece in pieces(whole):
        yield f"{name}.delta", {**here, "delta": piece, **extra}
        extra = {"logprobs": []} if extra else {}
    for place, annotation in enumerate(items(part.get("annotations"))):
        noted = {**here, "annotation_index": place, "annotation": annotation}
        yield f"{name}.annotation.added", noted
    yield f"{name}.done", {**here, grows: whole, **probabilities}
    yield "content_part.done", {**here, "part": part}


def _summary(here: dict[str, Any], part: dict[str, Any]) -> Iterator[_Event]:
    whole = text(fields(part).get("text"))
    yield "reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}
    for piece in pieces(whole):
        yield "reasoning_summary_text.delta", {**here, "delta": piece}
    yield "reasoning_summary_text.done", {**here, "text": whole}
    yield "reasoning_summary_part.done", {**here, "part": part}
