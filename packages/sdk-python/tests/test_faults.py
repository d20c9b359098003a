"""Whatever happens to the process, the network or the collector: every event arrives, once.

Each row of the loss table in the documentation is a test here, with real processes that are killed
and real sockets that are reset.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from collector import Collector, Reply

if TYPE_CHECKING:
    from typing import Iterator

NUMBER = 1_000
PROGRAM = """
import os, signal, sys, time, watchllm
client = watchllm.WatchLLMClient("k", "p", base_url={base_url!r}, {options})
def log(number, name="n"):
    for n in range(number):
        client.log_prompt_call(run_id="r", prompt=f"{{name}} {{n}} " + "x" * 1000, model="m",
            response="y" * 1000, tokens_input=1, tokens_output=1, latency_ms=1)
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no POSIX system")


class Place:
    """A port for a collector, and programs that log to it."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.collector: Collector | None = None

    def start(self, *replies: Reply) -> Collector:
        """Start the collector; it answers as told, then with 200."""
        assert self.collector is None
        self.collector = Collector(self.port)
        self.collector.replies += replies
        return self.collector

    def stop(self) -> None:
        """End the collector."""
        if self.collector is not None:
            self.collector.stop()
            self.collector = None

    def begin(self, program: str, options: str = "") -> subprocess.Popen[str]:
        """Start a program."""
        text = PROGRAM.format(base_url=self.base_url, options=options) + textwrap.dedent(program)
        return subprocess.Popen(
            [sys.executable, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, options: str = "", code: int = 0) -> str:
        """Run a program to its end, which must have the code; return what it wrote to stderr."""
        process = self.begin(program, options)
        _, stderr = process.communicate(timeout=50)
        assert process.returncode == code, stderr
        return stderr

    def run_again(self, number: int) -> None:
        """Run the app once more: it logs an event and lives until so many different ones came."""
        assert self.collector is not None
        process = self.begin("log(1, 'next'); client.flush(30); sys.stdin.read()")
        self.collector.wait_for_events(number)
        _, stderr = process.communicate(timeout=50)
        assert process.returncode == 0, stderr

    def names(self) -> list[str]:
        """Return the names of the events taken, each once, in the order of their first arrival."""
        assert self.collector is not None
        events = {event["event_id"]: event for event in self.collector.events()}
        return [" ".join(event["prompt"].split()[:2]) for event in events.values()]


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a place whose collector is ended afterwards."""
    made = Place()
    yield made
    made.stop()


def expected(number: int = NUMBER, name: str = "n") -> list[str]:
    """Return the names that a program logs."""
    return [f"{name} {n}" for n in range(number)]


def doubled(collector: Collector) -> list[str]:
    """Return the ids that came more than once."""
    counts = Counter(event["event_id"] for event in collector.events())
    return [event_id for event_id, number in counts.items() if number > 1]


KILLED = "log(1000); os.kill(os.getpid(), signal.SIGKILL)"
LEFT = "log(1000); os._exit(3)"


def test_killed_at_once_while_the_collector_is_up(place: Place) -> None:
    """SIGKILL right after the last call: the next process sends what was not yet sent."""
    place.start()
    place.run(KILLED, code=-9)
    place.run_again(NUMBER + 1)

    assert sorted(place.names()) == sorted([*expected(), "next 0"])


@pytest.mark.parametrize(("program", "code"), [(KILLED, -9), (LEFT, 3)], ids=["SIGKILL", "_exit"])
def test_gone_at_once_while_the_collector_is_down(place: Place, program: str, code: int) -> None:
    """SIGKILL or os._exit with nobody to send to: the next process of the app sends it all."""
    place.run(program, code=code)
    collector = place.start()
    place.run_again(NUMBER + 1)

    assert sorted(place.names()) == sorted([*expected(), "next 0"])
    assert doubled(collector) == []


def test_killed_while_it_logs(place: Place) -> None:
    """SIGKILL at any moment: every event whose call returned is delivered, and none is damaged."""
    process = place.begin(
        """
        sys.stdout.reconfigure(line_buffering=True)
        for n in range(1_000_000):
            log(1, f"k{n}")
            print(n)
        """
    )
    assert process.stdout is not None
    last = -1
    while last < 700:
        last = int(process.stdout.readline())
    process.kill()
    last = max([last, *(int(line) for line in process.stdout.read().split() if line)])
    process.communicate(timeout=50)
    place.start()
    command = [sys.executable, "-m", "watchllm", "spool", "drain"]
    settings = {"WATCHLLM_API_KEY": "k", "WATCHLLM_PROJECT_ID": "p"}
    environment = {**os.environ, **settings, "WATCHLLM_BASE_URL": place.base_url}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=50, check=False
    )

    assert done.returncode == 0, done.stderr
    # The call after the last line printed may have returned before the kill, or not.
    assert place.names()[: last + 1] == [f"k{n} 0" for n in range(last + 1)]
    assert len(place.names()) <= last + 2


