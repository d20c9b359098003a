"""Events as bytes: compact records for the spool, and the JSON that the collector takes.

The caller of a log method pays for a record, so its long texts stay as they are in UTF-8; the
worker makes JSON of it. The first byte of a record tells its kind:

J and the event as JSON; or
T, a line with the size of the JSON and the name and size of each long text, the event as JSON
without these texts, then the texts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

LARGEST_EVENT_BYTES = 8_000_000
LONG_TEXT_CHARACTERS = 200  # from here on escaping a text costs more than keeping it apart
_DESCRIPTION_BYTES = 200  # more than what stands in the place of a field
_CONTROLS = bytes(range(32))
_MARKER = b" [TRUNCATED: larger than the collector takes]"
_JSON = ord("J")


def _standard() -> Callable[[Any], str]:
    """Return the encoder of the standard library, without what JSONEncoder does for each call."""
    from json import JSONEncoder, encoder

    kept = JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:  # pragma: no cover - an interpreter without the C module
        return kept.encode
    quoted = encoder.encode_basestring
    in_c = make(None, kept.default, quoted, None, ":", ",", False, False, False)
    return lambda value: "".join(in_c(value, 0))


class Encoder:
    """Encode what a walk returned; `fast` tells that orjson does it. Safe to use from any thread.

    `orjson` is given by the client if it is installed.
    """

    def __init__(self, orjson: Any = None) -> None:
        self._fast: Callable[[Any], bytes] | None = orjson.dumps if orjson is not None else None
        self.text = _standard()

    def record(self, head: str, fields: dict[str, Any], texts: dict[str, str]) -> bytes:
        """Return the record of an event.

        `head` is the beginning of its JSON, up to a comma; `fields` are the rest, at least one,
        without the long `texts`. `fields` may be changed.
        """
        if self._fast is not None:
            fields.update(texts)
            data = b"J%b%b" % (head.encode(), self._fast(fields)[1:])
        else:
            event = (head + self.text(fields)[1:]).encode()
            line = f"T{len(event)}"
            parts = [b"", event]
            for name, text in texts.items():
                part = text.encode()
                line += f" {name} {len(part)}"
                parts.append(part)
            parts[0] = f"{line}\n".encode()
            data = b"".join(parts)
        if len(data) <= LARGEST_EVENT_BYTES:
            return data
        import json

        return b"J" + encode({**json.loads(head[:-1] + "}"), **fields, **texts})


_encoder: Encoder | None = None


def dumps(value: Any) -> str:
    """Return JSON text of data that a walk returned."""
    global _encoder  # noqa: PLW0603 - made when first needed: it imports json
    if _encoder is None:
        _encoder = Encoder()
    return _encoder.text(value)


def unpack(record: bytes) -> bytes:
    """Return the event of a record as JSON; raises ValueError if it is no record."""
    if record[0] == _JSON:
        return record[1:]
    line, found, rest = record.partition(b"\n")
    kind, *fields = line[1:].split(b" ")
    if not found or record[:1] != b"T":
        raise ValueError("no record of an event")
    at = int(kind)
    parts = [rest[: at - 1]]
    for name, size in zip(fields[::2], fields[1::2]):
        text = rest[at : at + int(size)]
        at += int(size)
        parts.append(b',"%b":%b' % (name, quoted(text)))
    parts.append(b"}")
    return b"".join(parts)


def quoted(text: bytes) -> bytes:
    """Return a text in UTF-8 as a JSON string."""
    out = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    if len(out.translate(None, _CONTROLS)) != len(out):
        for code in _CONTROLS:
            out = out.replace(bytes((code,)), b"\\u%04x" % code)
    return b'"%b"' % out


def encode(event: dict[str, Any], largest: int = LARGEST_EVENT_BYTES) -> bytes:
    """Return an event as JSON, its largest fields described instead where it would be too large.

    `event` is changed in that case.
    """
    data = dumps(event).encode()
    if len(data) > largest:
        sizes = {name: len(dumps(value).encode()) for name, value in event.items()}
        excess = len(data) - largest
        for name in sorted(sizes, key=lambda field: sizes[field], reverse=True):
            if excess <= 0:
                break
            excess -= sizes[name] - _DESCRIPTION_BYTES
            _describe(event, name, f"{sizes[name]} bytes, more than an event may hold")
        data = dumps(event).encode()
    return data


def shortened(event: bytes) -> bytes | None:
    """Return an event with its largest field cut to half, or None if that leaves nothing to send.

    For a collector that takes no event of this size. A text keeps its beginning and says that it
    was cut; anything else gives way to a description.
    """
    import json

    fields: dict[str, Any] = json.loads(event)
    sizes = {name: len(dumps(value).encode()) for name, value in fields.items()}
    name = max(sizes, key=lambda field: sizes[field])
    if sizes[name] <= 2 * _DESCRIPTION_BYTES:
        return None
    value = fields[name]
    if isinstance(value, str):
        kept = value.encode()[: sizes[name] // 2 - len(_MARKER)].rpartition(_MARKER[:12])
        fields[name] = ((kept[0] or kept[2]) + _MARKER).decode(errors="ignore")
    else:
        _describe(fields, name, f"{sizes[name]} bytes, larger than the collector takes")
    return dumps(fields).encode()


def _describe(event: dict[str, Any], name: str, why: str) -> None:
    """Put a description in the place of a field, of the same type."""
    note = f"[TRUNCATED: {why}]"
    value = event[name]
    if isinstance(value, dict):
        event[name] = {"message": note}
    elif isinstance(value, list):
        # A list has elements of its own shape: the note stands beside it.
        event[name] = []
        event.setdefault("invalid_fields", {})[name] = note
    else:
        event[name] = note


def body(events: Sequence[bytes], losses: Mapping[str, int]) -> bytes:
    """Return the body of a batch of events in JSON, with the losses to report if there are any."""
    tail = f',"losses":{dumps(losses)}}}' if losses else "}"
    return b'{"events":[' + b",".join(events) + b"]" + tail.encode()
