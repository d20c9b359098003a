"""Real processes: exit, exceptions, forks, children."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collector import Collector

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

LOG = """
import os, sys, watchllm
def log(client, prompt):
    return client.log_prompt_call(run_id="r", prompt=prompt, model="m", response="x",
                                  tokens_input=1, tokens_output=1, latency_ms=1)
client = watchllm.WatchLLMClient()
"""


def run(
    collector: Collector, program: str, *, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that logs to the collector; it must end with the code."""
    ours = {
        "WATCHLLM_BASE_URL": collector.base_url,
        "WATCHLLM_API_KEY": "k",
        "WATCHLLM_PROJECT_ID": "p",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOG + textwrap.dedent(program)],
        env={**os.environ, **ours, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def prompts(collector: Collector) -> list[str]:
    """Return the prompts that arrived."""
    return [event["prompt"] for event in collector.events()]


def test_a_process_that_just_ends_loses_nothing(collector: Collector) -> None:
    """1,000 events and a normal exit without flush or close: all arrive, nothing is printed."""
    done = run(collector, "[log(client, str(n)) for n in range(1000)]")

    assert prompts(collector) == [str(n) for n in range(1000)]
    assert done.stderr == ""


def test_an_uncaught_exception_loses_nothing(collector: Collector) -> None:
    """Events logged before the app breaks down arrive."""
    run(collector, "log(client, 'a'); log(client, 'b'); raise SystemExit(3)", code=3)

    assert prompts(collector) == ["a", "b"]


def test_exit_is_bounded_when_nobody_listens(collector: Collector) -> None:
    """With the collector away the process ends by itself, and one warning says what waits."""
    done = run(
        collector,
        """
        import logging
        logging.basicConfig()
        log(client, "a")
        """,
        WATCHLLM_BASE_URL="http://127.0.0.1:9/v1",
    )

    assert "Events that wait in the spool on disk: 1." in done.stderr
    assert prompts(collector) == []


def test_events_logged_while_the_interpreter_ends_arrive(collector: Collector) -> None:
    """An exit handler of the app that logs the first event is heard."""
    run(collector, "import atexit; atexit.register(log, client, 'last'); log(client, 'first')")

    assert sorted(prompts(collector)) in (["first", "last"], ["first"])
    run(collector, "import atexit; atexit.register(lambda: (log(client, 'only'), client.close()))")
    assert "only" in prompts(collector)


@needs_fork
def test_parent_and_child_each_send_their_own_events(collector: Collector) -> None:
    """A fork sends nothing twice: what waited is the parent's, what comes later is each one's."""
    run(
        collector,
        """
        log(client, "before 1")
        assert client.flush(10)
        log(client, "before 2")
        child = os.fork()
        if child == 0:
            assert client.stats()["logged"] == 0, client.stats()
            log(client, "child")
            ok = client.flush(10)
            os._exit(0 if ok else 1)
        log(client, "parent")
        assert os.waitpid(child, 0)[1] == 0
        """,
    )

    assert sorted(prompts(collector)) == ["before 1", "before 2", "child", "parent"]


@needs_fork
def test_a_child_that_ends_normally_delivers_at_its_exit(collector: Collector) -> None:
    """A forked child that leaves through sys.exit sends what it logged, on its own."""
    run(
        collector,
        """
        log(client, "parent")
        child = os.fork()
        log(client, f"after {child == 0}")
        if child:
            os.waitpid(child, 0)
        """,
    )

    assert sorted(prompts(collector)) == ["after False", "after True", "parent"]


@needs_fork
def test_a_fork_under_load_never_hangs_and_loses_nothing(collector: Collector) -> None:
    """Forking while threads log and the worker sends leaves parent and children working."""
    run(
        collector,
        """
        import threading
        def work(name):
            for n in range(200):
                log(client, f"{name} {n}")
        threads = [threading.Thread(target=work, args=(f"t{t}",)) for t in range(3)]
        [thread.start() for thread in threads]
        children = []
        for c in range(5):
            child = os.fork()
            if child == 0:
                log(client, f"child {c}")
                os._exit(0 if client.flush(20) else 1)
            children.append(child)
        [thread.join() for thread in threads]
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        assert client.flush(20)
        """,
    )

    found = prompts(collector)
    assert len(found) == len(set(found)) == 605


@pytest.mark.parametrize("before", ["pass", "log(client, 'parent'); client.flush(10)"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
@needs_fork
def test_a_child_of_multiprocessing_delivers_before_it_leaves(
    collector: Collector, method: str, before: str
) -> None:
    """Children of multiprocessing leave without atexit; what they logged arrives all the same.

    So it does if their parent has logged something before they came.
    """
    module = "import watchllm\\n" + LOG.replace('"', '\\"').replace("\n", "\\n")
    run(
        collector,
        f"""
        import multiprocessing, pathlib, tempfile
        folder = tempfile.mkdtemp()
        chore = "{module}\\ndef work(n): log(client, str(n))\\n"
        pathlib.Path(folder, "chore.py").write_text(chore)
        sys.path.insert(0, folder)
        import chore
        if __name__ == "__main__":
            {before}
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=chore.work, args=(n,)) for n in range(2)]
            [child.start() for child in children]
            [child.join() for child in children]
            assert [child.exitcode for child in children] == [0, 0]
        """,
    )

    assert sorted(prompts(collector)) == ["0", "1", *(["parent"] if "log" in before else [])]


def test_a_sub_interpreter_delivers_and_does_no_harm(collector: Collector) -> None:
    """In a sub-interpreter, as mod_wsgi has them, events arrive when it ends; nothing aborts."""
    run(
        collector,
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        # Of the kind that mod_wsgi has. Another one aborts in Python 3.12.1 by importing hashlib.
        legacy = {(3, 12): {"isolated": False}}.get(sys.version_info[:2], {})
        inner = interpreters.create(**legacy)
        interpreters.run_string(inner, '''if True:
            import watchllm
            client = watchllm.WatchLLMClient()
            for n in range(100):
                client.log_error("r", f"sub {n}")
            ''')
        interpreters.destroy(inner)
        log(client, "main")
        """,
    )
    found = [event.get("prompt") or event["error"]["message"] for event in collector.events()]

    assert sorted(found) == sorted(["main", *(f"sub {n}" for n in range(100))])
