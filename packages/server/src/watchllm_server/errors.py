"""What can go wrong, and the status that each problem is answered with.

WatchLLMServerError
├── StartError                the process cannot start: one sentence, exit code 2
├── MetadataError             a project or key cannot be made as asked
├── MetadataUnavailableError  the database of projects and keys is away
├── BackupError               a backup cannot be written or restored as asked
├── ControlError              the running server cannot be asked, or says no
├── SealError                 encrypted bytes do not open with the server's key
├── ModelError                a model of the semantic cache cannot be had or used
│   └── NoModelError          nobody has fetched one
├── TransferError             an export or import cannot go on: one sentence, exit code 2
├── StoreError                the store did not do what was asked
│   └── StoreUnavailableError  it cannot do anything now
└── Problem                   a request is answered with an error body
"""

from __future__ import annotations

import re

_ENGINE_ERROR = re.compile(r"\(([A-Z][A-Z_]+)\)")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class WatchLLMServerError(Exception):
    """Base of every error that this package raises on purpose."""


class StartError(WatchLLMServerError):
    """Say in one sentence why the process cannot start."""


class MetadataError(WatchLLMServerError):
    """Say in one sentence why a project or key cannot be made."""


class TransferError(WatchLLMServerError):
    """Say in one sentence why an export or an import cannot go on."""


class MetadataUnavailableError(WatchLLMServerError):
    """Say why the database of projects and keys does not answer."""


class BackupError(WatchLLMServerError):
    """Say in one sentence why a backup cannot be written or restored."""


class SealError(WatchLLMServerError):
    """Say why encrypted bytes cannot be opened; never a word of what they hold."""


class ModelError(WatchLLMServerError):
    """Say in one sentence why a model cannot be had, or used."""


class NoModelError(ModelError):
    """Say in one sentence where no model is: nobody has fetched one."""


class ControlError(WatchLLMServerError):
    """Say in one sentence why a running server did not do what a command asked.

    `status` is that of its answer, None where it gave none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StoreError(WatchLLMServerError):
    """Say what the store answered; the text may hold data and is never sent to a client."""

    @property
    def reason(self) -> str:
        """The engine's name of the error, which is all of its text that holds no data."""
        names = _ENGINE_ERROR.findall(str(self))
        return names[-1] if names else "engine error"


class StoreUnavailableError(StoreError):
    """Say that the store can do nothing now: it is away, or its disk is full."""


class Problem(WatchLLMServerError):  # noqa: N818 - it is an answer, not always a fault
    """Answer a request with `{"error": {"type", "code", "message"}}`.

    `retry_after` is in seconds and becomes the header Retry-After.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    @property
    def body(self) -> dict[str, dict[str, str]]:
        """Return the error body."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"type": kind, "code": self.code, "message": self.message}}


def invalid_query(message: str) -> Problem:
    """Return the answer to a question that cannot be understood."""
    return Problem(400, "invalid_query", message)


def store_unavailable() -> Problem:
    """Return the answer to a request that the store cannot serve now."""
    message = "The event store cannot serve this request now. Try again later."
    return Problem(503, "store_unavailable", message, retry_after=5)


def metadata_unavailable() -> Problem:
    """Return the answer to a request whose key cannot be looked up now."""
    message = "The database of projects and keys does not answer now. Try again later."
    return Problem(503, "metadata_unavailable", message, retry_after=5)
