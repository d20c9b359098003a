"""How the C library, the interpreter and the embedded engine keep memory for this process."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
from typing import Final

_log = logging.getLogger(__name__)

# The numbers of mallopt(3), as glibc's malloc.h gives them.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 128 * 1024
_ARENAS: Final = 2
# Objects that may be new before cycles are looked for among them. The interpreter's own 700 are
# there after ten calls of the gateway, which leave no cycles.
_NEW_OBJECTS: Final = 10_000
# Of jemalloc, which the engine brings with it: it reads this when it is loaded.
_ENGINE_VARIABLE: Final = "JE_MALLOC_CONF"
_ENGINE_OPTIONS: Final = "dirty_decay_ms:1000"


def give_back_large_blocks() -> bool:
    """Have what a large request took go back to the system when it is answered.

    glibc raises its threshold for that with the first large block that is freed, and keeps a heap
    for each thread: after bodies of some hundred kB a server stays at its peak. Returns False where
    the C library is another one, which is left as it is. To be called before threads are started.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        _log.debug("The C library has no mallopt()")
        return False
    wanted = {_MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: _LARGE, _ARENA_MAX: _ARENAS}
    answers = [mallopt(number, value) for number, value in wanted.items()]
    return all(answers)


def give_back_what_the_engine_left() -> None:
    """Have the embedded engine give back what it has not used for a second, not for five.

    Under load it inserts and merges all the time, and stays at the peak of the last five. What
    somebody has set in the environment stays. To be called before the engine is loaded.
    """
    os.environ.setdefault(_ENGINE_VARIABLE, _ENGINE_OPTIONS)


def look_past_what_stays() -> None:
    """Have the collector of cycles look at what is new from now on, and at that less often.

    What there is now, such as modules and price lists, it would look through again and again, for a
    tenth of a second in which nothing is answered. To be called once what lasts is loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
