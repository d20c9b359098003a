"""One request at a time to a server, with what goes wrong as sentences."""

from __future__ import annotations

import http.client
import json
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watchllm_server.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_BASE_URL = "http://127.0.0.1:8787/v1"
_TIMEOUT_SECONDS = 60
_REFUSED = {401, 403}


@dataclass(frozen=True)
class Server:
    """A server's address, which ends in /v1, and the key of a project."""

    base_url: str
    api_key: str

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Server({self.base_url!r})"

    @contextmanager
    def request(
        self, method: str, path: str, body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and give its answer, whose body can be read while it arrives.

        Raises OSError or http.client.HTTPException while the server cannot be reached, and
        TransferError when the address is none or the key is refused.
        """
        with closing(self._connect()) as connection:
            headers = {"Authorization": f"Bearer {self.api_key}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            prefix = urlsplit(self.base_url).path.rstrip("/")
            connection.request(method, f"{prefix}{path}", body, headers)
            answer = connection.getresponse()
            if answer.status in _REFUSED:
                raise TransferError(f"{self.base_url} refuses the key: {message_of(answer)}")
            yield answer

    def _connect(self) -> http.client.HTTPConnection:
        try:
            parts = urlsplit(self.base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        kinds: dict[str, type[http.client.HTTPConnection]] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        if host is None or parts.scheme not in kinds:
            example = f"an address such as {DEFAULT_BASE_URL}"
            raise TransferError(f"--base-url must be {example}, but it is {self.base_url!r}.")
        return kinds[parts.scheme](host, port, timeout=_TIMEOUT_SECONDS)


def message_of(answer: http.client.HTTPResponse) -> str:
    """Return the sentence of an error's body, or its status."""
    try:
        message = json.loads(answer.read())["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}"
    return str(message)
