"""The run that a thread or an asyncio task is in."""

from __future__ import annotations

from contextvars import ContextVar

from watchllm._runtime import CLOCK, IdSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Sequence


class Run:
    """What events inherit inside `trace()`."""

    __slots__ = ("run_id", "tags", "user_id")

    def __init__(self, run_id: str, user_id: str | None, tags: tuple[str, ...]) -> None:
        self.run_id = run_id
        self.user_id = user_id
        self.tags = tags


_current: ContextVar[Run | None] = ContextVar("watchllm_run", default=None)
_ids: list[IdSource] = []  # one, made when it is first needed


def current_run() -> Run | None:
    """Return the run that the caller is in, if any."""
    return _current.get()


def _new_id() -> str:
    if not _ids:
        _ids.append(IdSource(CLOCK))
    return _ids[0].new()


class Trace:
    """Enter a run with `with`; use `watchllm.trace()` to make one."""

    __slots__ = ("_before", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: list[Run | None] = []

    def __enter__(self) -> str:
        self._before.append(_current.get())
        _current.set(self._run)
        return self._run.run_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Setting the old value works where resetting a token does not: an async generator may be
        # finished in another context than the one that started it.
        _current.set(self._before.pop())


def trace(
    run_id: str | None = None, user_id: str | None = None, tags: Sequence[str] | None = None
) -> Trace:
    """Return a context manager that yields a run id which events logged inside inherit.

    Threads, asyncio tasks and nested traces each see their own. Without `run_id` a nested trace
    stays in the run around it, and an outermost one starts a new run. `user_id` is inherited, and
    `tags` are added to those of the traces around. An argument given to a log method wins.
    """
    around = _current.get()
    if run_id is None:
        run_id = around.run_id if around else f"run-{_new_id()}"
    if user_id is None and around:
        user_id = around.user_id
    own = (tags,) if isinstance(tags, str) else tuple(tags or ())
    before = around.tags if around else ()
    return Trace(Run(run_id, user_id, before + tuple(tag for tag in own if tag not in before)))
