"""Replace personal data in events before they are stored, as their project says.

The detectors are the SDK's, so that both sides of the wire find the same. No other file of the
server imports the SDK.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Raw
from watchllm import ConfigurationError, RedactionConfig, redact

from watchllm_server.errors import MetadataError
from watchllm_server.events import COMMON, SHAPES
from watchllm_server.fields import AMOUNT, COST, COUNT, NUMBER, SHARE, WEIGHT
from watchllm_server.jsontext import unescape
from watchllm_server.rows import Columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from watchllm_server.fields import Kind
    from watchllm_server.rows import Row

KindName = Literal["EMAIL", "CC", "PHONE", "SSN", "IBAN", "IP", "SECRET"]
"""What the SDK's detectors find."""
OFF: Final = "off"
ON: Final = "on"
FAILED: Final = "[REDACTION_FAILED]"
_SDK: Final = "watchllm-python/"
_LABELS: Final = ("run_id", "event_type", "env", "model")
_AS_THEY_ARE: Final = frozenset(
    {
        "project_id", "event_id", "ts", "status", "latency_ms", "tokens_input", "tokens_output",
        "sample_rate", "attributes", "cost", *_LABELS,
    }
)  # fmt: skip
# Whatever else a row has, also what is added to it one day.
_TEXTS: Final = tuple(n for n in Columns.__struct_fields__ if n not in _AS_THEY_ARE)
_KNOWN: Final[Mapping[str, Kind]] = {
    name: kind
    for kinds in (COMMON, *(each for s in SHAPES.values() for each in (s.required, s.optional)))
    for name, kind in kinds.items()
}
_AMOUNTS: Final = frozenset(
    name for name, kind in _KNOWN.items() if kind in (AMOUNT, COST, COUNT, NUMBER, SHARE, WEIGHT)
)
_LOOKED_AT: Final = (*_TEXTS, *_LABELS, "event_id")
_NOTHING: Final[dict[str, Any]] = {}
# What is found in names and ids; the other kinds are made of digits, as many ids are.
_IN_IDS: Final = frozenset({"EMAIL", "SECRET"})
_IDS: Final = uuid.UUID("b1f1c1a4-5e0e-4c5b-8a54-7d0f3f1a9e61")
_PLACEHOLDER = re.compile(r"\[REDACT(?:ED_([A-Z0-9_]+)(?::[a-p]{12})?|ION_FAILED)\]")
# One of these is in whatever the SDK returns in place of a value, and not as its copy.
_CUT: Final = "[TRUNCATED"
_MARKS: Final = ("[REDACT", _CUT, "[UNREADABLE")
_KIND_NAMES: Final = {"": "failed", "CC": "credit_card"}
_as_mapping = msgspec.json.Decoder(dict[str, Raw]).decode
# JSON has numbers that a float has not.
_as_value = msgspec.json.Decoder(Any, float_hook=float).decode
_encode = msgspec.json.encode


def stored_setting(setting: str | None) -> str | None:
    """Return a project's setting as it is kept: None, `off`, `on`, or kinds with commas between.

    Raises MetadataError for an unknown kind, and for no kind at all.
    """
    if setting is None or setting.strip().lower() in (OFF, ON):
        return setting and setting.strip().lower()
    names = [name.strip() for name in setting.split(",") if name.strip()]
    try:
        kinds = RedactionConfig(kinds=names).kinds
    except ConfigurationError:
        kinds = ()
    if not kinds:
        raise MetadataError(
            f"Redaction is off, on, or kinds among {', '.join(get_args(KindName))} with commas "
            f"between them, but it is {setting[:100]!r}."
        )
    return ",".join(kinds)


def redaction_of(setting: str | None, user_agent: str | None = None) -> Redaction | None:
    """Return what a project's setting asks of a sender's events, or None for nothing.

    Without a setting, what our SDK sends is left alone: it has redacted as its app chose.
    """
    if setting is None:
        setting = OFF if (user_agent or "").startswith(_SDK) else ON
    return _redaction(setting)


@lru_cache(maxsize=128)
def _redaction(setting: str) -> Redaction | None:
    if setting == OFF:
        return None
    config = RedactionConfig() if setting == ON else RedactionConfig(kinds=setting.split(","))
    return Redaction(config)


