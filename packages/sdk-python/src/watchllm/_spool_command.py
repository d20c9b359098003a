"""`watchllm spool`: what waits on this machine, sending it, throwing it away."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress

from watchllm import _config
from watchllm._delivery import Delivery
from watchllm._encoding import unpack
from watchllm._log import Problems
from watchllm._runtime import CLOCK
from watchllm._spool import (
    Claim,
    DiskSpool,
    Folder,
    Orphans,
    Segment,
    SpoolUnusable,
    adopt,
    default_root,
    destinations,
)
from watchllm._stats import Stats
from watchllm._transport import HttpTransport
from watchllm._version import __version__
from watchllm._worker import Worker
from watchllm.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from watchllm._config import Config

OK, FAILED, WRONG_USE = 0, 1, 2
SHOWN_SECONDS = 0.5  # between two lines of progress


class Holding:
    """What one destination has on the disk: numbers of events, and bytes of their files."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.left = 0
        """Events of processes that have ended: nobody sends them until somebody adopts them."""
        self.held = 0
        """Events of processes that live and will send them."""
        self.bytes = folder.used_bytes()
        self.living = 0
        for path in folder.owners():
            waiting = sum(_count(found) for found in Claim(path, -1).segments())
            claim = adopt(path)
            if claim is None:
                self.living += 1
                self.held += waiting
            else:
                claim.release()
                self.left += waiting


def _count(path: str) -> int:
    """Return how many events a file holds that are not acknowledged."""
    try:
        segment = Segment.open(path)
    except (OSError, ValueError):
        return 0
    segment.forget()
    return segment.count


def main(argv: Sequence[str]) -> int:
    """Show, send or delete what waits in the spool; return the exit code."""
    given = _parser().parse_args(argv)
    try:
        root = _root(given.spool_dir)
    except (SpoolUnusable, ConfigurationError) as error:
        print(f"There is no spool: {error}.", file=sys.stderr)
        return FAILED
    if given.action == "status":
        return _status(root)
    options = {"base_url": given.base_url, "project_id": given.project_id, "enabled": True}
    if given.action == "purge":
        options["api_key"] = "not-needed"
    try:
        config, _ = _config.load(options, os.environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return WRONG_USE
    folder = Folder(root, config.base_url, config.project_id)
    if given.action == "drain":
        return _drain(folder, config, given.timeout)
    return _purge(folder, sure=given.yes)


def _root(spool_dir: str | None) -> str:
    given = spool_dir or os.environ.get("WATCHLLM_SPOOL_DIR", "").strip()
    if not given:
        return default_root(os.environ)
    return os.path.abspath(os.path.expanduser(given))


def _status(root: str) -> int:
    all_of_them = [Holding(folder) for folder in destinations(root)]
    holdings = [holding for holding in all_of_them if holding.living or holding.left]
    print(f"The spool is in {root}")
    if not holdings:
        print("Nothing waits in it.")
    for holding in holdings:
        folder = holding.folder
        print(f"\nproject {folder.project_id} → {folder.base_url}")
        print(f"  {holding.held:>9,} events of {holding.living} living processes, which send them")
        print(f"  {holding.left:>9,} events of processes that have ended")
        print(f"  {holding.bytes / 1e6:>9,.1f} MB of disk")
    if any(holding.left for holding in holdings):
        print(
            "\nWhat ended processes left is sent by the next process of the same project, or now"
            " by:\n  watchllm spool drain"
        )
    return OK


def _drain(folder: Folder, config: Config, timeout: float) -> int:
    """Adopt and send what ended processes left, until nothing is left or the time is over."""
    until = CLOCK.monotonic() + timeout
    orphans = Orphans(folder, CLOCK)
    stats, problems = Stats(), _Shown()
    total = taken = 0
    while True:
        spool = orphans.next()
        if spool is None:
            break
        total += spool.waiting()
        transport = HttpTransport(config.base_url, config.api_key, __version__, CLOCK)
        delivery = Delivery(config, spool, unpack, transport, Worker(CLOCK), stats, problems)
        delivered = _send(delivery, spool, until, total)
        delivery.close(0.0)
        taken = stats.snapshot(0, 0)["sent"]
        if not delivered:
            print(
                f"{taken:,} of at least {total:,} events were sent to {config.base_url}; the others"
                " stay in the spool.",
                file=sys.stderr,
            )
            return FAILED
    counts = stats.snapshot(0, 0)
    lost = counts["refused"] + sum(counts["dropped"].values())
    if not total:
        print(f"Nothing was left for project {config.project_id} at {config.base_url}.")
        return OK
    print(f"{config.base_url} took {taken:,} events of project {config.project_id}.")
    if lost:
        print(f"{lost:,} events were refused or unreadable, and are gone.", file=sys.stderr)
    return FAILED if lost else OK


def _send(delivery: Delivery, spool: DiskSpool, until: float, total: int) -> bool:
    """Send one spool with a line of progress now and then; False if that did not end well."""
    while True:
        now = CLOCK.monotonic()
        if delivery.flush(max(0.0, min(SHOWN_SECONDS, until - now))):
            return True
        if delivery.parked or now >= until:
            return False
        if sys.stderr.isatty():  # pragma: no cover - progress for people
            print(f"\r{spool.queued():,} of {total:,} events wait ", end="", file=sys.stderr)


class _Shown(Problems):
    """Print what a client would log."""

    def _say(self, level: str, message: str) -> None:
        del level
        print(message, file=sys.stderr)


def _purge(folder: Folder, *, sure: bool) -> int:
    holding = Holding(folder)
    about = f"{holding.left:,} events of project {folder.project_id} for {folder.base_url}"
    if not sure:
        print(f"{about} would be deleted. To delete them: watchllm spool purge --yes")
        return OK
    for claim in folder.orphans():
        for path in claim.segments():
            with suppress(OSError):
                os.unlink(path)
        claim.release()
    print(f"{about} were deleted.")
    if holding.living:
        print(f"{holding.held:,} events of {holding.living} living processes were left alone.")
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchllm spool",
        description="Show, send or delete the events that wait on this machine's disk.",
        epilog=(
            "examples:\n"
            "  watchllm spool status             what waits, for which projects\n"
            "  watchllm spool drain              send what ended processes left\n"
            "  watchllm spool purge --yes        delete it instead\n\n"
            "drain and purge are about one project: that of WATCHLLM_PROJECT_ID at\n"
            "WATCHLLM_BASE_URL. The key for drain comes from WATCHLLM_API_KEY alone, so that it\n"
            "stays out of the shell's history. Events of living processes are never touched."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["status", "drain", "purge"])
    parser.add_argument("--spool-dir", help="instead of WATCHLLM_SPOOL_DIR")
    parser.add_argument("--base-url", help="instead of WATCHLLM_BASE_URL")
    parser.add_argument("--project-id", help="instead of WATCHLLM_PROJECT_ID")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds that drain may take (60)"
    )
    parser.add_argument("--yes", action="store_true", help="purge really deletes")
    return parser
