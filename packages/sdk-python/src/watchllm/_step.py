"""`@step`: a function of the app as a step of an agent."""

from __future__ import annotations

from typing import overload

from watchllm._context import Inside, Run, current_run, new_id, new_run_id
from watchllm._decorate import decorate
from watchllm._default import get_client
from watchllm._enums import Status, StepType
from watchllm._events import AgentStepEvent
from watchllm._exceptions import status_of
from watchllm._log import Problems
from watchllm._runtime import CLOCK
from watchllm._snapshot import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature
    from typing import Any, Callable

    from watchllm._client import WatchLLMClient
    from watchllm._decorate import Function

MOST_ITEMS = 1_000  # of a generator, that are kept
problems = Problems()


@overload
def step(name: Function) -> Function: ...


@overload
def step(
    name: str | None = None,
    step_type: StepType | str = StepType.REASONING,
    *,
    client: WatchLLMClient | None = None,
) -> Callable[[Function], Function]: ...


def step(
    name: str | Callable[..., Any] | None = None,
    step_type: StepType | str = StepType.REASONING,
    *,
    client: WatchLLMClient | None = None,
) -> Any:
    """Record each call of a function as a step of an agent: `@step("search", "tool_call")`.

    Functions, coroutines, generators and async generators stay what they are, and so do their
    results and exceptions. Recorded are the arguments as they were at the call, the result (of a
    generator its first 1,000 items, put together if they are texts), how long it took in
    milliseconds, and an exception. `name` defaults to that of the function; `@step` alone does.
    What is logged inside has the step as its `parent_event_id`. Outside of a trace each step is a
    run. Logs to `client`, else to that of `get_client()`; where there is none, one warning says so.
    """
    if name is not None and not isinstance(name, str):
        return step(None, step_type, client=client)(name)

    def decorator(function: Function) -> Function:
        if isinstance(function, (staticmethod, classmethod)):
            inner: Any = type(function)(decorator(function.__func__))
            return inner
        recorder = Recorder(name or _name(function), step_type, _signature(function), client)
        return decorate(function, recorder.begin)

    return decorator


class Recorder:
    """What all calls of one step have in common."""

    def __init__(
        self,
        name: str,
        step_type: StepType | str,
        signature: Signature | None,
        client: WatchLLMClient | None,
    ) -> None:
        self.name = name
        self.step_type = step_type
        self.signature = signature
        self.client = client

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inside:
        """Begin a call."""
        run = current_run()
        return Step(self, run or Run(new_run_id()), self._inputs(args, kwargs))

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            if self.signature is None:
                return {"args": snapshot(list(args)), **snapshot(kwargs)}
            # Arguments that do not fit raise here as they will at the call, where they matter.
            bound: dict[str, Any] = dict(self.signature.bind(*args, **kwargs).arguments)
            for receiver in ("self", "cls"):
                if next(iter(bound), None) == receiver:
                    del bound[receiver]
            copy: dict[str, Any] = snapshot(bound)
        except Exception:
            return {"args": list(args), **kwargs}
        return copy


class Step(Inside):
    """One call of a step."""

    __slots__ = ("_event_id", "_inputs", "_items", "_left_out", "_recorder", "_run", "_started")

    def __init__(self, recorder: Recorder, run: Run, inputs: dict[str, Any]) -> None:
        self._recorder = recorder
        self._run = run
        self._inputs = inputs
        self._event_id = new_id()
        self._items: list[Any] | None = None
        self._left_out = 0
        super().__init__(run.below(self._event_id))
        self._started = CLOCK.monotonic()

    def item(self, value: Any) -> None:
        """Keep an item, if not too many are kept."""
        if self._items is None:
            self._items = []
        if len(self._items) < MOST_ITEMS:
            self._items.append(value)
        else:
            self._left_out += 1

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        """Log the step. Never raises."""
        latency_ms = (CLOCK.monotonic() - self._started) * 1_000
        try:
            recorder = self._recorder
            closed = isinstance(error, GeneratorExit)
            failed = None if closed else error
            event = AgentStepEvent(
                event_id=self._event_id,
                step_number=next(self._run.steps),
                step_name=recorder.name,
                step_type=recorder.step_type,
                input_data=self._inputs,
                output_data=self._outputs(result),
                latency_ms=latency_ms,
                status=Status.SUCCESS if failed is None else status_of(failed),
                context={"closed_early": True} if closed else None,
                error=failed,
            )
            # The one who closes a generator may be in another run, or in none.
            with Inside(self._run):
                (recorder.client or get_client()).log_event(event)
        except Exception as failure:
            problems.report(
                f"step {type(failure).__name__}",
                f"A step could not be recorded: {type(failure).__name__}: {failure}",
            )

    def _outputs(self, result: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        if self._items is not None:
            if all(isinstance(item, str) for item in self._items):
                outputs["text"] = "".join(self._items)
            else:
                outputs["items"] = self._items
            if self._left_out:
                outputs["items_left_out"] = self._left_out
        if isinstance(result, dict) and not outputs:
            return result
        if result is not None:
            outputs["result"] = result
        return outputs


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _signature(function: Any) -> Signature | None:
    from inspect import signature

    try:
        return signature(function)
    except (TypeError, ValueError):  # of some that are written in C
        return None
