"""What a user chooses about redaction holds in `redact()` and in events."""

from __future__ import annotations

from typing import Any, Callable, Iterable

import pytest

from watchllm import RedactionConfig, redact
from watchllm._redaction import FAILED, Walk, rules_of

MakeApp = Callable[..., Any]
ADDRESS, CARD = "zoe@example.com", "4111 1111 1111 1111"


def test_the_default_is_that_of_events() -> None:
    """Addresses, cards and the values of telling keys are replaced in any value."""
    value = {"to": [ADDRESS, 1.5, None], "pay": (CARD, True), "API-Key": "k", "n": {"pwd": 7}}

    assert redact(value) == {
        "to": ["[REDACTED_EMAIL]", 1.5, None],
        "pay": ["[REDACTED_CC]", True],
        "API-Key": "[REDACTED_FIELD]",
        "n": {"pwd": 7},
    }
    assert redact(f"mail {ADDRESS}") == "mail [REDACTED_EMAIL]"
    assert redact(7) == 7


def test_only_the_chosen_kinds_are_replaced() -> None:
    """Kinds replace those of the default."""
    text = f"{ADDRESS} 203.0.113.9"

    assert redact(text, RedactionConfig(kinds=["IP"])) == f"{ADDRESS} [REDACTED_IP]"
    assert redact(text, RedactionConfig(kinds=[])) == text


@pytest.mark.parametrize(
    "key", ["password", "PASSWORD", "Pass-Word", "apiKey", "x-api-key", "API_KEY", "api key"]
)
@pytest.mark.parametrize("value", ["s3cret", 12, ["a", {"b": 1}], {"c": 2}, False])
def test_the_value_of_a_denied_key_is_replaced_whatever_it_is(key: str, value: Any) -> None:
    """Case, dashes and underscores make no difference; nothing of the value is left."""
    walk = Walk()

    assert walk.value({"a": {key: value}}) == {"a": {key: "[REDACTED_FIELD]"}}
    assert walk.counts == {"field": 1}


def test_a_denied_key_without_a_value_stays() -> None:
    """None tells nothing, and counts of tokens are no tokens."""
    value = {"password": None, "tokens_input": 5, "token_count": 3, "secretary": "Ada"}

    assert redact(value) == value


def test_denied_keys_are_the_users_choice() -> None:
    """Given keys replace those of the default; none means that none is denied."""
    assert redact({"Salary": 1, "password": "x"}, RedactionConfig(deny_keys=["salary"])) == {
        "Salary": "[REDACTED_FIELD]",
        "password": "x",
    }
    assert redact({"password": "x"}, RedactionConfig(deny_keys=())) == {"password": "x"}
    assert redact({b"password": "x", 3: 4}) == {"password": "[REDACTED_FIELD]", "3": 4}


def test_patterns_add_kinds_of_their_own() -> None:
    """Each match becomes the placeholder of its name, in texts, keys and ids."""
    config = RedactionConfig(patterns={"employee": r"EMP-[0-9]{4,}", "CITY": "(?i)paris|rome"})
    walk = Walk(rules_of(config))

    assert walk.value({"EMP-1234": f"EMP-99 EMP-4321 {ADDRESS} in PARIS"}) == {
        "[REDACTED_EMPLOYEE]": "EMP-99 [REDACTED_EMPLOYEE] [REDACTED_EMAIL] in [REDACTED_CITY]"
    }
    assert walk.label("run-EMP-1234") == "run-[REDACTED_EMPLOYEE]"
    assert walk.counts == {"employee": 3, "email": 1, "city": 1}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("EMAIL|REDACTED", "x [REDACTED_EMAIL] y [REDACTED_EMAIL] z"),
        ("[A-Z]+", "x [REDACTED_EMAIL] y [REDACTED_EMAIL] z"),
        ("x .*y", "[REDACTED_P] [REDACTED_EMAIL] z"),
        (r"EMAIL\] y", "x [REDACTED_P] [REDACTED_EMAIL] z"),
        ("y .RED", "x [REDACTED_EMAIL] [REDACTED_P] z"),
        (r"_EMAIL\] y|y \[RED|\] y", "x [REDACTED_P] [REDACTED_EMAIL] z"),
        (r"x \[R|L\] y", "[REDACTED_P] [REDACTED_EMAIL] z"),
        (r"L\] |\[R", "x [REDACTED_P]y [REDACTED_P]z"),
        ("(?s).+", "[REDACTED_P]"),
        ("q(?=.)|(?<=y)(?= )", "x [REDACTED_EMAIL] y [REDACTED_EMAIL] z"),
    ],
)
def test_a_pattern_never_breaks_a_placeholder(pattern: str, expected: str) -> None:
    """What is replaced already stays whole, or goes as a whole."""
    config = RedactionConfig(patterns={"p": pattern})
    once = redact(f"x {ADDRESS} y {ADDRESS} z", config)

    assert once == expected
    assert redact(once, config) == expected


