"""Measure what one `log_prompt_call` of 3 kB costs: its caller, the whole process, the import.

A collector in a process of its own takes the batches, so that the worker thread competes for the
interpreter as it does in an app. Every variant runs in a fresh process, several times in turn; what
is printed is the median of these runs. `p50` is the time of a call, `thread CPU` that of the
calling thread in it, `process CPU` that of all threads by delivered event: redaction, disk, JSON
and HTTP.
An empty call at the same pace shows the floor of the machine.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from load import percentile, text
from measured import measured_on
from rich.console import Console
from rich.table import Table
from sink import sink

if TYPE_CHECKING:
    from collections.abc import Callable

BURST, PACED, PER_SECOND, WARM = 2_000, 1_200, 400, 50
TEXTS = 64
VARIANTS: dict[str, dict[str, Any]] = {
    "disk, redacted, standard library": {"orjson": False},
    "disk, redacted, orjson": {"orjson": True},
    "the same, with 2 addresses and a card": {"orjson": True, "personal": True},
    "memory, not redacted": {
        "orjson": False,
        "options": {"durability": "memory", "redact_pii": False},
    },
}


def cpu() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(call: Callable[[int], object], count: int, pause: float) -> dict[str, float]:
    """Return microseconds of each call, and CPU microseconds of this thread per call."""
    took = []
    used = 0.0
    for number in range(count):
        if pause:
            time.sleep(pause)
        used_before = time.thread_time()
        before = time.perf_counter()
        call(number)
        took.append((time.perf_counter() - before) * 1e6)
        used += time.thread_time() - used_before
    shares = {f"p{share * 100:.0f}": percentile(took, share) for share in (0.5, 0.95, 0.99)}
    return {**shares, "cpu": used / count * 1e6}


def run(base_url: str, name: str, pace: str) -> dict[str, float]:
    """Log in this process as a variant says."""
    variant = VARIANTS[name]
    if not variant["orjson"]:
        # Importing what is None raises ImportError, as without the package; typeshed knows no None.
        sys.modules["orjson"] = None  # type: ignore[assignment] # see above
    watchllm = import_module("watchllm")
    seed = random.Random(7)
    texts = [(text(2_048, seed), text(1_024, seed)) for _ in range(TEXTS)]
    if variant.get("personal"):
        texts = [
            (f"{a[:-70]} write to ada@example.com about 4111 1111 1111 1111.", f"{b} bob@corp.org")
            for a, b in texts
        ]
    with tempfile.TemporaryDirectory() as folder:
        client = watchllm.WatchLLMClient(
            "bench", "bench", base_url=base_url, spool_dir=folder, **variant.get("options", {})
        )

        def call(number: int) -> None:
            prompt, response = texts[number % TEXTS]
            client.log_prompt_call(
                run_id=f"run-{number // 8}",
                prompt=prompt,
                model="gpt-4o",
                response=response,
                tokens_input=512,
                tokens_output=256,
                latency_ms=1250.5,
                tags=["bench", "call"],
                user_id="user-456",
                response_metadata={"finish_reason": "stop", "n": 1, "cached": False},
            )

        for number in range(WARM):
            call(number)
        client.flush(30)
        count, pause = (PACED, 1 / PER_SECOND) if pace == "paced" else (BURST, 0.0)
        before = cpu()
        found = timed(call, count, pause)
        delivered = client.flush(60)
        found["process"] = (cpu() - before) / count * 1e6
        client.close(10)
        if not delivered or client.stats()["sent"] != count + WARM:
            raise SystemExit(f"not all was delivered: {client.stats()}")
    return found


def child(*arguments: str) -> dict[str, float]:
    """Run this file in another process and return what it found."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def import_cpu(statement: str) -> float:
    """Return the CPU milliseconds of a fresh interpreter that runs a statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-I", "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used * 1e3


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each variant (5)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(run(*given.child)))
        return
    with sink() as collector:
        jobs = [(name, pace) for name in VARIANTS for pace in ("burst", "paced")]
        found: dict[tuple[str, str], list[dict[str, float]]] = {job: [] for job in jobs}
        for _ in range(given.rounds):
            for job in jobs:
                found[job].append(child("--child", collector.base_url, *job))
    table = Table(title="One log_prompt_call of 3 kB, microseconds")
    columns = ("p50", "p95", "p99", "cpu", "process")
    for title in ("variant", "pace", "p50", "p95", "p99", "thread CPU", "process CPU"):
        table.add_column(title, justify="left" if title in {"variant", "pace"} else "right")
    for (name, pace), runs in found.items():
        medians = [statistics.median(one[column] for one in runs) for column in columns]
        shown = f"{PER_SECOND}/s" if pace == "paced" else pace
        table.add_row(name, shown, *(f"{median:.1f}" for median in medians))
    empty = timed(lambda _: None, PACED, 1 / PER_SECOND)
    cells = [f"{empty[column]:.1f}" for column in columns[:-1]]
    table.add_row("(an empty call)", f"{PER_SECOND}/s", *cells, "")
    console = Console()
    console.print(table)
    bare = statistics.median(import_cpu("pass") for _ in range(15))
    whole = statistics.median(import_cpu("import watchllm") for _ in range(15))
    console.print(
        f"import watchllm: {whole - bare:.1f} ms of CPU beyond the interpreter's own {bare:.1f}"
    )
    console.print(measured_on("watchllm", "orjson"))


if __name__ == "__main__":
    main()
