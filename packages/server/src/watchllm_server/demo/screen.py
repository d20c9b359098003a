"""What the demo shows in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchllm_server.demo.children import last_lines
from watchllm_server.demo.table import dollars, gateway_table, recorded_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.status import Status

    from watchllm_server.demo.endpoint import Endpoint
    from watchllm_server.demo.errors import DemoError
    from watchllm_server.demo.programs import Logged, Outcome
    from watchllm_server.demo.recorded import Gatewayed, Run


def counted(number: int, what: str) -> str:
    """Return a number with the name of what it counts."""
    return f"1 {what}" if number == 1 else f"{number} {what}s"


class Screen:
    """Writes the demo's sections: what runs, the programs, what was recorded, the page."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def busy(self, what: str) -> Status:
        """Return a context manager that shows a spinner while its block runs."""
        return self._console.status(what)

    def say(self, sentence: str, style: str = "") -> None:
        """Write a sentence of its own."""
        self._indented(Text(sentence, style))

    def introduce(self, address: str, endpoint: Endpoint) -> None:
        """Say what runs: the server, and which endpoint answers."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        grid.add_row("Server", Text(f"{address}, on an embedded store"))
        grid.add_row("Gateway", Text(f"{address}/v1, before the endpoint"))
        grid.add_row("Endpoint", Text(endpoint.sentence))
        self._section("WatchLLM demo")
        self._indented(grid)
        self._section("The example programs, with the openai client and the WatchLLM SDK")

    def outcome(self, outcome: Outcome) -> None:
        """Show how a program ended; of one that failed, also its last lines."""
        mark, style = ("✓", "green") if outcome.good else ("✗", "bold red")
        program = f" {outcome.program.file:<18} {outcome.program.what:<31}"
        figures = f" {len(outcome.logged):>2} events {outcome.seconds:>5.1f} s"
        self._indented(Text.assemble((mark, style), program, figures))
        if not outcome.good:
            reason = "It logged no event."
            if outcome.exit_code:
                reason = f"It ended with exit code {outcome.exit_code}."
            self.say(f"{reason} Its last lines:", "red")
            self._details(last_lines(outcome.output))

    def recorded(self, runs: Sequence[Run], note: str) -> None:
        """Show the table of what the server holds."""
        self._section("What was recorded")
        self._indented(recorded_table(runs))
        if note:
            self._console.print()
            self.say(note, "dim")

    def checked(self, logged: Sequence[Logged], lost: Sequence[Logged]) -> None:
        """Say how many of the logged events were found, and name those that were not."""
        found = len(logged) - len(lost)
        sentence = f"{counted(len(logged), 'event')} logged, {found} found in the store."
        self._console.print()
        self.say(sentence, "bold red" if lost else "bold green")
        for event in lost:
            self.say(
                f"Missing: {event.event_type} {event.event_id} of {event.program}, "
                f"run {event.run_id}",
                "red",
            )

    def gatewayed(self, found: Gatewayed, project: str) -> None:
        """Show what the gateway recorded of the calls, and what its cache saved."""
        self._section("What the gateway saved")
        self._indented(gateway_table(found))
        self._console.print()
        self.say(
            "The same calls as the gateway saw them. It keeps them in a project of its own, "
            f"{project}, so that none counts twice.",
            "dim",
        )
        recorded, hits = len(found.calls), counted(len(found.kept.events), "cache hit")
        saved = found.saved()
        sentence = (
            f"{counted(found.made, 'call')} through the gateway, {recorded} found; "
            f"{hits} saved {'an unknown amount' if saved is None else dollars(saved)}."
        )
        self._console.print()
        self.say(sentence, "bold red" if recorded < found.made else "bold green")

    def pages(self, overview: str, logged: str, gatewayed: str) -> None:
        """Show the addresses to open, and how to end."""
        self._section("Look at it")
        self.say(overview, "bold")
        self.say("A month of a made-up shop. What was recorded just now is at:", "dim")
        self.say(logged, "bold")
        self.say(f"{gatewayed} (the gateway's)", "bold")
        self.say("The server keeps running until you press Ctrl-C.", "dim")

    def ended(self, sentence: str) -> None:
        """Say that Ctrl-C was followed; the terminal has just shown ^C."""
        self._console.print()
        self.say(sentence)

    def failed(self, error: DemoError) -> None:
        """Say why the demo cannot go on."""
        self._console.print()
        self.say(str(error), "bold red")
        if error.details:
            self._details(error.details)

    def _section(self, title: str) -> None:
        self._console.print()
        self._console.print(Text(title, "bold cyan"))
        self._console.print()

    def _details(self, text: str) -> None:
        self._indented(Text(text, "dim"), 4)

    def _indented(self, what: RenderableType, columns: int = 2) -> None:
        self._console.print(Padding(what, (0, 0, 0, columns), expand=False))