def test_a_function_returns_another_text_or_spans() -> None:
    """Functions see the text after all else was replaced in it, one after the other."""
    seen = []

    def shout(text: str) -> str:
        seen.append(text)
        return text.replace("secret", "***")

    def names(text: str) -> Iterable[tuple[int, int]]:
        start = text.find("Ada")
        return [] if start < 0 else [(start, start + 2), (start + 1, start + 3), (0, 0)]

    config = RedactionConfig(callables=[shout, names])
    walk = Walk(rules_of(config))

    assert walk.text(f"{ADDRESS} secret of Ada") == "[REDACTED_EMAIL] *** of [REDACTED_CUSTOM]"
    assert walk.counts == {"email": 1, "custom": 2}
    assert walk.text("plain") == "plain"
    assert walk.text("plain") == "plain"
    assert seen == ["[REDACTED_EMAIL] secret of Ada", "plain", "plain"]


def test_what_a_function_returns_can_be_sent() -> None:
    """Half a surrogate pair, or a text of a kind of its own, becomes plain text."""

    class Text(str):
        __slots__ = ()

    def odd(text: str) -> str:
        return Text(f"{text}\ud83d")

    found = redact("x", RedactionConfig(callables=[odd]))

    assert found == "x\ufffd"
    assert type(found) is str


def failing(text: str) -> str:
    """Raise with the text in the message."""
    raise ValueError(text)


def out_of_bounds(text: str) -> list[tuple[int, int]]:
    """Return a span that ends after the text."""
    return [(0, len(text) + 1)]


def nothing(_: str) -> Any:
    """Return neither a text nor spans."""


def no_numbers(_: str) -> Any:
    """Return spans of texts."""
    return [("a", "b")]


@pytest.mark.parametrize("function", [failing, out_of_bounds, nothing, no_numbers])
def test_a_function_that_fails_costs_the_text(function: Any) -> None:
    """The text is replaced by a placeholder and counted, never sent as it was."""
    walk = Walk(rules_of(RedactionConfig(callables=[function])))

    assert walk.value(["secret", 5]) == [FAILED, 5]
    assert walk.label("run-secret") == FAILED
    assert walk.counts == {"failed": 2}


def test_skipped_fields_are_copied_as_they_are() -> None:
    """A path leads through dicts by key, and through lists to each of their items."""
    config = RedactionConfig(
        kinds=["EMAIL"], skip_fields=["order", "user.mail", "items.password", "user.mail.deeper"]
    )
    value = {
        "order": {"by": ADDRESS, "password": "x", ADDRESS: [ADDRESS]},
        "user": {"mail": ADDRESS, "other": ADDRESS, "deep": {"mail": ADDRESS}},
        "items": [{"password": "y", "a": ADDRESS}, [{"password": "z"}], ADDRESS],
        "mail": ADDRESS,
    }

    assert redact(value, config) == {
        "order": {"by": ADDRESS, "password": "x", ADDRESS: [ADDRESS]},
        "user": {
            "mail": ADDRESS,
            "other": "[REDACTED_EMAIL]",
            "deep": {"mail": "[REDACTED_EMAIL]"},
        },
        "items": [
            {"password": "y", "a": "[REDACTED_EMAIL]"},
            [{"password": "z"}],
            "[REDACTED_EMAIL]",
        ],
        "mail": "[REDACTED_EMAIL]",
    }


def test_keys_of_skipped_fields_stay_apart() -> None:
    """A key that was taken by a redacted one is numbered, not lost."""
    config = RedactionConfig(skip_fields=["[REDACTED_EMAIL]"])

    assert redact({ADDRESS: 1, "[REDACTED_EMAIL]": CARD}, config) == {
        "[REDACTED_EMAIL]": 1,
        "[REDACTED_EMAIL]#2": CARD,
    }


