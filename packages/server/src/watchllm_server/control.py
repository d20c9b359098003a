"""How a command of this machine finds the server of a data directory, and shows that it may ask.

A server leaves its address and a fresh secret in a file that only the directory's owner can read.
"""

from __future__ import annotations

import json
import os
import secrets
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchllm_server.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = "server.json"


@dataclass(frozen=True, slots=True)
class Control:
    """Where a server listens, and the secret that opens its admin API."""

    address: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float | None = None) -> Any:
        """Return the JSON that the server answers; raise ControlError with its sentence.

        `timeout` is in seconds; without one it waits as long as the work takes.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - the address is that of our own server
            f"{self.address}{path}", content, headers, method=method
        )
        # A proxy of the environment is for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ControlError(_message(error), error.code) from None
        except (OSError, ValueError) as error:
            raise ControlError(f"The server at {self.address} does not answer: {error}.") from None


@contextmanager
def announced(directory: Path, address: str) -> Iterator[Control]:
    """Announce a server for as long as the block runs."""
    control = Control(address, secrets.token_urlsafe(32))
    path = directory / _NAME
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"address": control.address, "token": control.token}, file)
    try:
        yield control
    finally:
        path.unlink(missing_ok=True)


def find(directory: Path) -> Control:
    """Return how to reach the server of a directory; raise ControlError when none is told."""
    try:
        told = json.loads((directory / _NAME).read_bytes())
        return Control(str(told["address"]), str(told["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise ControlError(
            f"No server is announced in {directory}: check --data-dir, and that you may read it."
        ) from None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"The server answered {error.code}."
