"""Signals that end the demo, at moments at which it can clean up."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal as Ctrl-C while the block runs.

    A signal that was ignored when we were started, as under nohup, stays ignored.
    """
    with handling(signal.default_int_handler):
        yield


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals back until the block is left, so that none falls between two of its lines."""
    came: list[int] = []
    with handling(lambda number, _: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle the signals that end the demo; other threads than the main one cannot, and do not."""
    mine = threading.current_thread() is threading.main_thread()
    before = {
        number: signal.signal(number, handler)
        for number in ENDING
        if mine and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)
