"""What a cache would have saved and risked on past calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from watchllm_server.cache.evaluate import Decision
from watchllm_server.cache.simulate import Made, read_calls, replay
from watchllm_server.commands import run
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path


def event(prompt: str, response: str, **more: Any) -> dict[str, Any]:
    """Return an exported event."""
    given = {"event_type": "prompt_call", "status": "success", "model": "m", "cost_usd": 0.5}
    return {**given, "prompt": prompt, "response": response, **more}


def write(folder: Path, *events: Any) -> Path:
    """Write events as an export does."""
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in events))
    return path


def test_a_replay_counts_what_is_saved_and_what_differs(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal requests and other wordings are served; answers that differ are told."""
    path = write(
        tmp_path,
        event("how do i reset it?", "Press the button."),
        event("how do i reset it?", "press the button"),
        event("How do I reset it?", "Press the button"),
        event("HOW do i reset it?", "Wait for 30 minutes."),
        event("how do i reset it?", "Press.", model="another"),
    )
    told = ["cache", "simulate", str(path), "--model", str(model_folder), "--threshold", "0.7"]

    assert run(told) == 0

    printed = " ".join(capsys.readouterr().out.split())
    assert "5 answered calls, which cost 2.5000 dollars." in printed
    assert "an equal request came again 1 0.5000" in printed
    assert "another wording, from 0.700 on 2 1.0000" in printed
    assert "Of 2 answers to another wording" in printed
    assert "1 differ" in printed
    assert "HOW do i reset it? <- how do i reset it?" in printed


def test_a_conversation_is_compared_by_its_last_turn_within_the_rest(tmp_path: Path) -> None:
    """What was said before is the scope: the same last turn after another talk is not near it."""
    cats = "system: Be kind.\n\nuser: Tell me of cats.\n\nassistant: Well.\n\nuser: And dogs?"
    path = write(tmp_path, event(cats, "a"), event(cats.replace("cats", "birds"), "b"))

    first, second = read_calls(path)

    assert first.text == second.text == "And dogs?"
    assert first.scope != second.scope


def test_what_was_not_answered_is_passed_over(tmp_path: Path) -> None:
    """Failed calls, other events and calls without texts would not be in a cache."""
    path = write(
        tmp_path,
        event("a", "b", status="error"),
        event("a", ""),
        event(" ", "b"),
        {"event_type": "agent_step"},
        event("a", "b", cost_usd=None),
    )

    (made,) = read_calls(path)

    assert (made.text, made.answer, made.cost) == ("a", "b", 0.0)


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    """Nothing is guessed of a file of another form."""
    with pytest.raises(StartError, match="Line 2"):
        list(read_calls(write(tmp_path, event("a", "b"), ["no event"])))
    with pytest.raises(StartError, match="cannot be read"):
        list(read_calls(tmp_path / "nowhere.jsonl"))


def test_a_prompt_that_is_too_long_is_served_when_it_is_equal(model_folder: Path) -> None:
    """Without a vector only equal requests are the same."""
    call = Made(b"scope", "a " * 300, "answer", 0.1)
    longer = call._replace(text=call.text + "b")

    outcome = replay([call, longer, call], Decision(model_folder), 0.5)

    assert (outcome.equal, outcome.alike) == (1, 0)
    assert outcome.error.high == 1.0
