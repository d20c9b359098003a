"""How an event lies in a file of the journal: encrypted, as a line of its own."""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from watchllm_server.calls import read_call
from watchllm_server.errors import SealError
from watchllm_server.events import FaultyEventError, read_event

if TYPE_CHECKING:
    from watchllm_server.rows import Row
    from watchllm_server.secrets import Seal


class _Owner(msgspec.Struct):
    project_id: str


_owner: Final = msgspec.json.Decoder(_Owner).decode


class Lines:
    """Encrypt events for a file, and read them back. Safe to use from any thread.

    Each line is a message of its own, in base64: a line that was torn or changed costs no other.
    """

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def close(self, event: bytes) -> bytes:
        """Return the line of an event's JSON, with its line break."""
        return b2a_base64(self._seal.close(event))

    def open(self, line: bytes) -> bytes | None:
        """Return what was encrypted; None for a line that is torn, changed or of another key."""
        if not line.endswith(b"\n"):
            return None
        try:
            return self._seal.open(a2b_base64(line[:-1], strict_mode=True))
        except (NotBase64, SealError):
            return None


def row_of(event: bytes) -> Row | None:
    """Return the row of an event's JSON, or None for what is no event."""
    raw = Raw(event)
    try:
        project_id = _owner(raw).project_id
        return read_call(raw, project_id) or read_event(raw, project_id)
    except (msgspec.DecodeError, FaultyEventError, RecursionError):
        return None
