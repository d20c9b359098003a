"""What a library of agents tells of: things that begin, have others below, and end as events."""

from __future__ import annotations

from functools import wraps

from watchllm._context import Inside, Run, current_run, enter, leave, new_id
from watchllm._default import get_client
from watchllm._enums import Status
from watchllm._events import AgentStepEvent, PromptCallEvent
from watchllm._exceptions import status_of
from watchllm._log import Problems
from watchllm._runtime import CLOCK, call_after_fork
from watchllm.instrumentation._call import Above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Union

    from watchllm._client import WatchLLMClient
    from watchllm._enums import StepType
    from watchllm._events import Event

    Failure = Union[BaseException, Mapping[str, Any], None]

MOST_OPEN = 10_000
"""Of what has begun and not ended, that is kept: the end of the oldest never came."""
_problems = Problems()


def guard(library: str) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator of methods that raise nothing then: a library would pass it to the app.

    What they would have raised is a warning that names the library.
    """

    def guarded(method: Callable[..., None]) -> Any:
        @wraps(method)
        def harmless(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                method(self, *args, **kwargs)
            except Exception as failure:
                kind = type(failure).__name__
                _problems.report(
                    f"{library} {kind}",
                    f"An event of {library} could not be logged: {kind}: {failure}",
                )

        return harmless

    return guarded


class Open(Above):
    """Something that has begun. A hidden one is no event; what is in it is in the one around.

    `part` is what a model has said so far, in whatever form the library tells of it.
    """

    __slots__ = (
        "_inside",
        "details",
        "event_id",
        "first",
        "hidden",
        "inputs",
        "name",
        "part",
        "started",
    )

    def __init__(
        self, name: str, run: Run, inputs: Any, details: dict[str, Any], owner: object
    ) -> None:
        super().__init__(run, owner)
        self.name = name
        self.inputs = inputs
        self.details = details
        self._inside: Run | None = None
        self.hidden = False
        self.part: Any = None
        self.event_id = new_id()
        self.first = 0.0
        self.started = CLOCK.monotonic()

    def inside(self) -> Run:
        """Return the run for what is below."""
        if self._inside is None:
            around = self.run.parent_event_id if self.hidden else self.event_id
            self._inside = self.run.below(around)
        return self._inside

    def enter(self) -> None:
        """Have what the app logs, from here on in this context, below."""
        enter(self.inside())

    def finish(self) -> bool:
        """Say that it is over; return whether it is still to be logged."""
        if self._inside is not None:
            leave(self._inside)
        return super().finish()

    def latency_ms(self) -> float:
        """Return the milliseconds since it began."""
        return (CLOCK.monotonic() - self.started) * 1_000

    def said(self) -> None:
        """Note the time at which a model has begun to answer."""
        if not self.first:
            self.first = CLOCK.monotonic()


class Tree:
    """What is open, by the keys of the library; what ends is logged. Safe to use from any thread.

    Logs to `client`, else to that of `get_client()`. All is in the run `run_id`, else in that of
    the `trace()` around what begins, else in one for each of what has nothing above.
    """

    def __init__(self, client: WatchLLMClient | None, run_id: str | None = None) -> None:
        self._client = client
        self._run_id = run_id
        self._open: dict[Any, Open] = {}
        call_after_fork(self)

    def after_fork(self) -> None:
        """Leave the calls that are open to the parent: a child may drop copies of their streams."""
        for opened in self._open.values():
            opened.disown()

    def get(self, key: Any) -> Open | None:
        """Return what has that key and is open."""
        return self._open.get(key)

    def begin(
        self,
        key: Any,
        parent: Any,
        name: str,
        inputs: Any = None,
        details: dict[str, Any] | None = None,
        *,
        new_run: str,
    ) -> Open:
        """Note that something has begun, below `parent`; `new_run` is the run that it may begin."""
        run = self._run(self._open.get(parent), new_run)
        opened = Open(name, run, inputs, details or {}, self)
        if len(self._open) >= MOST_OPEN:
            self.forget(next(iter(self._open)))
        self._open[key] = opened
        return opened

    def _run(self, parent: Open | None, new_run: str) -> Run:
        if parent is not None:
            return parent.inside()
        around = current_run()
        if self._run_id is not None:
            return Run(self._run_id, around.user_id if around else None)
        return around or Run(new_run)

    def end_step(
        self,
        key: Any,
        step_type: StepType,
        outputs: dict[str, Any] | None = None,
        error: Failure = None,
        reasoning: str | None = None,
    ) -> None:
        """Log a step, unless it is hidden or not open."""
        opened = self._open.pop(key, None)
        if opened is None or not opened.finish() or opened.hidden:
            return
        error = _left(opened, error)
        self._log(
            opened,
            AgentStepEvent(
                event_id=opened.event_id,
                step_number=next(opened.run.steps),
                step_name=opened.name,
                step_type=step_type,
                input_data=opened.inputs or {},
                output_data=outputs or {},
                latency_ms=opened.latency_ms(),
                status=_status(error),
                context=opened.details or None,
                reasoning=reasoning,
                error=error,
            ),
        )

    def end_call(self, key: Any, answer: dict[str, Any], error: Failure = None) -> None:
        """Log a call of a model, unless it is logged below, or not open.

        `answer` has the fields of the event, with `latency_ms` where the library knows it better;
        its `metadata` is put to the details.
        """
        opened = self._open.pop(key, None)
        if opened is None or not opened.finish():
            return
        error = _left(opened, error)
        requested = opened.details.pop("model", None)
        metadata = {**opened.details, **answer.pop("metadata", {})}
        model = answer.pop("model", None) or requested or opened.name
        if opened.first:
            metadata["time_to_first_token_ms"] = (opened.first - opened.started) * 1_000
        if requested and requested != model:
            metadata["requested_model"] = requested
        self._log(
            opened,
            PromptCallEvent(
                event_id=opened.event_id,
                prompt=opened.inputs,
                model=model,
                status=_status(error),
                error=error,
                response_metadata={name: value for name, value in metadata.items() if value},
                **{"latency_ms": opened.latency_ms(), **answer},
            ),
        )

    def forget(self, key: Any) -> None:
        """Close something without an event."""
        opened = self._open.pop(key, None)
        if opened is not None:
            opened.finish()

    def _log(self, opened: Open, event: Event) -> None:
        with Inside(opened.run):
            (self._client or get_client()).log_event(event)


def _left(opened: Open, error: Failure) -> Failure:
    """Return the error, None if it is a stream that was left early, which is noted."""
    if isinstance(error, GeneratorExit):
        opened.details["ended"] = "closed early"
        return None
    return error


def _status(error: Failure) -> Status:
    if error is None:
        return Status.SUCCESS
    return status_of(error) if isinstance(error, BaseException) else Status.ERROR
