"""From an event to its card: folds, comparisons, replays, and whatever fields hold."""

from __future__ import annotations

import ast
import json
import subprocess
from typing import Any

import msgspec
import pytest
from conftest import utc
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.pages.difference import difference
from watchllm_server.pages.event_view import event_view, texts_to_compare
from watchllm_server.pages.folding import Fold, fold
from watchllm_server.pages.replay import replay_of_call
from watchllm_server.pages.words import Words
from watchllm_server.query.events import Event


def event(kind: str = "prompt_call", prompt: str = "", model: str = "", **fields: Any) -> Event:
    """Return a stored event with other fields."""
    return Event(
        project_id="p", event_id="e", run_id="r", event_type=kind, ts=utc("2026-11-24T09:00:00"),
        env="", tags=[], user_id="", release="", model=model, status="success", latency_ms=None,
        tokens_input=None, tokens_output=None, cost_usd=None, prompt=prompt, response="",
        attributes={name: Raw(msgspec.json.encode(value)) for name, value in fields.items()},
    )  # fmt: skip


def test_json_folds() -> None:
    """An object has parts by name, a list by number, each told how much is in it."""
    found = fold(b'{"a": [1, "x"], "b": {}}')

    assert isinstance(found, Fold)
    assert (found.kind, found.summary, found.open) == ("object", "2 fields", True)
    first, second = found.parts
    assert (first.name, first.summary) == ("a", "2 items")
    assert [(part.name, part.words and part.words.text) for part in first.parts] == [
        ("0", "1"), ("1", "x"),
    ]  # fmt: skip
    assert (second.name, second.summary) == ("b", "0 fields")


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(list(range(1_000))).encode(),
        b"[" * 50 + b"]" * 50,
        b"12345678901234567890.12345",
        b"not json",
        b'"\xff"',
    ],
)
def test_json_that_is_too_much_to_fold_is_a_text(raw: bytes) -> None:
    """Thousands of parts, fifty levels, a plain value or no JSON at all are shown as text."""
    found = fold(raw)

    assert isinstance(found, Words)
    assert found.text.replace("\n", "").replace(" ", "")[:20] in (
        raw.decode(errors="replace").replace(" ", "")
    )


def test_a_large_value_is_open_at_its_outside_alone() -> None:
    """What has many parts shows the outermost ones; a small value shows all."""
    large = fold(json.dumps({str(n): {"a": {"b": 1}} for n in range(20)}).encode())
    small = fold(b'{"a": {"b": 1}}')

    assert isinstance(large, Fold)
    assert isinstance(small, Fold)
    assert (large.open, large.parts[0].open) == (True, False)
    assert small.parts[0].open


def test_a_difference_marks_lines() -> None:
    """Lines of one text alone are out or in, and what is far from them is left out."""
    same = [f"line {number}" for number in range(20)]
    first, second = "\n".join([*same, "old", "end"]), "\n".join([*same, "new", "end"])

    found = [(line.mark, line.text) for line in difference(first, second)]

    assert found == [
        ("gap", "17 lines are the same."),
        ("same", "line 17"), ("same", "line 18"), ("same", "line 19"),
        ("out", "old"), ("in", "new"), ("same", "end"),
    ]  # fmt: skip


def test_the_same_texts_have_no_difference() -> None:
    """Of equal texts nothing is shown."""
    assert difference("a\nb", "a\nb") == []


@given(st.lists(st.sampled_from("abc\x1b")), st.lists(st.sampled_from("abc")))
def test_a_difference_leads_from_one_text_to_the_other(one: list[str], other: list[str]) -> None:
    """Without gaps, the lines that are not out are the second text, those not in the first."""
    lines = difference("\n".join(one), "\n".join(other))

    if lines and all(line.mark != "gap" for line in lines):
        first = [line.text for line in lines if line.mark != "in"]
        second = [line.text for line in lines if line.mark != "out"]
        assert first == [text.replace("\x1b", "␛") for text in one or [""]]
        assert second == (other or [""])


