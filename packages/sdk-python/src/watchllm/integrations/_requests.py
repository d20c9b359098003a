"""The run of a request: the one that its headers name, else a new one."""

from __future__ import annotations

import re
from inspect import iscoroutinefunction

from watchllm._context import Inside, Trace, current_run
from watchllm._log import Problems
from watchllm.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Sequence

    Header = Callable[[str], "str | None"]
    User = Callable[[Any], Any]

LONGEST_RUN_ID = 200
problems = Problems()

_RUN_ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_RUN_ID}}}")
# https://www.w3.org/TR/trace-context/: version 00 ends with the flags, later ones may go on.
_TRACEPARENT = re.compile(
    r"(?:00-(?P<now>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"|(?!00|ff)[0-9a-f]{2}-(?P<later>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?)"
)
_LONGEST_TRACEPARENT = 512


def run_id_of(header: Header) -> str | None:
    """Return the run that a request names, None if it names none that can be taken.

    `x-run-id` wins, if it is 1 to 200 visible characters of ASCII; then the trace id of a valid
    `traceparent`, under which a WatchLLM server stores the spans of OpenTelemetry too.
    """
    given = (header("x-run-id") or "").strip()
    if _RUN_ID.fullmatch(given):
        return given
    parent = header("traceparent") or ""
    found = _TRACEPARENT.fullmatch(parent.strip()) if len(parent) <= _LONGEST_TRACEPARENT else None
    trace_id = found and (found["now"] or found["later"])
    return trace_id if trace_id and trace_id.strip("0") else None


def user_id_of(user: User | None, request: Any) -> str | None:
    """Return whom the app's own function says that a request is from. Never raises."""
    if user is None:
        return None
    try:
        found = user(request)
        return None if found is None else str(found)
    except Exception as failure:
        problems.report(
            f"user {type(failure).__name__}",
            "The user of a request is left out, for the function `user` raised"
            f" {type(failure).__name__}: {failure}",
        )
        return None


def checked(user: User | None) -> User | None:
    """Return the function that tells the user; raises ConfigurationError if it cannot."""
    if user is None or (callable(user) and not iscoroutinefunction(user)):
        return user
    raise ConfigurationError(
        "`user` must be a function, not a coroutine's, that takes a request and returns a user id,"
        f" got {user!r}."
    )


class Requests:
    """Make the run of each request of an app. Safe to use from any thread and task."""

    def __init__(
        self,
        user: User | None = None,
        tags: Sequence[str] | None = None,
        release: str | None = None,
        *,
        read_headers: bool = True,
    ) -> None:
        self._user = checked(user)
        self._tags = tags
        self._release = release
        self._read_headers = read_headers

    def inside(self, header: Header, request: Any, otherwise: str | None = None) -> Inside:
        """Return what is to be around the work on a request; never raises.

        `otherwise` is the id of its run if the headers name none; None for a new one.
        """
        try:
            named = run_id_of(header) if self._read_headers else None
            user_id = user_id_of(self._user, request)
            return Inside(Trace(named or otherwise, user_id, self._tags, self._release).run())
        except Exception as failure:
            problems.report(
                f"request {type(failure).__name__}",
                f"A request is in no run: {type(failure).__name__}: {failure}",
            )
            return Inside(current_run())


class Items:
    """The parts of an answer, each made inside the run of its request."""

    __slots__ = ("_body", "_inside", "_items")

    def __init__(self, body: Any, inside: Inside) -> None:
        self._body = body
        self._inside = inside
        self._items: Iterator[Any] | None = None

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Any:
        with self._inside:
            if self._items is None:
                self._items = iter(self._body)
            return next(self._items)

    def close(self) -> None:
        """Close the answer, if it can be closed."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._inside:
                close()