class Redaction:
    """Replace what a configuration finds in rows. Safe to use from any thread."""

    def __init__(self, config: RedactionConfig) -> None:
        self._config = config
        kinds = _IN_IDS.intersection(config.kinds)
        self._in_ids = RedactionConfig(kinds=kinds, deny_keys=())

    def row(self, row: Row) -> Row:
        """Return the row with every finding replaced and counted in `redactions`.

        Changes the columns that it is given. A field that cannot be looked at becomes
        `[REDACTION_FAILED]`; never raises. An id of the event that holds an address becomes a UUID
        that is made from it, so that the event is still stored once.
        """
        columns = row.columns
        found = self._found(columns)
        if not found:
            return row
        counts: Counter[str] = Counter()
        for name, copy in found.items():
            if name in _TEXTS:
                self._column(columns, name, partial(self._value, copy=copy), counts)
            elif name in _LABELS:
                self._column(columns, name, self._label, counts)
        event_id = self._id(row.event_id, row.project_id, counts)
        if event_id is not row.event_id:
            columns.event_id = event_id
            row = msgspec.structs.replace(row, event_id=event_id)
        if "model" in found and row.call:
            # The price is asked for by it, and the log names a model that has none.
            model = _as_value(columns.model) if isinstance(columns.model, Raw) else columns.model
            row = msgspec.structs.replace(row, call=msgspec.structs.replace(row.call, model=model))
        if "attributes" in found or counts:
            text = "{}" if columns.attributes is UNSET else columns.attributes
            look = "attributes" in found
            columns.attributes = self._attributes(text, row.project_id, counts, look=look)
        return row

    def _found(self, columns: Columns) -> dict[str, Any]:
        """Return by name what becomes of columns that hold a finding: of most events none.

        It is one look at all of them. UNSET says that a column must be looked at alone.
        """
        plain: dict[str, Any] = {}
        try:
            for name in _LOOKED_AT:
                value = getattr(columns, name)
                if value is not UNSET:
                    plain[name] = _as_value(value) if isinstance(value, Raw) else value
            if columns.attributes is not UNSET:
                plain["attributes"] = _as_value(columns.attributes)
            copy = redact(plain, self._config)
        except Exception:  # noqa: BLE001 - a look at each tells which cannot be looked at
            return dict.fromkeys((*_LOOKED_AT, "attributes"), UNSET)
        if copy == plain:
            return _NOTHING
        return {
            name: copy.get(name, UNSET)
            for name, value in plain.items()
            if copy.get(name, UNSET) != value
        }

    def _column(
        self,
        columns: Columns,
        name: str,
        look: Callable[[Any], Any],
        counts: Counter[str],
    ) -> None:
        value = getattr(columns, name)
        if value is UNSET:
            return
        try:
            plain = _as_value(value) if isinstance(value, Raw) else value
            redacted = look(plain)
            if redacted is not plain:
                _count(_text(plain), _text(redacted), counts)
                setattr(columns, name, Raw(_encode(redacted)))
        except Exception:  # noqa: BLE001 - a field that was not looked at must not be stored
            counts["failed"] += 1
            setattr(columns, name, Raw(_encode([FAILED] if name == "tags" else FAILED)))

    def _value(self, value: Any, *, copy: Any = UNSET) -> Any:
        """Return a copy with the findings replaced, or the value itself when there are none.

        `copy` is one that was made with other values beside it.
        """
        # What was cut there because of what stands beside it may be whole when it stands alone.
        if copy is UNSET or _CUT in _text(copy):
            copy = redact(value, self._config)
        if copy == value:
            return value
        # The copy of a number that JSON has and Python's arithmetic has not is no finding.
        text = _text(copy)
        return copy if any(mark in text for mark in _MARKS) else value

    def _label(self, text: str) -> str:
        """Return a name or id; what is made of digits by nature is a finding only as a whole."""
        redacted = redact(text, self._config)
        if redacted == text:
            return text
        if not _PLACEHOLDER.fullmatch(redacted):
            redacted = redact(text, self._in_ids)
        return text if redacted == text else str(redacted)

    def _id(self, text: str, project_id: str, counts: Counter[str]) -> str:
        try:
            redacted = redact(text, self._in_ids)
            if redacted == text:
                return text
            _count(text, redacted, counts)
        except Exception:  # noqa: BLE001 - an id that was not looked at must not be stored
            counts["failed"] += 1
        return str(uuid.uuid5(_IDS, f"{project_id}\0{text}"))

    def _attributes(self, text: str, project_id: str, counts: Counter[str], *, look: bool) -> str:
        """Return the JSON of what has no column, with the counts in it, and redacted if asked."""
        try:
            fields = _as_mapping(text)
        except Exception:  # noqa: BLE001 - what was not looked at must not be stored
            counts["failed"] += 1
            return _text({"redactions": counts})
        kept: dict[str, Any] = {}
        for name, raw in fields.items():
            if not look or (name in _AMOUNTS and memoryview(raw)[0] not in b'"[{'):
                kept[name] = raw
                continue
            found, value = self._field(name, raw, project_id, counts)
            free, number = found, 1
            while free in kept:
                number += 1
                free = f"{found}#{number}"
            kept[free] = value
        if counts:
            kept["redactions"] = _added(kept.get("redactions"), counts)
        return unescape(_encode(kept)).decode()

    def _field(self, name: str, raw: Raw, project_id: str, counts: Counter[str]) -> tuple[str, Any]:
        """Return the name and the value of a field, as it was sent where nothing is found."""
        try:
            value = _as_value(raw)
            if name == "parent_event_id" and isinstance(value, str):
                return name, self._id(value, project_id, counts)
            field = {name: value}
            redacted = self._value(field)
            if redacted is field:
                return name, raw
            _count(_text(field), _text(redacted), counts)
            return next((str(new), kept) for new, kept in redacted.items())
        except Exception:  # noqa: BLE001 - a field that was not looked at must not be stored
            counts["failed"] += 1
            return name if name in _KNOWN else FAILED, FAILED


def _text(value: Any) -> str:
    return _encode(value).decode()


def _count(before: str, after: str, counts: Counter[str]) -> None:
    """Add the placeholders that were not there before."""
    there = Counter(match[1] or "" for match in _PLACEHOLDER.finditer(before))
    found = Counter(match[1] or "" for match in _PLACEHOLDER.finditer(after))
    for name, number in (found - there).items():
        counts[_KIND_NAMES.get(name, name.lower())] += number


def _added(told: Any, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what the sender counted and what was counted here."""
    known = _as_value(told) if isinstance(told, Raw) else told
    sums: dict[str, Any] = dict(known) if isinstance(known, dict) else {}
    for kind, number in counts.items():
        before = sums.get(kind)
        sums[kind] = number + (before if isinstance(before, int) else 0)
    return sums
