"""Bytes to an outcome: over HTTP, or whatever else a client is given."""

from __future__ import annotations

import os

from watchllm._late import importing
from watchllm._network import NoWay, is_loopback, manager
from watchllm._outcome import (
    Delivered,
    Outcome,
    Refusal,
    Refused,
    Retry,
    TooLarge,
    Unauthorised,
)
from watchllm._retry import retry_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

    from watchllm._runtime import Clock

LARGEST_ANSWER_BYTES = 1_000_000
SMALLEST_COMPRESSED_BYTES = 1_024  # below that the saving is less than a packet
CONNECT_SECONDS = 10.0
_TRY_LATER = frozenset({404, 405, 408, 425, 429})


class Transport:
    """Base of what carries batches; a client may be given another.

    All methods are called by one thread at a time, and `after_fork` in a child process.
    """

    def send(self, body: bytes, timeout: float) -> Outcome:
        """Carry one body, within `timeout` seconds, and say what became of it."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of connections."""

    def after_fork(self) -> None:
        """Forget connections: they are the parent's."""


class StandIn:
    """What clients send through instead of HTTP while tests want it: see `watchllm.testing`."""

    transport: Transport | None = None

    def __init__(self) -> None:
        self.clients: list[Any] = []  # those that do


stand_in = StandIn()


class HttpTransport(Transport):
    """POST batches to the collector over one kept-alive connection."""

    def __init__(self, base_url: str, api_key: str, version: str, clock: Clock) -> None:
        self._base_url = base_url
        self._url = f"{base_url}/events/batch"
        self._clock = clock
        self._gzip = False
        self._compressible = not is_loopback(base_url)
        self._pool: PoolManager | None = None
        self._parents: list[PoolManager | None] = []
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "User-Agent": f"watchllm-python/{version}",
        }

    def send(self, body: bytes, timeout: float) -> Outcome:
        """POST one body; every error of the network is a `Retry`."""
        with importing:
            import encodings.idna  # noqa: F401 - the first look-up of a host name imports it
            import zlib

            import urllib3

            if self._pool is None:
                try:
                    self._pool = manager(self._base_url, os.environ)
                except NoWay as error:
                    return Retry(f"{self._base_url} cannot be reached: {error}")
        headers = dict(self._headers)
        if self._gzip and len(body) >= SMALLEST_COMPRESSED_BYTES:
            headers["Content-Encoding"] = "gzip"
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
        try:
            # A redirect is never followed: it would carry the key to another place.
            response = self._pool.urlopen(
                "POST",
                self._url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=min(timeout, CONNECT_SECONDS), read=timeout),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Retry(f"{self._base_url} could not be reached: {_network_problem(error)}")
        try:
            answer = response.read(LARGEST_ANSWER_BYTES)
            return self._outcome(response, answer, compressed="Content-Encoding" in headers)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Retry(f"{self._base_url} broke off its answer: {_network_problem(error)}")
        finally:
            # What is left unread would be taken for the next answer.
            if response.closed:
                response.release_conn()
            else:
                response.close()

    def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def after_fork(self) -> None:
        """Leave the parent's connections alone.

        They are kept, not closed: their pool has locks that a thread of the parent may have held.
        """
        self._parents.append(self._pool)
        self._pool = None

    def _outcome(self, response: BaseHTTPResponse, answer: bytes, *, compressed: bool) -> Outcome:
        status = response.status
        content = _json_object(answer)
        code, message = _error_of(content)
        said = f"{status} {code} {message}".strip()
        if 200 <= status < 300:
            if content is None:
                return Retry(
                    f"{self._base_url} answered {status} with something else than the collector's"
                    " JSON. Is base_url right?"
                )
            advertised = response.headers.get("Accept-Encoding", "").lower()
            self._gzip = self._compressible and "gzip" in advertised
            return Delivered(_refusals(content), _advertised(response))
        if compressed and (status == 415 or code in {"invalid_encoding", "unsupported_encoding"}):
            self._gzip = False
            return Retry(f"{self._base_url} no longer takes gzip: {said}", after=0.0)
        if status == 401:
            return Unauthorised(
                f"{self._base_url} does not know the key (401). Set api_key or WATCHLLM_API_KEY to"
                " a key of your project."
            )
        if status == 403:
            return Unauthorised(
                f"{self._base_url} refused the key for this project (403). Check that project_id"
                " and api_key belong together."
            )
        if status == 413:
            return TooLarge()
        if 300 <= status < 400:
            to = response.headers.get("Location", "another address")
            return Retry(
                f"{self._base_url} redirects to {to}, which is not followed. Set base_url to the"
                " address that it leads to."
            )
        if status >= 500 or status in _TRY_LATER:
            after = retry_after(
                response.headers.get("Retry-After"), self._clock.time_ns() / 1_000_000_000
            )
            hint = " Is base_url right?" if status in {404, 405} else ""
            return Retry(f"{self._base_url} answered {said}.{hint}", after)
        return Refused(f"{self._base_url} answered {said}.")


def _network_problem(error: Exception) -> str:
    """Return what went wrong with the network, in words that hold no header and no key."""
    cause = error.__cause__ or error.__context__ or error
    name = type(error).__name__
    detail = str(cause) if isinstance(cause, OSError) else ""
    return f"{name} ({detail})" if detail else name


def _json_object(answer: bytes) -> dict[str, Any] | None:
    import json

    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _error_of(content: dict[str, Any] | None) -> tuple[str, str]:
    error = content.get("error") if content else None
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("code", ""))[:100], str(error.get("message", ""))[:300]


def _refusals(content: dict[str, Any]) -> list[Refusal]:
    errors = content.get("errors")
    found = []
    for error in errors if isinstance(errors, list) else []:
        index = error.get("index") if isinstance(error, dict) else None
        if isinstance(index, int) and not isinstance(index, bool):
            event_id, code = str(error.get("event_id", "")), str(error.get("code", ""))
            found.append(Refusal(index, event_id, code[:100], str(error.get("message", ""))[:300]))
    return found


def _advertised(response: BaseHTTPResponse) -> int | None:
    """Return the most events a batch that the server says it takes."""
    text = response.headers.get("X-WatchLLM-Max-Batch", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 and int(text) else None