@pytest.mark.parametrize("text", ["x\n" * 2_000, "x" * 200_000])
def test_texts_that_are_too_long_are_not_compared(text: str) -> None:
    """A comparison that would take long says that the texts differ, and their sizes."""
    [only] = difference(text, "y")

    assert only.mark == "gap"
    assert f"{len(text):,}" in only.text


HOSTILE = "He said: \"it's\" $HOME `id` \\ \u202e\x1b[31m\n'; rm -rf / #"


def test_a_replay_sends_what_was_recorded() -> None:
    """A shell gives curl the very messages, and Python reads them, whatever signs they have."""
    prompt = f"system: {HOSTILE}\n\nuser: Hi"

    replay = replay_of_call("gpt-4o", prompt)

    assert replay is not None
    script = f'curl() {{ printf "%s" "${{!#}}"; }}\n{replay.curl}'
    sent = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    expected = [{"role": "system", "content": HOSTILE}, {"role": "user", "content": "Hi"}]
    assert json.loads(sent) == {"model": "gpt-4o", "messages": expected}
    [given] = [
        node.value for node in ast.walk(ast.parse(replay.python))
        if isinstance(node, ast.keyword) and node.arg == "messages"
    ]  # fmt: skip
    assert ast.literal_eval(given) == expected
    assert "\x1b" not in replay.curl + replay.python
    assert "\u202e" not in replay.curl + replay.python


def test_a_replay_speaks_to_the_models_maker() -> None:
    """A model of Anthropic is asked in its shape, with the system's words apart."""
    replay = replay_of_call("anthropic/claude-x", "system: Be short.\n\nuser: Hi\n\ntool: 5")

    assert replay is not None
    assert "/v1/messages" in replay.curl
    assert "system='Be short.'" in replay.python
    assert "{'role': 'user', 'content': '5'}" in replay.python


@pytest.mark.parametrize(("model", "prompt"), [("", "Hi"), ("gpt-4o", "x" * 100_000)])
def test_what_cannot_be_made_again_has_no_replay(model: str, prompt: str) -> None:
    """Without a model there is nothing to ask, and no shell takes a prompt of any length."""
    assert replay_of_call(model, prompt) is None


def test_a_card_has_tool_calls_and_failures() -> None:
    """A tool's call is shown with its input, its output and its error; so is the event's own."""
    call = {
        "tool_name": "f", "input": {"a": 1}, "output": "text", "latency_ms": 5, "status": "error",
        "error": {"message": "No", "type": "KeyError", "context": {"k": 1}},
    }  # fmt: skip
    error = {"message": "Boom", "code": "500", "stack": "Trace"}

    card = event_view(event(tool_calls=[call, 7], error=error, own={"x": 1}))

    [tool] = card.tool_calls
    assert (tool.name, tool.tone, [section.label for section in tool.sections]) == (
        "f", "error", ["input", "output"],
    )  # fmt: skip
    assert tool.failure is not None
    assert (tool.failure.kind, tool.failure.context is not None) == ("KeyError", True)
    assert card.failure is not None
    assert (card.failure.kind, card.failure.message.text) == ("500", "Boom")
    assert [section.label for section in card.sections] == ["own"]


def test_a_card_says_that_texts_are_cut() -> None:
    """A text that is longer than what is shown is said to be, until all of it is shown."""
    long = event(prompt="x" * 100_000)

    assert event_view(long).is_cut
    assert not event_view(long, whole=True).is_cut


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


@given(
    st.sampled_from(["prompt_call", "agent_step", "error", "assertion_failed", "own"]),
    st.dictionaries(
        st.sampled_from(
            ["error", "tool_calls", "step_name", "step_number", "stack_trace", "context", "name"]
        ),
        JSON,
    ),
)
def test_a_card_shows_whatever_fields_hold(kind: str, fields: dict[str, Any]) -> None:
    """A field of a kind that no sender should send takes nothing from the rest of the card."""
    card = event_view(event(kind, **fields))

    assert card.title is not None
    assert texts_to_compare(event(kind, **fields)).keys() <= {
        name.replace("_", " ") for name in fields
    }