def test_a_normal_end_and_an_exception(place: Place) -> None:
    """Without flush or close, all is delivered when the interpreter ends, whatever ends it."""
    collector = place.start()
    place.run("log(1000, 'a')")
    place.run("log(1000, 'b'); raise ValueError", code=1)

    assert place.names() == [*expected(name="a"), *expected(name="b")]
    assert doubled(collector) == []


def test_a_fork_that_logs_in_the_child(place: Place) -> None:
    """What parent and child log arrives once, from each of them, though the child leaves hard."""
    collector = place.start()
    place.run(
        """
        log(500, "parent")
        child = os.fork()
        if child == 0:
            log(500, "child")
            client.close(30)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    )

    assert sorted(place.names()) == sorted([*expected(500, "parent"), *expected(500, "child")])
    assert doubled(collector) == []


def test_forks_that_leave_without_a_word(place: Place) -> None:
    """A child that is killed leaves its events to whoever lives on, and the parent's are safe."""
    collector = place.start()
    process = place.begin(
        f"""
        log(100, "parent")
        for c in range(4):
            child = os.fork()
            if child == 0:
                log(100, f"child{{c}}")
                os._exit(0)
            os.waitpid(child, 0)
        client.close(30)
        client = watchllm.WatchLLMClient("k", "p", base_url={place.base_url!r})
        log(1, "last")
        client.flush(30)
        sys.stdin.read()
        """
    )
    collector.wait_for_events(501)
    _, stderr = process.communicate(timeout=50)
    assert process.returncode == 0, stderr
    names = [f"child{c} {n}" for c in range(4) for n in range(100)]

    assert sorted(place.names()) == sorted([*expected(100, "parent"), *names, "last 0"])


def test_an_outage_of_the_collector(place: Place) -> None:
    """Nobody listens for a while, then somebody does: everything arrives, once."""
    process = place.begin("log(1000); print('logged', flush=True); sys.exit(not client.flush(40))")
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    collector = place.start()
    _, stderr = process.communicate(timeout=50)

    assert process.returncode == 0, stderr
    assert place.names() == expected()
    assert doubled(collector) == []


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(503)] * 4,
        [Reply(429, headers={"Retry-After": "1"})],
        [Reply(reset=True)] * 3,
        [Reply(500, b"not json"), Reply(502), Reply(hang_up=True)],
    ],
    ids=["503", "429", "reset", "broken"],
)
def test_a_collector_that_fails_for_a_while(place: Place, replies: list[Reply]) -> None:
    """503, 429 with Retry-After, connections reset in the middle of a body: nothing is lost."""
    collector = place.start(*replies)
    place.run("log(1000); sys.exit(not client.flush(40))")
    taken = [event["event_id"] for event in collector.events()]

    assert list(dict.fromkeys(place.names())) == expected()
    assert len(set(taken)) == NUMBER


def test_a_collector_that_hangs_and_comes_back(place: Place) -> None:
    """A collector that takes a body and never answers is given up after the timeout."""
    hang = threading.Event()
    place.start(Reply(wait_for=hang), Reply(wait_for=hang))
    try:
        place.run("log(1000); sys.exit(not client.flush(40))", "timeout=0.5")
    finally:
        hang.set()

    assert place.names() == expected()


def test_exit_is_not_held_up_by_a_collector_that_hangs(place: Place) -> None:
    """At exit a hanging collector costs two seconds at most; the next process sends the rest."""
    hang = threading.Event()
    place.start(*([Reply(wait_for=hang)] * 3))
    try:
        place.run("log(1000)", "timeout=30")
    finally:
        hang.set()
    place.run_again(NUMBER + 1)

    assert sorted(place.names()) == sorted([*expected(), "next 0"])


def test_a_full_disk(place: Place) -> None:
    """Where the disk refuses files of more than a few bytes, memory takes the events, bounded."""
    place.start()
    stderr = place.run(
        """
        import logging, resource
        logging.basicConfig()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        log(1000)
        stats = client.stats()
        assert stats["dropped"] == {}, stats
        """
    )

    assert place.names() == expected()
    assert stderr.count("events wait in memory instead") == 1


def test_a_flood_is_held_back_rather_than_lost(place: Place) -> None:
    """20,000 events as fast as one thread can log them all arrive, once, within a small spool."""
    collector = place.start()
    place.run("log(20_000); sys.exit(not client.close(40))", "spool_max_mb=16")

    assert place.names() == expected(20_000)
    assert doubled(collector) == []
