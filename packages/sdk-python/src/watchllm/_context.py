"""The run that a thread or an asyncio task is in."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from itertools import count

from watchllm._runtime import CLOCK, IdSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Iterator, Protocol, Sequence, TypeVar

    from watchllm._decorate import Function

    class Tally(Protocol):
        """See what is logged in a run, as it is logged."""

        def note(self, event_type: str, values: dict[str, Any]) -> None:
            """Look at an event, which is not to be changed. Never raises."""
            ...

    Result = TypeVar("Result")


class Run:
    """What events inherit inside `trace()` and inside a step.

    `steps` counts the steps of the run, `parent_event_id` is the event of the step around. `tally`
    sees what is logged in here and in the runs below. `around` is what was current when this became
    current, and is so again when this is left. What is `over` is current nowhere, not even in a
    context that nobody has left, and neither is what is below it.
    """

    __slots__ = (
        "above",
        "around",
        "over",
        "parent_event_id",
        "release",
        "run_id",
        "steps",
        "tags",
        "tally",
        "user_id",
    )

    def __init__(
        self,
        run_id: str,
        user_id: str | None = None,
        tags: tuple[str, ...] = (),
        release: str | None = None,
        parent_event_id: str | None = None,
        steps: Iterator[int] | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.around = current_run()
        self.above: Run | None = None
        self.over = False
        self.run_id = run_id
        self.user_id = user_id
        self.tags = tags
        self.release = release
        self.parent_event_id = parent_event_id
        self.steps = steps or count(1)
        self.tally = tally

    def below(self, event_id: str | None) -> Run:
        """Return the same run inside the step of that event."""
        run = Run(
            self.run_id, self.user_id, self.tags, self.release, event_id, self.steps, self.tally
        )
        run.above = self
        return run

    def is_over(self) -> bool:
        """Say whether it is over, or what is above it."""
        run: Run | None = self
        while run is not None and not run.over:
            run = run.above
        return run is not None


_current: ContextVar[Run | None] = ContextVar("watchllm_run", default=None)
_ids: list[IdSource] = []  # one, made when it is first needed


def current_run() -> Run | None:
    """Return the run that the caller is in, if any."""
    run = _current.get()
    while run is not None and run.is_over():
        run = run.around
    return run


def enter(run: Run) -> None:
    """Make a run current here, until it is left, be it in another context."""
    _current.set(run)


def leave(run: Run) -> None:
    """Say that a run is over."""
    run.over = True
    if _current.get() is run:
        _current.set(run.around)


def new_id() -> str:
    """Return an id for a run or an event."""
    if not _ids:
        _ids.append(IdSource(CLOCK))
    return _ids[0].new()


def new_run_id() -> str:
    """Return an id for a run that nobody has named."""
    return f"run-{new_id()}"


class Inside:
    """Be in a run while one function runs, and out of it wherever a generator hands out an item.

    What the function itself makes current, such as a trace that it is in, is current again when it
    goes on. `with` resumes it and pauses it.
    """

    __slots__ = ("_inside", "_outside")

    def __init__(self, run: Run | None) -> None:
        self._inside = run
        self._outside: Run | None = None

    def resume(self) -> None:
        """Enter the run."""
        self._outside = _current.get()
        _current.set(self._inside)

    def pause(self) -> None:
        """Leave it."""
        self._inside = _current.get()
        _current.set(self._outside)

    def __enter__(self) -> None:
        self.resume()

    def __exit__(self, *_: object) -> None:
        self.pause()

    def item(self, value: Any) -> None:
        """Note what a generator hands out."""

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        """Note how the function ended."""


class Trace:
    """Enter a run with `with` or `async with`, or decorate a function: see `watchllm.trace()`."""

    __slots__ = ("_entered", "_release", "_run_id", "_tags", "_user_id")

    def __init__(
        self,
        run_id: str | None,
        user_id: str | None,
        tags: Sequence[str] | None,
        release: str | None,
    ) -> None:
        self._run_id = run_id
        self._user_id = user_id
        self._tags = (tags,) if isinstance(tags, str) else tuple(tags or ())
        self._release = release
        self._entered: list[Run] = []

    def run(self) -> Run:
        """Return what is current inside, without entering it."""
        around = current_run()
        if around is None:
            run_id = new_run_id() if self._run_id is None else self._run_id
            return Run(run_id, self._user_id, self._tags, self._release)
        same = self._run_id is None or self._run_id == around.run_id
        return Run(
            around.run_id if self._run_id is None else self._run_id,
            around.user_id if self._user_id is None else self._user_id,
            around.tags + tuple(tag for tag in self._tags if tag not in around.tags),
            around.release if self._release is None else self._release,
            around.parent_event_id if same else None,
            around.steps if same else None,
            around.tally,
        )

    def __enter__(self) -> str:
        run = self.run()
        self._entered.append(run)
        _current.set(run)
        return run.run_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Tasks may share one trace, and leave it in another order than they entered it. A generator
        # may leave it when the run around is over, or in another context: then it changes nothing.
        left = _current.get()
        while left is not None and left not in self._entered:
            left = left.around
        if left is None:
            self._entered.pop()
        else:
            self._entered.remove(left)
            _current.set(left.around)

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        from watchllm._decorate import decorate

        return decorate(function, lambda _args, _kwargs: Inside(self.run()))


def trace(
    run_id: str | None = None,
    user_id: str | None = None,
    tags: Sequence[str] | None = None,
    *,
    release: str | None = None,
) -> Trace:
    """Return a context manager that yields a run id which events logged inside inherit.

    For `with` and `async with`, and as a decorator of functions, coroutines, generators and async
    generators, whose every call is then inside. Threads, asyncio tasks and nested traces each see
    their own. Without `run_id` a nested trace stays in the run around it, and an outermost one
    starts a new run each time that it is entered. `user_id` and `release` are inherited, and `tags`
    are added to those of the traces around. An argument given to a log method wins.
    """
    return Trace(run_id, user_id, tags, release)


def propagate(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return the function so that it runs in the context of here, on whatever thread it is called.

    For thread pools, which know no run: `pool.map(watchllm.propagate(work), items)`. All context
    variables go with it. Calls on several threads at once are fine: each has a copy.
    """
    from functools import wraps

    context = copy_context()

    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Result:
        return context.copy().run(function, *args, **kwargs)

    return inside
