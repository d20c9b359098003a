"""Log events of 3 kB as fast as one thread can, and count what arrives.

The program runs in a process of its own against a collector that reads every event's id. An app
that never pauses is faster than any sender: the calls are held back once half of the spool is full,
so that memory and disk stay bounded and nothing is dropped.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from load import percentile, text
from measured import measured_on
from rich.console import Console
from sink import sink

TEXTS, WARM = 64, 50
LOOK_EVERY = 1_000  # events between two looks at the memory
DELIVERY_SECONDS = 120.0  # that the last of them may take


def memory_mb() -> tuple[float, float]:
    """Return the resident memory of this process in MB, and what of it is not a mapped file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return kilobytes["VmRSS:"] * 1_024 / 1e6, kilobytes["RssAnon:"] * 1_024 / 1e6


def flood(base_url: str, count: int) -> dict[str, object]:
    """Log in this process; return what it saw: milliseconds, seconds, MB above the start."""
    from watchllm import WatchLLMClient  # noqa: PLC0415 - the process that starts this needs none

    seed = random.Random(7)
    texts = [(text(2_048, seed), text(1_024, seed)) for _ in range(TEXTS)]
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        client = WatchLLMClient("bench", "bench", base_url=base_url, spool_dir=folder)

        def log(number: int) -> None:
            prompt, response = texts[number % TEXTS]
            client.log_prompt_call(
                run_id=f"run-{number // 8}",
                prompt=prompt,
                model="gpt-4o",
                response=response,
                tokens_input=512,
                tokens_output=256,
                latency_ms=1250.5,
            )

        for number in range(WARM):
            log(number)
        client.flush(30)
        anonymous = start_anonymous = memory_mb()[1]
        start = memory_mb()[0]
        started = time.perf_counter()
        for number in range(count):
            before = time.perf_counter()
            log(number)
            took.append((time.perf_counter() - before) * 1_000)
            if number % LOOK_EVERY == 0:
                anonymous = max(anonymous, memory_mb()[1])
        logged = time.perf_counter() - started
        client.flush(DELIVERY_SECONDS)
        delivered = time.perf_counter() - started
        client.close(10)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 1e6
        dropped = client.stats()["dropped"]
    # The list of times itself is not what the SDK takes.
    own = (sys.getsizeof(took) + sum(map(sys.getsizeof, took))) / 1e6
    return {
        "longest": max(took),
        "p99": percentile(took, 0.99),
        "logged": logged,
        "delivered": delivered,
        "memory": most - start - own,
        "anonymous": anonymous - start_anonymous - own,
        "dropped": dropped,
    }


def main() -> None:
    """Run the flood and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="how many (200000)")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(flood(given.child, given.events)))
        return
    with sink("--ids") as collector:
        command = [sys.executable, __file__, "--child", collector.base_url]
        child = subprocess.run(
            [*command, "--events", str(given.events)], check=True, capture_output=True, text=True
        )
        events, different = collector.counts()
    found = json.loads(child.stdout)
    console = Console()
    lost = given.events + WARM - different
    console.print(
        f"A flood of {given.events:,} events: {lost:,} lost, {events - different:,} sent twice; "
        f"logged in {found['logged']:.1f} s, delivered after {found['delivered']:.1f} s; "
        f"the longest call {found['longest']:.0f} ms, p99 {found['p99']:.2f} ms; "
        f"at most {found['memory']:.0f} MB of memory above the start, "
        f"{found['anonymous']:.0f} MB without the mapped files of the spool"
    )
    if found["dropped"]:
        console.print(f"dropped, by reason: {found['dropped']}")
    console.print(measured_on("watchllm"))


if __name__ == "__main__":
    main()
