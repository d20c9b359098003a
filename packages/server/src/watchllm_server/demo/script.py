"""The text that the scripted endpoint answers from, and its rule for counting tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PIECE = re.compile(r"\s*(?:\w+|[^\w\s])")
SECTION = re.compile(r"^## (.+)\n([^#]*)", re.MULTILINE)
EVERYTHING_ELSE = "*"
PACKAGED = Path(__file__).with_name("script.md")


def pieces(text: str) -> list[str]:
    """Split a text into its tokens: each word and each mark is one, with the space before it."""
    return PIECE.findall(text)


@dataclass(frozen=True)
class Script:
    """Answers, each with the phrases that call for it, in the order of the text."""

    sections: tuple[tuple[tuple[str, ...], str], ...]

    @classmethod
    def read(cls, path: Path = PACKAGED) -> Script:
        """Read a script from Markdown: a heading of phrases (commas between), then an answer."""
        found = SECTION.findall(path.read_text("utf-8"))
        return cls(
            tuple(
                (tuple(phrase.strip().casefold() for phrase in heading.split(",")), answer.strip())
                for heading, answer in found
            )
        )

    def answer(self, question: str) -> str:
        """Return the first answer of which a phrase occurs in the question."""
        asked = question.casefold()
        return next(
            answer
            for phrases, answer in self.sections
            if any(phrase == EVERYTHING_ELSE or phrase in asked for phrase in phrases)
        )
