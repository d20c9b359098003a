"""Placeholders that tell findings apart without telling what they were."""

from __future__ import annotations

import hmac

from watchllm._redaction._fold import fold

# No digits: they could be taken for a number, and a mark of letters is never half of a card.
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_BYTES = 6  # of a million different findings two are alike with a chance of 1 in 560


class Keyed:
    """Mark findings with a keyed hash (HMAC-SHA-256). Safe to use from any thread."""

    def __init__(self, key: str) -> None:
        self._key = key.encode("utf-8", "surrogatepass")

    def mark(self, placeholder: str, found: str) -> str:
        """Return `[REDACTED_EMAIL:abcdefabcdef]`: the same mark for the same finding and key.

        Case makes no difference, nor does how the digits of a number are grouped.
        """
        text = (found if found.isascii() else fold(found)[0]).casefold()
        if "@" not in text:
            text = "".join(filter(str.isalnum, text))
        said = f"{placeholder}\0{text}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._key, said, "sha256").digest()[:_BYTES]
        return f"{placeholder[:-1]}:{digest.hex().translate(_LETTERS)}]"
