"""The program under measurement: it logs events with one product and ends in the way it is told.

It runs in the product's own environment. What it has to say goes as lines of JSON to the file
descriptor named second on its command line, because products print on stdout and stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from job import WARM_UP, Job, planted

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1_300  # characters of a prompt, and of a response: 3 kB with the rest of an event
WARM_UP_CALLS, WARM_UP_SECONDS = 20, 1.0
CHILD_SECONDS = 6.0  # that a forked worker lives after its last call

Texts = list[tuple[str, str]]


class Told:
    """Lines of JSON to the process that measures."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, **facts: object) -> None:
        """Write one line at once: the next moment may be the last."""
        os.write(self._descriptor, json.dumps(facts).encode() + b"\n")


def texts(series: str, count: int) -> Texts:
    """Return prompts, each with its planted id, and responses; no two are alike."""
    sys.path.append(str(Path(__file__).parent.parent))
    from load import text  # noqa: PLC0415 - it imports asyncio, which `first` must not do

    seed = random.Random(series)
    return [
        (planted(series, number) + " " + text(SIZE, seed), text(SIZE, seed))
        for number in range(count)
    ]


def first(job: Job, told: Told) -> None:
    """Say how much CPU it takes from nothing imported to the first event logged."""
    before = time.process_time()
    log, _ = _start(job)
    log(planted(job.series, 0), "A response.")
    told.say(cpu=time.process_time() - before)


def measure(job: Job, told: Told) -> None:
    """Say the microseconds of each call, and the CPU of the process until all is delivered."""
    log, finish = _start(job)
    warm_up, events = texts(WARM_UP, WARM_UP_CALLS), texts(job.series, job.count)
    for prompt, response in warm_up:
        log(prompt, response)
    time.sleep(WARM_UP_SECONDS)
    cpu = time.process_time()
    took = _log_all(log, events, job.pause)
    told.say(microseconds=took)
    finish()
    told.say(cpu=time.process_time() - cpu)


def leave(job: Job, told: Told) -> None:
    """Log, and reach the end of the program without any flush."""
    _log(job, told)


def raise_at_top(job: Job, told: Told) -> None:
    """Log, and fail with an exception that nobody catches."""
    _log(job, told)
    raise RuntimeError("the app failed")


def die(job: Job, told: Told) -> None:
    """Log, and be killed at once."""
    _log(job, told)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_by_os_exit(job: Job, told: Told) -> None:
    """Log, and leave as forked workers of some servers do: without atexit."""
    _log(job, told)
    os._exit(0)


def fork(job: Job, told: Told) -> None:
    """Start the logger, fork, and log in the child, which lives on for some seconds and ends."""
    log, _ = _start(job)
    log(*texts(WARM_UP, 1)[0])
    time.sleep(WARM_UP_SECONDS)
    child = os.fork()
    if child == 0:
        _log_all(log, texts(job.series, job.count), job.pause)
        time.sleep(CHILD_SECONDS)
    else:
        told.say(child=child)
        os.waitpid(child, 0)


def stay(job: Job, told: Told) -> None:
    """Log, and live on until told to end."""
    _log(job, told)
    sys.stdin.readline()


ENDINGS: dict[str, Callable[[Job, Told], None]] = {
    "first": first,
    "measure": measure,
    "leave": leave,
    "raise": raise_at_top,
    "die": die,
    "os_exit": leave_by_os_exit,
    "fork": fork,
    "stay": stay,
}


def _start(job: Job) -> tuple[Callable[[str, str], None], Callable[[], None]]:
    module = importlib.import_module(f"loggers.{job.logger}")
    log, finish = module.start(job.url, **job.options)
    return log, finish


def _log(job: Job, told: Told) -> None:
    """Warm up where the job says so, log all, and say when."""
    events = texts(job.series, job.count)
    log, _ = _start(job)
    if job.waits:
        log(*texts(WARM_UP, 1)[0])
        told.say(ready=True)
        sys.stdin.readline()
    _log_all(log, events, job.pause)
    told.say(logged_at=time.monotonic())


def _log_all(log: Callable[[str, str], None], events: Texts, pause: float) -> list[float]:
    took = []
    for prompt, response in events:
        if pause:
            time.sleep(pause)
        before = time.perf_counter()
        log(prompt, response)
        took.append((time.perf_counter() - before) * 1e6)
    return took


if __name__ == "__main__":
    the_job = Job.from_json(sys.argv[1])
    ENDINGS[the_job.ending](the_job, Told(int(sys.argv[2])))
