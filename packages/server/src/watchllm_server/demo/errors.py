"""What ends the demo early."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the message is a sentence for the person who started it."""

    def __init__(self, message: str, *, exit_code: int = 1, details: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = details
