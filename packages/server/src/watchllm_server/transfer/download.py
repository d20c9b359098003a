"""Write the events of a server into a file while they arrive."""

from __future__ import annotations

import http.client
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlencode

from watchllm_server.errors import TransferError
from watchllm_server.transfer.connection import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from watchllm_server.transfer.connection import Server

_PIECE: Final = 256 * 1024
_OK: Final = 200


def download(
    server: Server,
    parameters: Sequence[tuple[str, str]],
    file: IO[bytes],
    progress: Callable[[int], None],
) -> int:
    """Write an export to a file and return its size; tell `progress` the bytes of each piece.

    Raises TransferError when the server refuses, or ends before the export does.
    """
    size = 0
    try:
        with server.request("GET", f"/export?{urlencode(parameters)}") as answer:
            if answer.status != _OK:
                raise TransferError(f"The server cannot export this: {message_of(answer)}")
            while piece := answer.read(_PIECE):
                file.write(piece)
                size += len(piece)
                progress(len(piece))
    except (OSError, http.client.HTTPException) as error:
        if size:
            message = f"The export broke off after {size:,} bytes ({error}): start it again."
            raise TransferError(message) from error
        raise TransferError(f"{server.base_url} cannot be reached: {error}.") from error
    return size
