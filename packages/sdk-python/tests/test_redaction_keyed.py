"""With a key of the user's, findings can be told apart, and nothing else can be told of them."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm import RedactionConfig, redact
from watchllm._redaction import rules_of
from watchllm._redaction._config import KINDS

MakeApp = Callable[..., Any]
KEY = "a secret of this app alone"
CONFIG = RedactionConfig(KINDS, patterns={"EMPLOYEE": "EMP-[0-9]{6}"}, hash_key=KEY)
MARK = re.compile(r"\[REDACTED_([A-Z]+):[a-p]{12}\]")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ada@example.com", "EMAIL"),
        ("4111 1111 1111 1111", "CC"),
        ("203.0.113.9", "IP"),
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
        ("078-05-1120", "SSN"),
        ("+44 20 7946 0018", "PHONE"),
        ("EMP-123456", "EMPLOYEE"),
    ],
)
def test_a_finding_gets_a_mark_of_its_own(text: str, kind: str) -> None:
    """Kinds and patterns name what it was, with twelve letters that no other finding has."""
    marks = [redact(each, CONFIG) for each in (text, f"see {text} there", text)]

    found = MARK.fullmatch(marks[0])
    assert found is not None
    assert found[1] == kind
    assert marks == [marks[0], f"see {marks[0]} there", marks[0]]


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("ada@example.com", "Ada@EXAMPLE.com"),
        ("ada@example.com", "\uff41da@example.com"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("4111 1111 1111 1111", "4111111111111111"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
    ],
)
def test_spelling_makes_no_difference(one: str, same: str) -> None:
    """Letters of another case or width and other groups of digits are the same finding."""
    assert redact(one, CONFIG) == redact(same, CONFIG)


def test_an_integer_is_marked_like_its_text() -> None:
    """A card that was logged as a number is found again by its digits."""
    assert redact(4111111111111111, CONFIG) == redact("4111111111111111", CONFIG)


def test_another_key_or_another_finding_has_another_mark() -> None:
    """Who has not the key cannot tell whose address it was by marking addresses."""
    other = RedactionConfig(hash_key="the secret of another app")
    marks = [
        redact("ada@example.com", CONFIG),
        redact("ada@example.com", other),
        redact("bob@example.com", CONFIG),
    ]

    assert len(set(marks)) == 3


def test_users_are_told_apart_in_events(make_app: MakeApp) -> None:
    """A user id that is an address keeps events of one user together, without the address."""
    app = make_app(redact_pii=CONFIG)
    for user in ("ada@example.com", "bob@example.com", "ada@example.com"):
        app.client.log_prompt_call("run", "hello", "gpt-4o", "hi", 1, 1, 5, user_id=user)

    ada, bob, again = (event["user_id"] for event in app.sent())
    assert ada == again == redact("ada@example.com", CONFIG)
    assert bob != ada


@given(
    st.lists(
        st.sampled_from(["ada@example.com", "4111 1111 1111 1111", "+44 20 7946 0018"])
        | st.text(max_size=20),
        max_size=6,
    )
)
def test_a_mark_is_never_a_finding(pieces: list[str]) -> None:
    """What was redacted once stays as it is, whatever stands around the marks."""
    rules = rules_of(RedactionConfig(KINDS, hash_key=KEY))
    once, _ = rules.redact(" ".join(pieces))

    assert rules.redact(once) == (once, None)
