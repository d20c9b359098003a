"""What each page shows: dataclasses that the templates read and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchllm_server.metadata import Project
    from watchllm_server.query.runs import Run


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The page of a project's runs."""

    project: Project
    projects: list[Project]
    """All projects, for the switch between them."""
    runs: list[Run]
    older_url: str | None
    """The page of the runs before these."""
    first_page: bool
    losses: dict[str, int]
    """How many events the senders lost, by reason."""
    base_url: str
    """What an app takes as WATCHLLM_BASE_URL, shown while there are no runs."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an event: a label and its text, open or folded."""

    label: str
    text: str
    folded: bool = False
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an event."""

    kind: str
    message: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of a run, in words that a person reads."""

    anchor: str
    kind: str
    """The event type, with blanks: `prompt call`."""
    title: str
    tone: str
    """success, warning, error or neutral: the colour of its mark."""
    time: str
    after: str
    """The time since the run's first event."""
    facts: list[tuple[str, str]]
    """Short facts by name: model, tokens, cost, latency."""
    tags: list[str]
    failure: Failure | None
    sections: list[Section]
    bar_start: float
    """Where its bar begins in the run's stretch of time, in percent."""
    bar_width: float


@dataclass(frozen=True, slots=True)
class RunPage:
    """The page of one run with its events in order."""

    project: Project
    projects: list[Project]
    run: Run
    events: list[EventView]
    duration: str
    """From the beginning of the first event to the end of the last one shown."""
    next_url: str | None
    """The page of the events after these."""
    first_page: bool


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """A page that says in a sentence why there is nothing to show."""

    title: str
    message: str
    projects: list[Project] = field(default_factory=list)
    project: Project | None = None


@dataclass(frozen=True, slots=True)
class LoginPage:
    """The form that asks for the password."""

    next: str
    """Where a login leads."""
    message: str
    """What was wrong with the last attempt, or empty."""
    projects: list[Project] = field(default_factory=list)
