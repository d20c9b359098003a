"""What the official encoder writes is read, and what is cut off is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_any import ATTRIBUTES
from otlp_spans import export, pairs, span
from watchllm_server.errors import Problem
from watchllm_server.ingest.otlp.protobuf import read_protobuf


def as_read(value: Any) -> Any:
    """Return a value as it is to be read: JSON has no number that is none or has no end."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: as_read(each) for name, each in value.items()}
    return [as_read(each) for each in value] if isinstance(value, list) else value


@given(ATTRIBUTES)
def test_attributes_are_read_as_they_were_written(given_: dict[str, Any]) -> None:
    """Values of every kind, empty ones too, keep their name, their type and their value."""
    told = {"name": "told", "attributes": pairs(given_)}
    body = export(span(attributes=pairs(given_), events=[told])).SerializeToString()

    (found,) = read_protobuf(body).spans

    assert repr(found.attributes) == repr(as_read(given_))
    assert repr(found.events[0].attributes) == repr(as_read(given_))


@given(ATTRIBUTES, st.floats(0, 1, exclude_max=True))
def test_a_body_that_was_cut_off_is_400(given_: dict[str, Any], share: float) -> None:
    """Wherever an export ends too early, its sender is told that it cannot be read."""
    body = export(span(attributes=pairs(given_))).SerializeToString()
    cut = body[: max(1, int(share * len(body)))]

    with pytest.raises(Problem, match="cannot be read as protobuf") as refused:
        read_protobuf(cut)

    assert refused.value.status == 400
