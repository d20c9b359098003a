"""Late imports and forks do not meet."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest
from collector import Collector, Reply

from watchllm._late import ImportGuard, load_for_logging

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_everything_is_loaded_once_a_client_is_made() -> None:
    """Logging imports no module any more: what it needs came with the client."""
    program = """
    import sys, watchllm
    from watchllm.testing import MemoryTransport
    client = watchllm.WatchLLMClient("k", "p", batch_size=500, transport=MemoryTransport())
    before = set(sys.modules)
    client.log_agent_step("r", 1, "s", "output", {1: 2}, {"mail": "a@b.co"}, 3)
    client.log_event(watchllm.ErrorEvent(error="x", timestamp="2026-11-24T09:30:00Z"))
    try:
        raise ValueError("x")
    except ValueError as error:
        client.log_error("r", error)
    print(set(sys.modules) - before)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "set()"


def test_what_loads_late_loads_where_forks_wait(collector: Collector) -> None:
    """From the client to the last retry, on every thread, no import escapes the guard."""
    program = """
    import logging  # which the guard itself needs, before it can be held
    import sys, threading, watchllm
    from watchllm._late import importing

    class Recorder:
        def find_spec(self, name, path=None, target=None):
            if not importing._lock._is_owned():
                escaped.append((threading.current_thread().name, name))

    escaped = []
    sys.meta_path.insert(0, Recorder())
    client = watchllm.WatchLLMClient("k", "p", durability=sys.argv[1])
    client.log_agent_step("r", 1, "s", "output", {1: 2}, {"mail": "\uff41@b.co"}, 3)
    try:
        raise ValueError("x")
    except ValueError as error:
        client.log_error("r", error)
    assert client.flush(20)
    client.close()
    print(sorted(set(escaped)))
    """
    for durability in ("disk", "memory"):
        collector.replies.append(Reply(429, headers={"Retry-After": "0"}))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), durability],
            env={**os.environ, "WATCHLLM_BASE_URL": collector.base_url},
            check=True,
            capture_output=True,
            text=True,
        )

        assert done.stdout.strip() == "[]"


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 on: there are threads
def test_a_fork_waits_for_an_import() -> None:
    """A process that forks while another thread imports does so after the import."""
    guard = ImportGuard()
    entered, forked = threading.Event(), threading.Event()
    seen = []

    def hold() -> None:
        with guard:
            entered.set()
            seen.append(forked.wait(0.3))

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0)
    forked.set()
    thread.join()
    load_for_logging()

    assert seen == [False]
    assert os.waitpid(child, 0)[1] == 0


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # as above
def test_a_fork_waits_no_longer_than_its_limit() -> None:
    """An import that does not end cannot keep a process from forking."""

    class Impatient(ImportGuard):
        LONGEST_SECONDS = 0.01

    guard = Impatient()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with guard:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0)
    leave.set()
    thread.join()
    with guard:
        pass

    assert os.waitpid(child, 0)[1] == 0
