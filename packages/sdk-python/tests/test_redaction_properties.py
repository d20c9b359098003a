"""What holds for redaction whatever the value and whichever kinds are looked for."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm import RedactionConfig, redact
from watchllm._redaction._card import CardDetector
from watchllm._redaction._config import KINDS
from watchllm._redaction._email import EmailDetector

CONFIGS = (None, RedactionConfig(kinds=KINDS))
ADDRESS, CARD = "zoe.planted@example.com", "5105 1051 0510 5100"


class Text(str):
    """A text of a kind of its own."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Note:
    owner: Any
    body: Any


class Model:
    """What a pydantic model looks like from here."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def model_dump(self) -> dict[str, Any]:
        return {"content": self.content}


def holders(text: str) -> list[Any]:
    """Return values of many kinds that hold a text."""
    return [
        text,
        Text(text),
        text.encode("utf-8", "replace"),
        bytearray(text.encode("utf-8", "replace")),
        {text: 1},
        {Text(text): {text}},
        {(1, text): [text]},
        (text, [text, {"k": (text,)}]),
        frozenset({text}),
        ValueError(text),
        KeyError("k", text),
        Note(text, {"deep": [Note(1, text)]}),
        Model([text]),
        [[[[text]]]],
    ]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.text("0123456789 -.@ab+():/", max_size=60)
    | st.binary(max_size=30)
    | st.decimals()
    | st.uuids()
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=9) | st.integers() | st.booleans(), inner, max_size=5)
        | st.builds(Note, inner, inner)
        | st.builds(Model, inner)
        | st.builds(ValueError, inner)
    ),
    max_leaves=20,
)
# Texts of what the detectors react to, in rows that no one would write.
fragments = st.lists(
    st.sampled_from(
        [
            "a", "Z", "é", "用", "1", "12", "4111", "1111", "000", " ", "  ", "\n", "\t", "-", ".",
            "@", "_", "/", ":", "::", "+", "(", ")", "[", "]", "%40", "%20", "&#64;", "\\u0040",
            " at ", " dot ", "[at]", "[dot]", '"', "'", "=", "&", "?", "x", "ext", "\u200b",
            "\u00a0", "\u2013", "\uff11", "\uff20", "4111 1111 1111 1111", "a@b.co", "ssn ",
            "call ", "123-45-6789", "10.0.0.1", "fe80::1", "DE89370400440532013000",
            "sk-abcdefghijklmnopqrst", "Bearer ", "eyJ", "[REDACTED_EMAIL]", "[REDACTED_CC]",
            "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "555-0142", "+44 20 7946",
        ]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "all kinds"])
@given(value=anything)
def test_any_value_becomes_json(config: RedactionConfig | None, value: Any) -> None:
    """Whatever the value, redaction returns, and its copy is JSON in UTF-8."""
    json.dumps(redact(value, config), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "all kinds"])
@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_planted_address_leaves_no_holder(
    config: RedactionConfig | None, before: str, after: str
) -> None:
    """An address does not come through, whatever holds it and whatever stands beside it."""
    found = redact(holders(f"{before}{ADDRESS}{after}"), config)

    assert "planted" not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "all kinds"])
@given(
    before=st.text(" ,;:!?\n'\"()[]{}<>é用", max_size=9),
    after=st.text(" ,;:!?\n'\"()[]{}<>é用", max_size=9),
    gap=st.sampled_from([" ", "", "-", ".", "\u00a0", "\u2013", "  ", "\u200b", "_", "/"]),
)
def test_a_planted_card_leaves_no_holder(
    config: RedactionConfig | None, before: str, after: str, gap: str
) -> None:
    """A card does not come through, whatever holds it and however its groups are set apart."""
    card = CARD.replace(" ", gap)
    found = redact(holders(f"{before}{card}{after}"), config)

    assert f"{gap}0510{gap}" not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "all kinds"])
@given(text=fragments)
def test_redacting_again_changes_nothing(config: RedactionConfig | None, text: str) -> None:
    """What is redacted holds nothing more to redact."""
    once = redact({"text": text, text: [text]}, config)

    assert redact(once, config) == once


@pytest.mark.parametrize("config", CONFIGS, ids=["default", "all kinds"])
@given(value=anything)
def test_the_callers_value_is_never_changed(config: RedactionConfig | None, value: Any) -> None:
    """After redaction the value is as it was before."""
    value = [value, {"mail": [ADDRESS], "password": {"p": CARD}}]
    before = repr(copy.deepcopy(value[1])), repr(value)
    redact(value, config)

    assert (repr(value[1]), repr(value)) == before


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**10), 10**10)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.uuids().map(str)
        | st.datetimes().map(str)
        | st.integers(1_600_000_000_000, 1_900_000_000_000).map(lambda ms: f"ts={ms} level=info")
        | st.text("abc äß机\n\"\\/:;,.!#'-_=+*()[]{}", max_size=60),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abcdeä", max_size=9), inner),
        max_leaves=25,
    )
)
def test_what_is_not_personal_is_unchanged(value: Any) -> None:
    """Numbers, ids, times and plain texts are copied as they are, in the same shape."""
    assert redact(value) == value


_PIECES = (
    "ada@example.com", "ada%40example.com", "ada\\u0040example.com", "ada&#64;example.com",
    "ada [at] example [dot] com", "ada {AT} example.com", "ada at example dot com",
    "ADA AT EXAMPLE DOT COM", "4111 1111 1111 1111", "4111%201111%201111%201111",
    "4111&nbsp;1111&nbsp;1111&nbsp;1111", "378282246310005", "41 11 11 11 11 11 11 11",
    "%", "&", "\\", "(at)", "D", "dot", " ", "\n", "1", "x",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES) | st.text(st.characters(max_codepoint=127)), max_size=6))
def test_the_quick_look_overlooks_nothing(pieces: list[str]) -> None:
    """Where a detector finds something, its quick look says that it may."""
    text = "".join(pieces)

    for detector in (EmailDetector(), CardDetector()):
        assert detector.may_find(text) or not detector.find(text)


def test_a_long_text_is_looked_at_quickly_unless_a_function_wants_to_see_it() -> None:
    """Clean texts come back as they are; patterns and functions of the user get each of them."""
    text = "clean " * 100
    seen: list[str] = []

    def see(given: str) -> str:
        seen.append(given)
        return given

    assert redact(text) is text
    assert redact(text, RedactionConfig(callables=[see])) == text
    assert seen == [text]
    assert redact(text + "b" * 9, RedactionConfig(patterns={"B": "b{9}"})) == text + "[REDACTED_B]"
