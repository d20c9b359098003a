"""Where spans come from: what a resource and an instrumentation say of all their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.values import bounded, first, given
from watchllm_server.jsontext import text_of

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

_HEX: Final = frozenset("0123456789abcdef")
_THRESHOLD_DIGITS: Final = 14
_ALL: Final = 16**_THRESHOLD_DIGITS


def source_fields(resource: Attributes, scope_name: str, scope_version: str) -> dict[str, Any]:
    """Return the fields that the events of all spans of one source have."""
    rest = dict(resource)
    sdk = [text_of(rest.pop(f"telemetry.sdk.{name}", None)) for name in ("name", "version")]
    env = first(rest, "deployment.environment.name", "deployment.environment")
    fields = {
        "env": text_of(env),
        "release": text_of(rest.pop("service.version", None)),
        "service": text_of(rest.pop("service.name", None)),
    }
    client = {
        "sdk_version": " ".join(part for part in sdk if part),
        "platform": text_of(rest.pop("telemetry.sdk.language", None)),
        "hostname": text_of(rest.pop("host.name", None)),
        "instrumentation": f"{scope_name} {scope_version}".strip(),
        "resource": bounded(rest)[0],
    }
    return given({**fields, "client": given(client)})


def sample_rate(trace_state: str) -> float | None:
    """Return the share of traces that the sender kept, as its trace state `ot=th:` tells it."""
    for member in trace_state.split(","):
        vendor, _, value = member.strip().partition("=")
        for part in value.split(";") if vendor == "ot" else []:
            key, _, digits = part.partition(":")
            if key == "th" and 0 < len(digits) <= _THRESHOLD_DIGITS and _HEX.issuperset(digits):
                left_out = int(digits.ljust(_THRESHOLD_DIGITS, "0"), 16)
                return (_ALL - left_out) / _ALL if left_out else None
    return None
