"""Whether two answers say the same: what a served answer is held against."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from watchllm_server.cache import guards
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from watchllm_server.cache.embed import Embedder, Vector
    from watchllm_server.cache.review import Reviewer

_ALIKE: Final = 0.90
# What must not differ between two wordings of one answer.
_STRICT: Final = frozenset({"numbers", "dates", "units", "quoted", "code", "opposites"})


def plain(answer: str) -> str:
    """Return an answer without what a model varies: case, spaces, marks at the ends, emphasis."""
    text = unicodedata.normalize("NFKC", answer).casefold()
    return " ".join(text.replace("*", "").replace("`", "").split()).strip(" .!?\"'")


def same_words(one: str, other: str) -> bool | None:
    """Return whether the words of two answers say the same; None where only their meaning tells.

    They do when they are equal but for what a model varies, and do not when a number, date, unit,
    quotation, code or opposite of one conflicts with the other.
    """
    if one == other or plain(one) == plain(other):
        return True
    conflicts = guards.compare(guards.read(one), guards.read(other)).conflicts()
    return None if _STRICT.isdisjoint(conflicts) else False


def same_meaning(one: Vector, other: Vector) -> bool:
    """Return whether two answers whose words leave it open say the same: by a cosine of 0.9."""
    return float(one @ other) >= _ALIKE


async def same(
    one: str,
    other: str,
    embedder: Embedder,
    *,
    question: str = "",
    reviewer: Reviewer | None = None,
) -> bool | None:
    """Return whether two answers to a question say the same, None where that cannot be told.

    This errs on the side of "another": a hit is then called rather too bad than too good. Where the
    words leave it open the reviewer is asked, and without its opinion the vectors decide.
    """
    told = same_words(one, other)
    if told is None and reviewer is not None:
        told = await reviewer.same_answer(question, one, other)
    if told is not None:
        return told
    try:
        left, right = await embedder.embed(one), await embedder.embed(other)
    except ModelError:
        return None
    return None if left is None or right is None else same_meaning(left, right)
