"""Ask a provider over HTTP: the only place that knows the client library."""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from watchllm_server.gateway.providers.base import Provider

Kind = Literal["connect", "timeout", "reset", "busy"]
"""How an attempt failed; busy says that it was not even made."""

_STATUSES: Final[Mapping[Kind, int]] = {"connect": 502, "timeout": 504, "reset": 502, "busy": 429}
_KEPT_ALIVE: Final = 30.0
_READ_BUFFER: Final = 2**18
_LINE: Final = 2**16
# What the library adds where a client has sent none. It takes longer to be told not to than to send
# what is there, which is nearly all of it in nearly all requests.
_ADDED: Final = frozenset({"user-agent", "accept", "content-type", "accept-encoding"})


class UpstreamError(Exception):
    """Say that a provider did not answer, or not to its end.

    The text names the provider and what happened; never a header or a part of a body.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def code(self) -> str:
        """Return what clients and records call it."""
        return f"provider_{self.kind}"

    @property
    def problem(self) -> Problem:
        """Return what answers 429, 502 or 504 to a client that has got nothing yet."""
        return Problem(_STATUSES[self.kind], self.code, str(self))


class Reply:
    """A provider's answer whose head has come. Read it to its end or `close` it."""

    def __init__(self, provider: Provider, response: aiohttp.ClientResponse) -> None:
        self._provider = provider
        self._response = response
        self.status = response.status
        self.headers = response.raw_headers
        self._when_closed: Callable[[], None] | None = None

    def when_closed(self, call: Callable[[], None]) -> None:
        """Have something called once, when this is let go of."""
        self._when_closed = call

    def header(self, name: str) -> str:
        """Return a header, empty where there is none."""
        return self._response.headers.get(name, "")

    @property
    def is_stream(self) -> bool:
        """Return whether it is a stream of server-sent events."""
        return self.header("content-type").lower().startswith("text/event-stream")

    async def chunk(self) -> bytes:
        """Return what has come, waiting for at least one byte; empty at the end.

        Raises UpstreamError when it does not come or breaks off.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _mapped(self._provider, error) from error

    async def read(self, limit: int) -> tuple[bytes, bool]:
        """Return the body and whether that is all: reading stops beyond so many bytes."""
        pieces = []
        size = 0
        while piece := await self.chunk():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return b"".join(pieces), False
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), True

    def close(self) -> None:
        """Let go of it; the connection is used again only when all was read."""
        self._response.close()
        call, self._when_closed = self._when_closed, None
        if call is not None:
            call()


class Client:
    """Send requests over kept connections. Made and used on one event loop; `close` it there."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[tuple[str, str], URL] = {}

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=_KEPT_ALIVE, enable_cleanup_closed=False
                ),
                # Cookies of one client's answer must not reach the next one's request.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                max_line_size=_LINE,
                max_field_size=_LINE,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def send(
        self,
        provider: Provider,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> Reply:
        """Send a request and return the answer when its head has come.

        `path` comes after the provider's base URL, with its query, encoded as it was sent. Raises
        UpstreamError.
        """
        try:
            response = await self._opened().request(
                method,
                self._url(provider.base_url, path),
                data=body,
                headers=CIMultiDict(headers),
                skip_auto_headers=_ADDED.difference([name for name, _ in headers]) or None,
                timeout=_timeout(provider.connect_seconds, provider.timeout_seconds),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _mapped(provider, error) from error
        return Reply(provider, response)

    def _url(self, base: str, path: str) -> URL:
        known = self._urls.get((base, path))
        if known is None:
            known = URL(base + path, encoded=True)
            # Paths of unknown routes have ids in them; those of the known ones are few.
            if len(self._urls) < 1_000:  # noqa: PLR2004 - any bound will do
                self._urls[base, path] = known
        return known

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


@lru_cache(maxsize=256)
def _timeout(connect: float, read: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _mapped(provider: Provider, error: BaseException) -> UpstreamError:
    """Return the one error that the gateway knows; the library's text may quote an address."""
    name = provider.name
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamError("timeout", f"Connecting to the provider {name} took too long.")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        seconds = provider.timeout_seconds
        return UpstreamError(
            "timeout", f"The provider {name} sent nothing for {seconds:g} seconds."
        )
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLError)):
        return UpstreamError("connect", f"The provider {name} has no certificate that is trusted.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamError("connect", f"The provider {name} cannot be reached.")
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamError("reset", f"The provider {name} did not answer in HTTP.")
    return UpstreamError("reset", f"The provider {name} broke off the connection.")
