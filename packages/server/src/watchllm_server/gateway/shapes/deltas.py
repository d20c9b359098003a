"""Merging the pieces of an answer: texts grow, lists grow, objects are merged.

A piece may hold fields that no one here has heard of; they are merged by the same rules. Texts are
collected and joined at the end, so that an answer of many pieces takes time in proportion to it.
"""

from __future__ import annotations

from typing import Any, Final

from watchllm_server.gateway.shapes.sse import MalformedStreamError

# Texts that come whole, though some providers repeat them in each piece.
_WHOLE: Final = frozenset({"role", "id", "type", "name", "format", "object", "finish_reason"})
# Lists whose objects come in pieces and say which they continue; all other lists just grow.
_INDEXED: Final = frozenset({"tool_calls", "reasoning_details"})
# Texts that some models (Mistral's) tell in parts, each of a kind: what is thought, what is said.
_PARTED: Final = frozenset({"content", "thinking"})
_DIFFERENT: Final = 2


class _Text(list[str]):
    """The pieces of a text."""


class _Indexed(dict[int, dict[str, Any]]):
    """Objects of a list, by their index."""


def merge(into: dict[str, Any], piece: dict[str, Any]) -> None:
    """Merge a piece of an object; raise MalformedStreamError where the kinds do not fit."""
    for name, new in piece.items():
        into[name] = _merged(name, into.get(name), new)


def settled(value: Any) -> Any:
    """Return what was merged as plain JSON; the objects of a list stand in order of index."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, _Indexed):
        return [settled(value[index]) for index in sorted(value)]
    if isinstance(value, dict):
        return {name: settled(inner) for name, inner in value.items()}
    return [settled(inner) for inner in value] if isinstance(value, list) else value


def _merged(name: str, old: Any, new: Any) -> Any:
    if new is None:
        return old
    if old is None:
        return _first(name, new)
    if isinstance(new, str):
        return _merged_text(name, old, new)
    if isinstance(new, dict):
        if not isinstance(old, dict) or isinstance(old, _Indexed):
            raise MalformedStreamError(f"{name!r} was no object before.")
        merge(old, new)
        return old
    if isinstance(new, list):
        return _merged_list(name, old, new)
    return new


def _first(name: str, new: Any) -> Any:
    if isinstance(new, str):
        return new if name in _WHOLE else _Text([new])
    if isinstance(new, dict):
        made: dict[str, Any] = {}
        merge(made, new)
        return made
    return _merged_list(name, None, new) if isinstance(new, list) else new


def _merged_text(name: str, old: Any, new: str) -> Any:
    if name in _WHOLE:
        return new or old
    if name in _PARTED and type(old) is list:
        return _with_parts(old, [{"type": "text", "text": new}]) if new else old
    if not isinstance(old, _Text):
        raise MalformedStreamError(f"{name!r} was no text before.")
    old.append(new)
    return old


def _merged_list(name: str, old: Any, new: list[Any]) -> Any:
    if name in _INDEXED:
        old = _Indexed() if old is None else old
        if not isinstance(old, _Indexed):
            raise MalformedStreamError(f"{name!r} was no list before.")
        for place, each in enumerate(new):
            merge(old.setdefault(_index(old, each, place), {}), each)
        return old
    if name in _PARTED:
        if isinstance(old, _Text):
            old = [{"type": "text", "text": old}] if any(old) else []
        return _with_parts([] if old is None else old, new)
    if old is None:
        return new
    if type(old) is not list:
        raise MalformedStreamError(f"{name!r} was no list before.")
    old.extend(new)
    return old


def _with_parts(parts: Any, new: list[Any]) -> Any:
    """Return a list of parts, the last of which may grow by the first of the new ones."""
    if type(parts) is not list or not all(isinstance(each, dict) for each in new):
        raise MalformedStreamError("What comes in parts is no list of objects.")
    for place, each in enumerate(new):
        if not place and parts and _continues(parts[-1], each):
            merge(parts[-1], each)
        else:
            parts.append(_first("", each))
    return parts


def _continues(last: dict[str, Any], part: dict[str, Any]) -> bool:
    kinds = [last.get("type"), part.get("type")]
    return kinds in (["text", "text"], ["thinking", "thinking"])


def _index(known: _Indexed, piece: dict[str, Any], place: int) -> int:
    """Return which of the known objects a piece continues.

    Some providers give every tool call the index 0: another id is another call.
    """
    index = int(piece.get("index", place))
    ids = {known.get(index, {}).get("id"), piece.get("id")} - {None, ""}
    return index if len(ids) < _DIFFERENT else max(known) + 1
