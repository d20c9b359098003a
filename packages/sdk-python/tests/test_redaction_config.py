"""A RedactionConfig is checked when it is made, and never changes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from watchllm import ConfigurationError, RedactionConfig
from watchllm._redaction import DEFAULT_DENY_KEYS, DEFAULT_DETECTORS, rules_of


class Unshowable:
    """Raises when it is shown."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_the_default_looks_for_addresses_and_cards() -> None:
    """Without arguments: EMAIL and CC, the usual keys, nothing else."""
    config = RedactionConfig()

    assert config.kinds == ("EMAIL", "CC")
    assert config.deny_keys == DEFAULT_DENY_KEYS
    assert (dict(config.patterns), config.callables, config.skip_fields) == ({}, (), ())


def test_kinds_go_by_any_case_and_by_their_long_name() -> None:
    """Names are compared without case; repeats are dropped."""
    config = RedactionConfig(kinds=["email", "Credit_Card", "CC", "phone"])

    assert config.kinds == ("EMAIL", "CC", "PHONE")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kinds": ["NAME"]}, "kinds: there is no 'NAME'; choose among EMAIL, CC, PHONE"),
        ({"kinds": "EMAIL"}, "kinds='EMAIL': give a list of texts, such as"),
        ({"kinds": [1]}, "kinds: 1 is no text; give names, such as"),
        ({"kinds": 5}, "kinds=5: give a list of texts"),
        ({"patterns": {"A B": "x"}}, "'A B' is no name; use letters, digits and _"),
        ({"patterns": {1: "x"}}, "1 is no name"),
        ({"patterns": {"email": "x"}}, "the name 'email' is taken; choose another"),
        ({"patterns": {"Field": "x"}}, "the name 'Field' is taken"),
        ({"patterns": {"A": "x", "a": "y"}}, "the name 'a' is taken"),
        ({"patterns": {"A": "("}}, "patterns['A']: it is no regular expression: "),
        ({"patterns": {"A": 5}}, "patterns['A']: give a regular expression of text"),
        ({"patterns": {"A": re.compile(b"x")}}, "patterns['A']: give a regular expression of text"),
        ({"patterns": {"A": "x*"}}, "patterns['A']: it matches an empty text"),
        ({"patterns": {"A": "(x+)+y"}}, "patterns['A']: a repeat of a repeat, such as (a+)+"),
        ({"patterns": ["x"]}, "patterns=['x']: give a dict of names"),
        ({"patterns": 0}, "patterns=0: give a dict of names"),
        ({"callables": len}, "callables=<built-in function len>: give a list of functions"),
        ({"callables": ["x"]}, "callables: 'x' cannot be called; give functions of a text"),
        ({"skip_fields": "a.b"}, "skip_fields='a.b': give a list of texts"),
        ({"skip_fields": ["a..b"]}, "skip_fields: 'a..b' has an empty part; give dotted paths"),
        ({"deny_keys": ["  "]}, "deny_keys: '  ' is no text"),
        ({"deny_keys": Unshowable()}, "deny_keys=<Unshowable>: give a list"),
        ({"deny_keys": [b"x" * 100]}, "...  is no text".replace("  ", " ")),
        ({"hash_key": "short"}, "hash_key: give a secret text of 16 characters or more"),
        ({"hash_key": b"x" * 20}, "hash_key: give a secret text"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """The error names the argument, what is wrong, and what to give instead."""
    with pytest.raises(ConfigurationError) as raised:
        RedactionConfig(**arguments)

    assert sentence in str(raised.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One error has one line for each problem."""
    with pytest.raises(ConfigurationError) as raised:
        RedactionConfig(kinds=["X"], patterns={"A": "("}, deny_keys=[""])

    assert len(str(raised.value).splitlines()) == 4


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(?:a*)*b",
        "(a|b+)+",
        "(\\w+\\s?)+$",
        "x(?:(?:a+){2,})+",
        "((a+)?)*b",
        "((a+))+",
        "(x|(a+)+)",
    ],
)
def test_a_repeat_of_a_repeat_is_refused(pattern: str) -> None:
    """Expressions that take exponential time on some text cannot be used."""
    with pytest.raises(ConfigurationError, match=r"a repeat of a repeat|an empty text"):
        RedactionConfig(patterns={"A": f"q{pattern}"})


@pytest.mark.parametrize(
    "pattern",
    [
        "EMP-[0-9]{6}",
        "(?:[a-z]+\\.)+com",
        "(ab)+",
        "(?i)emp+",
        "a{2,5}",
        "(?:a|b)+c",
        "(?=x)x(?!y)",
    ],
)
def test_other_repeats_are_taken(pattern: str) -> None:
    """A repeat of what is set apart, or of fixed length, is no danger."""
    assert list(RedactionConfig(patterns={"a": pattern}).patterns) == ["A"]


def test_it_never_changes_and_is_compared_by_content() -> None:
    """A config is frozen, equal to one of the same arguments, and shows them."""
    config = RedactionConfig(kinds=["IP"], patterns={"a": "x"}, skip_fields=["a.b"])

    with pytest.raises(AttributeError, match=r"never changes: make one with kinds=\.\.\. instead"):
        config.kinds = ()
    with pytest.raises(TypeError):
        config.patterns["B"] = re.compile("x")  # type: ignore[index] # it is refused
    same = RedactionConfig(kinds=["ip"], patterns={"A": re.compile("x")}, skip_fields=["a.b"])
    assert config == same
    assert hash(config) == hash(same)
    assert config != RedactionConfig()
    assert config != "config"
    assert repr(RedactionConfig(kinds=["IP"])) == "RedactionConfig(kinds=('IP',))"
    assert repr(RedactionConfig()) == "RedactionConfig()"


def test_rules_are_made_of_a_setting() -> None:
    """True is the default, False is nothing, a config is its own; only the default is shared."""
    assert rules_of(True) is DEFAULT_DETECTORS
    assert len(rules_of(False)) == 0
    rules = rules_of(RedactionConfig(kinds=["SECRET", "EMAIL"]))
    assert [detector.kind for detector in rules] == ["secret", "email"]
    assert rules[0].placeholder == "[REDACTED_SECRET]"


def test_the_key_of_marks_is_never_shown() -> None:
    """Neither what shows a configuration nor what refuses one tells the secret."""
    config = RedactionConfig(hash_key="correct horse battery")

    assert repr(config) == "RedactionConfig(hash_key=...)"
    assert config != RedactionConfig(hash_key="another horse battery")
    with pytest.raises(ConfigurationError) as raised:
        RedactionConfig(hash_key="horse battery")
    assert "horse" not in str(raised.value)
