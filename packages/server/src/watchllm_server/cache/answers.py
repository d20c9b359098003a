"""Whether two answers say the same: what a served answer is held against."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from watchllm_server.cache import guards
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from watchllm_server.cache.embed import Embedder

_ALIKE: Final = 0.90
# What must not differ between two wordings of one answer.
_STRICT: Final = frozenset({"numbers", "dates", "units", "quoted", "code", "opposites"})


def plain(answer: str) -> str:
    """Return an answer without what a model varies: case, spaces, marks at the ends, emphasis."""
    text = unicodedata.normalize("NFKC", answer).casefold()
    return " ".join(text.replace("*", "").replace("`", "").split()).strip(" .!?\"'")


async def same(one: str, other: str, embedder: Embedder) -> bool | None:
    """Return whether two answers say the same, None where that cannot be told.

    They do when they are equal but for what a model varies, or when their vectors have a cosine of
    0.9 and no number, date, unit, quotation, code or opposite of one conflicts with the other. This
    errs on the side of "another": what it says of a hit is then rather too bad than too good.
    """
    if one == other or plain(one) == plain(other):
        return True
    conflicts = guards.compare(guards.read(one), guards.read(other)).conflicts()
    if not _STRICT.isdisjoint(conflicts):
        return False
    try:
        left, right = await embedder.embed(one), await embedder.embed(other)
    except ModelError:
        return None
    if left is None or right is None:
        return None
    return float(left @ right) >= _ALIKE
