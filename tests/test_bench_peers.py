"""The comparison with other products measures what it says."""

from __future__ import annotations

import gzip
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = Path(__file__).parent.parent / "benchmarks" / "peers"
sys.path.append(str(PEERS))

from app import App, FailedError  # noqa: E402 - scripts of a directory
from collector import Collector  # noqa: E402
from job import Job, planted  # noqa: E402
from losses import FAULTS, outcome  # noqa: E402
from page import PAGE, page  # noqa: E402
from products import Product, products  # noqa: E402


class Installed(Product):
    """What is installed beside the tests."""

    @property
    def python(self) -> Path:
        """Use the interpreter that runs the tests."""
        return Path(sys.executable)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Start a collector for a test."""
    with Collector() as started:
        yield started


def post(collector: Collector, *numbers: int, seconds: float = 30) -> tuple[int, str | None]:
    """Post the ids of some events in one body, packed; return status and Retry-After."""
    text = json.dumps({"events": [planted("abc", number) * 2 for number in numbers]})
    request = urllib.request.Request(  # noqa: S310 - the address is http
        f"{collector.url}/v1/events/batch",
        gzip.compress(text.encode()),
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return answer.status, None
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["Retry-After"]


def test_an_event_counts_once_a_request(collector: Collector) -> None:
    """An id twice in a body is one arrival; in a second body it is a repetition."""
    post(collector, 1, 2)
    post(collector, 2, 3)

    count = collector.count("abc")

    assert (count.arrived, count.repeated) == (3, 1)
    assert collector.count("other").arrived == 0


@pytest.mark.parametrize(("mode", "expected"), [("busy", (503, None)), ("limit", (429, "3"))])
def test_a_refusing_collector_takes_nothing(
    collector: Collector, mode: str, expected: tuple[int, str | None]
) -> None:
    """503 and 429 are answered without counting, until the mode is over."""
    collector.change(mode)
    assert post(collector, 1) == expected
    assert collector.count("abc").arrived == 0

    collector.change("up")

    assert post(collector, 1) == (200, None)
    assert collector.count("abc").arrived == 1


@pytest.mark.parametrize(
    ("mode", "arrived"), [("refuse", 0), ("reset", 0), ("forget_answer", 1), ("hang", 0)]
)
def test_a_broken_connection_is_no_answer(collector: Collector, mode: str, arrived: int) -> None:
    """A sender sees an error of the network; only `forget_answer` has taken the event."""
    collector.change(mode)

    with pytest.raises(OSError, match=r"refused|reset|timed out"):
        post(collector, 1, seconds=0.5)

    assert collector.count("abc").arrived == arrived
    collector.change("up")
    assert post(collector, 2) == (200, None)


def test_a_mode_ends_by_itself(collector: Collector) -> None:
    """A mode of no length is over with the request that it meets."""
    collector.change("busy", 0)

    assert post(collector, 1) == (200, None)


def test_a_program_logs_what_its_job_says(collector: Collector, tmp_path: Path) -> None:
    """The events of a program arrive under its series, each once."""
    job = Job("watchllm", collector.url, "abc", 25, "leave")

    with App(Path(sys.executable), job, tmp_path) as app:
        logged_at = app.hear("logged_at")
        assert app.ended(60)

    assert logged_at > 0
    assert (collector.count("abc").arrived, collector.count("abc").repeated) == (25, 0)


def test_the_end_of_a_program_is_known(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that lives on has no end; one that leaves ends after its last line."""
    with App(
        Path(sys.executable), Job("nothing", collector.url, "abc", 1, "stay"), tmp_path
    ) as app:
        logged_at = app.hear("logged_at")
        with monkeypatch.context() as patched:
            patched.setattr("app.LONGEST_SECONDS", 0.0)
            with pytest.raises(TimeoutError):
                app.end()
        app.go_on()

        assert app.end() > logged_at


def test_a_program_that_fails_says_why(collector: Collector, tmp_path: Path) -> None:
    """An error of the program itself is raised with its last output, never taken for a loss."""
    job = Job("watchllm", collector.url, "abc", 1, "leave", options={"batch_size": 0})

    with (
        App(Path(sys.executable), job, tmp_path) as app,
        pytest.raises(FailedError, match="batch_size"),
    ):
        app.hear("logged_at")


@pytest.mark.parametrize("name", ["kill", "kill_down"])
def test_a_killed_program_is_started_again(name: str) -> None:
    """What the next start delivers is counted apart from what came before the end."""
    fault = next(fault for fault in FAULTS if fault.name == name)

    found = outcome(Installed("watchllm", "watchllm", "watchllm", "pass"), fault, 15)

    assert found.again == found.logged == 15
    assert found.arrived == 0 or name == "kill"


def test_the_page_shows_the_results() -> None:
    """The tables of the documentation are those of the results that are kept."""
    text = PAGE.read_text()

    assert page(text) == text


@pytest.mark.parametrize(
    "product", [product for product in products("") if product.delivers], ids=lambda p: p.name
)
def test_each_product_is_pinned(product: Product) -> None:
    """Every line of a product's requirements is an exact version."""
    lines = (PEERS / f"requirements-{product.environment}.txt").read_text().splitlines()

    assert lines
    assert all(re.fullmatch(r"[a-z0-9_.-]+==[^ ]+", line) for line in lines)
