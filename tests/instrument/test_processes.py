"""Streams that a process leaves open: at its end, and when it forks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from conftest import APIS, NAME
from upstream import ANSWER

if TYPE_CHECKING:
    from upstream import Endpoint

# Each batch that the process sends is a line of what it prints.
OPEN = f"""
import gc, os, sys
import watchllm
from watchllm.testing import MemoryTransport
from conftest import MAKE, library, method

class Printed(MemoryTransport):
    def send(self, body, timeout):
        os.write(1, body + b"\\n")
        return super().send(body, timeout)

watchllm.auto_instrument(api_key="k", project_id="p", transport=Printed())
client = getattr(library, MAKE["{NAME}"][0])(base_url=sys.argv[1], api_key="k")
stream = method(client, "{APIS[NAME][0]}")(model="hold", stream=True)
parts = [next(stream) for _ in range(3)]
"""


def events_of(program: str, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Run a program that has a stream open; return the events that it sends."""
    base = endpoint.url + ("/v1" if NAME == "openai" else "")
    done = subprocess.run(
        [sys.executable, "-c", OPEN + program, base],
        capture_output=True,
        text=True,
        timeout=110,  # two libraries are loaded, perhaps beside other tests
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [event for line in done.stdout.splitlines() for event in json.loads(line)["events"]]


def test_a_stream_that_is_open_when_the_process_ends_is_logged(endpoint: Endpoint) -> None:
    """A script that has read enough just ends: what it read has been asked for, and paid."""
    (event,) = events_of("", endpoint)

    assert event["status"] == "success"
    assert event["response_metadata"]["ended"] == "dropped"
    assert ANSWER.startswith(event["response"])
    assert event["model"] == "hold-2024-08-06"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_stream_is_its_own_processs_alone(endpoint: Endpoint) -> None:
    """A child that drops its copy of a stream, and ends, logs only what it asks itself."""
    program = """
child = os.fork()
if child == 0:
    del stream, parts
    gc.collect()
    watchllm.get_client().log_error("child", "an error")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
stream.close()
"""
    events = events_of(program, endpoint)

    assert sorted(event["event_type"] for event in events) == ["error", "prompt_call"]
    call = next(event for event in events if event["event_type"] == "prompt_call")
    assert call["response_metadata"]["ended"] == "closed early"
