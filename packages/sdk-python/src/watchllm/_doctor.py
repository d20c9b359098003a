"""`watchllm doctor`: say what is wrong with settings, spool, network, clock and key."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from watchllm import _config
from watchllm._late import optional
from watchllm._network import NoWay, manager
from watchllm._runtime import CLOCK, python_platform
from watchllm._spool import Folder, SpoolUnusable, default_root
from watchllm._spool_command import Holding
from watchllm._version import __version__
from watchllm.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from watchllm._config import Config

OK, FAILED = 0, 1
GOOD, WARN, BAD = "ok", "warning", "wrong"
MARKS = {GOOD: "✓", WARN: "!", BAD: "✗"}
MOST_SKEW_SECONDS = 120.0  # of the clocks: beyond, runs of several machines are out of order
LEAST_FREE_BYTES = 512 << 20
LARGEST_ANSWER_BYTES = 100_000


def main(argv: Sequence[str]) -> int:
    """Check everything that a client needs; return 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(
        prog="watchllm doctor",
        description="Say what is wrong with the settings of this shell, and what to do.",
        epilog=(
            "It checks the settings, the spool, the network, the clock, the key and the project.\n"
            "Nothing is stored by it. A server on this machine: watchllm doctor --server.\n"
            "example: watchllm doctor --timeout 5"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base-url", help="instead of WATCHLLM_BASE_URL")
    parser.add_argument("--project-id", help="instead of WATCHLLM_PROJECT_ID")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait (10)")
    given = parser.parse_args(argv)
    findings = _findings(given.base_url, given.project_id, given.timeout)
    for how, what, advice in findings:
        print(f"{MARKS[how]} {what}")
        if advice:
            print(f"  → {advice}")
    wrong = sum(how == BAD for how, _, _ in findings)
    print("\nNothing is wrong." if not wrong else f"\n{wrong} of these must be mended.")
    return FAILED if wrong else OK


def _findings(base_url: str | None, project_id: str | None, timeout: float) -> list[Any]:
    encoder = "orjson" if optional("orjson") else "the standard library"
    about = f"watchllm {__version__}, {python_platform()}, JSON by {encoder}"
    found: list[Any] = [(GOOD, about, "")]
    try:
        config, warnings = _config.load(
            {"base_url": base_url, "project_id": project_id}, os.environ
        )
    except ConfigurationError as error:
        _, *lines = str(error).splitlines()
        return found + [(BAD, line, "") for line in lines]
    found += [(BAD, warning, "Mend the variable or unset it.") for warning in warnings]
    if not config.enabled:
        advice = "Unset WATCHLLM_ENABLED, or set it to true, to log again."
        return [*found, (WARN, "Logging is off: nothing is logged.", advice)]
    about = f"project {config.project_id}, key {'*' * 8}, {config.base_url}"
    found.append((GOOD, f"settings: {about}", ""))
    if config.sample_rate < 1.0:
        advice = "Failures are kept at any rate above 0."
        found.append((WARN, f"Only {config.sample_rate:.1%} of the runs are kept.", advice))
    if not config.redact_pii:
        found.append((WARN, "Personal data is not redacted.", "Unset WATCHLLM_REDACT_PII."))
    return found + _spool(config) + _collector(config, timeout)


def _spool(config: Config) -> list[Any]:
    if config.durability == "memory":
        advice = "Unset WATCHLLM_DURABILITY, and they survive the death of the process."
        return [(WARN, "Events wait in memory alone.", advice)]
    advice = "Set WATCHLLM_SPOOL_DIR to a directory that can be written; until then events wait in"
    advice += " memory and are lost with the process."
    try:
        folder = Folder(
            config.spool_dir or default_root(os.environ), config.base_url, config.project_id
        )
        folder.claim().release()
    except SpoolUnusable as error:
        return [(WARN, f"There can be no spool on disk: {error}.", advice)]
    holding = Holding(folder)
    found: list[Any] = [(GOOD, f"spool: {folder.path}", "")]
    if holding.left:
        said = f"{holding.left:,} events wait that ended processes left."
        found.append((WARN, said, "Send them now: watchllm spool drain"))
    free = _free_bytes(folder.root)
    if free < LEAST_FREE_BYTES:
        said = f"The spool's disk has {free / 1e6:,.0f} MB left."
        found.append((WARN, said, f"The spool may take {config.spool_max_mb} MB: make room."))
    return found


def _free_bytes(path: str) -> float:
    with suppress(OSError, AttributeError):
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize
    return float("inf")


def _collector(config: Config, timeout: float) -> list[Any]:
    """Ask the collector with an event that it will not store: it names no run and no type."""
    import json

    headers = {
        "Authorization": f"Bearer {config.api_key}",
        "Content-Type": "application/json",
        "User-Agent": f"watchllm-python/{__version__} doctor",
    }
    body = json.dumps({"events": [{"project_id": config.project_id}]}).encode()
    began = CLOCK.monotonic()
    try:
        response: Any = manager(config.base_url, os.environ).urlopen(
            "POST",
            f"{config.base_url}/events/batch",
            body=body,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=timeout,
        )
        answer = response.read(LARGEST_ANSWER_BYTES)
    except NoWay as error:
        return [(BAD, f"{config.base_url} cannot be reached: {error}.", "")]
    except Exception as error:
        cause = error.__cause__ or error.__context__ or error
        said = str(cause) if isinstance(cause, OSError) and str(cause) else type(error).__name__
        advice = "Check the address, the proxy and the firewall; a server of your own is started"
        advice += " by: watchllm serve"
        return [(BAD, f"{config.base_url} cannot be reached: {said}.", advice)]
    took = (CLOCK.monotonic() - began) * 1_000
    found: list[Any] = [(GOOD, f"network: {config.base_url} answers in {took:.0f} ms", "")]
    return found + _clock(response) + _answer(config, response.status, answer)


def _clock(response: Any) -> list[Any]:
    from email.utils import parsedate_to_datetime

    try:
        there = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return []
    skew = CLOCK.time_ns() / 1e9 - there
    if abs(skew) <= MOST_SKEW_SECONDS:
        return [(GOOD, "clock: agrees with the collector's", "")]
    late = "ahead of" if skew > 0 else "behind"
    said = f"This machine's clock is {abs(skew):,.0f} s {late} the collector's."
    return [(BAD, said, "Set it by NTP: events carry the time at which they were logged.")]


def _answer(config: Config, status: int, answer: bytes) -> list[Any]:
    import json

    content: Any = None
    with suppress(ValueError, RecursionError):
        content = json.loads(answer)
    if status == 401:
        return [(BAD, "The key is unknown (401).", "Set WATCHLLM_API_KEY to one of the project.")]
    if status == 403:
        advice = "Set WATCHLLM_PROJECT_ID and WATCHLLM_API_KEY to a pair that belongs together."
        return [(BAD, f"The key does not open project {config.project_id} (403).", advice)]
    if not isinstance(content, dict) or status in {404, 405} or 300 <= status < 400:
        advice = "base_url ends in /v1 as a rule: try `watchllm serve` or the hosted address."
        return [(BAD, f"There is no collector at {config.base_url} ({status}).", advice)]
    if status >= 500 or status == 429:
        said = f"The collector takes nothing at the moment ({status})."
        return [(WARN, said, "Events wait in the spool until it does.")]
    return [(GOOD, f"key: opens project {config.project_id}", "")]
