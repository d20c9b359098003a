"""An ASGI app behind a real uvicorn, in this process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from conftest import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Run uvicorn with an app on a thread; yield its address."""
    config = uvicorn.Config(app, port=free_port(), log_level="critical", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the server did not start")
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        thread.join()
