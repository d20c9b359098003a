"""The flow of the demo: endpoint, server, programs, tables, and the pages to look at.

The programs ask the endpoint through the server's gateway and log their calls with the SDK. Both
record: each in a project of its own, so that no sum has a call twice. A third project holds a month
of made-up events, which the pages open on.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from watchllm_server.control import find
from watchllm_server.demo.children import HOST, Child, child, free_port
from watchllm_server.demo.endpoint import open_endpoint
from watchllm_server.demo.errors import DemoError
from watchllm_server.demo.history import history, send
from watchllm_server.demo.programs import Outcome, Program, example_programs, run_program
from watchllm_server.demo.recorded import Reader, missing, read_back
from watchllm_server.demo.screen import Screen
from watchllm_server.demo.signals import signals_interrupt
from watchllm_server.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from watchllm_server.demo.endpoint import Endpoint

PROJECT = "demo"
GATEWAY_PROJECT = "demo-gateway"
SHOP_PROJECT = "demo-shop"
INTERRUPTED = 128 + signal.SIGINT


def run_demo(*, once: bool, llm: str, port: int, data_dir: Path | None) -> int:
    """Run the demo and return its exit code.

    0: every event that was logged and every call through the gateway was found. 1: one is missing,
    or a program failed. 2: the demo could not start. 130: it was ended before the table. Without
    `once` it serves the pages after the tables until Ctrl-C or SIGTERM. Without `data_dir` the data
    is removed at the end.
    """
    screen = Screen()
    try:
        with signals_interrupt(), tempfile.TemporaryDirectory(prefix="watchllm-demo-") as folder:
            demo = Demo(screen, example_programs(), Path(folder), data_dir)
            return demo.run(once=once, llm=llm, port=port)
    except DemoError as error:
        screen.failed(error)
        return error.exit_code
    except KeyboardInterrupt:
        screen.ended("Ended before the table.")
        return INTERRUPTED


class Demo:
    """One run of the demo, with its logs and, unless told otherwise, its data in one folder."""

    def __init__(
        self, screen: Screen, programs: Sequence[Program], folder: Path, data_dir: Path | None
    ) -> None:
        self._screen = screen
        self._programs = programs
        self._folder = folder
        self._data_dir = data_dir or folder / "data"
        self._outside = environment_of_children()
        self._key = f"wllm_{secrets.token_urlsafe(24)}"

    def run(self, *, once: bool, llm: str, port: int) -> int:
        """Start what is needed, run the programs, show what was recorded, and serve on."""
        require_packages()
        with (
            open_endpoint(llm, self._outside, self._folder) as endpoint,
            self._server(port, endpoint) as server,
        ):
            with self._screen.busy("Starting the server and the endpoint ..."):
                server.wait_until_ready("/readyz", seconds=60)
                endpoint.wait_until_ready()
            address = f"http://{HOST}:{server.port}"
            self._screen.introduce(address, endpoint)
            gateway_key = self._open_gateway_project()
            since = datetime.now(UTC)
            outcomes = self._run_programs(
                {
                    **self._outside,
                    "OPENAI_BASE_URL": f"{address}/v1",
                    "OPENAI_API_KEY": gateway_key,
                    "OPENAI_MODEL": endpoint.model,
                    "WATCHLLM_BASE_URL": f"{address}/v1",
                    "WATCHLLM_PROJECT_ID": PROJECT,
                    "WATCHLLM_API_KEY": self._key,
                    "WATCHLLM_SPOOL_DIR": str(self._folder / "spool"),
                    "WATCHLLM_DEBUG": "1",
                }
            )
            all_found = self._check(Reader(server.port, self._key), outcomes, endpoint.note)
            all_recorded = self._check_gateway(Reader(server.port, gateway_key), since)
            good = all_found and all_recorded and all(outcome.good for outcome in outcomes)
            exit_code = 0 if good else 1
            if not once:
                with self._screen.busy("Telling a month of a shop's assistant ..."):
                    self._tell_shop(address)
                overview = f"{address}/projects/{SHOP_PROJECT}/overview"
                runs = [f"{address}/projects/{each}/runs" for each in (PROJECT, GATEWAY_PROJECT)]
                serve_on(server, lambda: self._screen.pages(overview, *runs))
                self._screen.ended("Ended.")
        return exit_code

    def _server(self, wanted: int, endpoint: Endpoint) -> AbstractContextManager[Child]:
        port = free_port(wanted)
        if wanted not in {0, port}:
            self._screen.say(f"Port {wanted} is in use, so the server takes {port}.")
        return child(
            "server",
            ["watchllm_server", "serve", "--host", HOST, "--data-dir", str(self._data_dir)],
            port=port,
            environment={
                **self._outside,
                **endpoint.provider(),
                "WATCHLLM_INIT_PROJECT_ID": PROJECT,
                "WATCHLLM_INIT_API_KEY": self._key,
            },
            log=self._folder / "server.log",
        )

    def _open_gateway_project(self) -> str:
        return self._open_project(GATEWAY_PROJECT, "the demo's programs", ["gateway", "read"])

    def _tell_shop(self, address: str) -> None:
        """Fill a project with made-up events, for pages that have something to tell."""
        key = self._open_project(SHOP_PROJECT, "the story", ["ingest"])
        try:
            send(address, key, history(datetime.now(UTC)))
        except (OSError, ValueError) as error:
            raise DemoError(f"The shop's events were not taken: {error}") from error

    def _open_project(self, name: str, key_name: str, scopes: list[str]) -> str:
        """Return a fresh key of a project, which an earlier demo may have made."""
        projects = "/v1/admin/projects"
        try:
            server = find(self._data_dir)
            found = server.ask("GET", projects, timeout=30)["projects"]
            if all(project["id"] != name for project in found):
                server.ask("POST", projects, {"id": name, "name": name}, timeout=30)
            key = {"name": key_name, "scopes": scopes}
            made = server.ask("POST", f"{projects}/{name}/keys", key, timeout=30)
        except ControlError as error:
            message = f"The project {name} could not be set up: {error}"
            raise DemoError(message, exit_code=2) from error
        return str(made["secret"])

    def _run_programs(self, environment: Mapping[str, str]) -> list[Outcome]:
        outcomes = []
        for program in self._programs:
            with self._screen.busy(f"{program.file}: {program.what} ..."):
                outcome = run_program(program, environment, self._folder)
            self._screen.outcome(outcome)
            outcomes.append(outcome)
        return outcomes

    def _check(self, reader: Reader, outcomes: list[Outcome], note: str) -> bool:
        logged = [event for outcome in outcomes for event in outcome.logged]
        runs = read_back(reader, logged)
        lost = missing(logged, runs)
        self._screen.recorded(runs, note)
        self._screen.checked(logged, lost)
        return not lost

    def _check_gateway(self, reader: Reader, since: datetime) -> bool:
        found = reader.gatewayed(since)
        self._screen.gatewayed(found, GATEWAY_PROJECT)
        return len(found.calls) >= found.made


def require_packages() -> None:
    """Refuse to start without the packages that the programs import."""
    for package in ("openai", "watchllm"):
        if importlib.util.find_spec(package) is None:
            raise DemoError(
                f"The demo's programs need the package {package}, which is not installed: "
                'pip install "watchllm-server[demo]"',
                exit_code=2,
            )


def environment_of_children() -> dict[str, str]:
    """Return our environment without settings of WatchLLM, and with loopback past any proxy."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WATCHLLM_")}
    for name in ("NO_PROXY", "no_proxy"):
        ours[name] = ",".join(filter(None, (ours.get(name), HOST, "localhost")))
    return ours


def serve_on(server: Child, announce: Callable[[], None]) -> None:
    """Announce the page; return at Ctrl-C or SIGTERM, raise DemoError if the server ends itself."""
    try:
        announce()  # in here: who reads it may press Ctrl-C at once
        server.process.wait()
    except KeyboardInterrupt:
        return
    raise server.error("The server ended.")
