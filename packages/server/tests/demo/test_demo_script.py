"""The script that the scripted endpoint answers from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.demo.script import Script, pieces

if TYPE_CHECKING:
    from pathlib import Path


def test_each_word_and_each_mark_is_a_token() -> None:
    """A token is a word or a mark, with the space before it."""
    assert pieces("Hello,  world: 4.5!") == ["Hello", ",", "  world", ":", " 4", ".", "5", "!"]


@given(st.text())
def test_the_tokens_of_a_text_make_up_the_text(text: str) -> None:
    """Nothing of a text is lost or counted twice, but for spaces at its end."""
    assert "".join(pieces(text)) == text.rstrip()


def test_the_first_section_with_a_phrase_of_the_question_answers(tmp_path: Path) -> None:
    """Phrases match in any case, sections in their order, and * answers everything else."""
    path = tmp_path / "script.md"
    path.write_text(
        "# Title\n\n## Red, dark blue\n\nA colour.\n\n## blue\n\nA mood.\n\n## *\n\nNo.\n"
    )
    script = Script.read(path)

    assert [script.answer(asked) for asked in ("dark BLUE", "a blue day", "red?", "green")] == [
        "A colour.",
        "A mood.",
        "A colour.",
        "No.",
    ]


def test_the_packaged_script_answers_any_question() -> None:
    """The script in the package ends in a section for everything else."""
    assert "script has none" in Script.read().answer("")