def test_an_event_obeys_the_clients_config(make_app: MakeApp) -> None:
    """Kinds, patterns, denied keys and skipped paths hold in every field of an event."""
    app = make_app(
        redact_pii=RedactionConfig(
            kinds=["EMAIL", "IP"],
            patterns={"EMP": "EMP-[0-9]+"},
            skip_fields=["response_metadata.order", "tool_calls.output", "error.code", "extra"],
            deny_keys=["pin"],
        )
    )
    app.client.log_prompt_call(
        "run-1",
        f"{ADDRESS} from 203.0.113.9",
        "m",
        "EMP-77",
        1,
        1,
        1.0,
        response_metadata={"order": ADDRESS, "other": ADDRESS, "PIN": 1234},
        tool_calls=[{"tool_name": "t", "input": {"to": ADDRESS}, "output": {"to": ADDRESS}}],
        error={"message": ADDRESS, "code": ADDRESS},
    )
    event = app.sent_one()

    assert event["prompt"] == "[REDACTED_EMAIL] from [REDACTED_IP]"
    assert event["response"] == "[REDACTED_EMP]"
    assert event["response_metadata"] == {
        "order": ADDRESS,
        "other": "[REDACTED_EMAIL]",
        "PIN": "[REDACTED_FIELD]",
    }
    assert event["tool_calls"][0]["input"] == {"to": "[REDACTED_EMAIL]"}
    assert event["tool_calls"][0]["output"] == {"to": ADDRESS}
    assert event["error"] == {"message": "[REDACTED_EMAIL]", "code": ADDRESS}
    assert event["redactions"] == {"email": 4, "ip": 1, "emp": 1, "field": 1}
    assert app.client.stats()["redacted"] == event["redactions"]


def test_all_of_a_nested_field_is_skipped_with_it(make_app: MakeApp) -> None:
    """A path to an object covers each of its fields."""
    app = make_app(redact_pii=RedactionConfig(skip_fields=["error"]))
    app.client.log_error("run-1", {"message": ADDRESS, "code": ADDRESS}, context={"a": ADDRESS})
    event = app.sent_one()

    assert event["error"] == {"message": ADDRESS, "code": ADDRESS}
    assert event["context"] == {"a": "[REDACTED_EMAIL]"}


def test_a_whole_field_of_an_event_can_be_skipped(make_app: MakeApp) -> None:
    """A field of one name is sent as it is, and the one after it is redacted again."""
    app = make_app(redact_pii=RedactionConfig(skip_fields=["prompt"]))
    app.client.log_prompt_call("run-1", ADDRESS, "m", ADDRESS, 1, 1, 1.0)
    event = app.sent_one()

    assert (event["prompt"], event["response"]) == (ADDRESS, "[REDACTED_EMAIL]")


def test_importing_the_package_loads_no_detector() -> None:
    """The detectors are loaded with the first client or the first call of `redact`."""
    import subprocess
    import sys

    program = (
        "import sys, watchllm;"
        "heavy = {'_email', '_card', '_issuers', '_kinds', '_patterns'};"
        "loaded = lambda: {n.rpartition('.')[2] for n in sys.modules if '_redaction' in n} & heavy;"
        "before = loaded(); watchllm.redact('x'); print(before, '_card' in loaded())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "set() True"


def test_many_different_marks_in_one_text_hide_nothing() -> None:
    """Where a text has more kinds of dashes, spaces and digits than it pays to replace each."""
    marks = "".join(chr(code) for code in range(0x2000, 0x2016)) + "\u2212\u3000\u200b"
    digits = "".join(map(chr, range(0xFF10, 0xFF1A)))

    card = "4111\u20031111\u20031111\u20031111"

    assert redact(f"{marks}, {card}, {digits}{marks}") == f"{marks}, [REDACTED_CC], {digits}{marks}"


def test_configurations_that_differ_only_in_functions_are_kept_apart() -> None:
    """What is kept of a configuration that was given before is never another one's."""

    def shouting(text: str) -> str:
        return text.upper()

    def whispering(text: str) -> str:
        return text.lower()

    configs = [RedactionConfig(callables=[function]) for function in (shouting, whispering)]
    found = [redact("Ada ada@example.com", config) for config in configs * 2]

    assert found == ["ADA [REDACTED_EMAIL]", "ada [redacted_email]"] * 2
