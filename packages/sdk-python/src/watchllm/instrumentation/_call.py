"""One call of a model, from its request to its event. None of its methods raises into the app."""

from __future__ import annotations

from contextvars import ContextVar

from watchllm._context import Inside, Run, current_run, new_run_id
from watchllm._default import get_client
from watchllm._enums import Status
from watchllm._exceptions import status_of
from watchllm._log import Problems
from watchllm._runtime import CLOCK, call_after_fork
from watchllm._worker import worker_for
from watchllm.instrumentation._answer import Answer, of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Protocol

    class Api(Protocol):
        """How the requests and the answers of one endpoint read."""

        provider: str
        operation: str

        def prompt(self, body: Mapping[str, Any]) -> Any:
            """Return what a request asks, as text."""
            ...

        def read(self, answer: Answer, content: Any) -> None:
            """Read a whole answer: an object of the library, or a dict."""
            ...

        def read_chunk(self, answer: Answer, chunk: Any) -> bool:
            """Read a part of a streamed answer; say whether it holds something that was said."""
            ...


problems = Problems()
_SETTINGS = (str, int, float, bool)
_NO_SETTINGS = frozenset(("input", "instructions", "model", "prompt", "stream", "system"))


class Above:
    """A call as a library tells of it that makes it through another one.

    Where that other one is instrumented, its call is logged, once, in the run and at the place at
    which this one would stand. A library that tells of an end some time after it names the `model`:
    a call of another one is not below. `owner` is who holds it.
    """

    __slots__ = ("_logged_below", "_over", "model", "owner", "run")

    def __init__(self, run: Run, owner: object) -> None:
        self.run = run
        self.owner = owner
        self.model: str | None = None
        self._logged_below = self._over = False

    def watch(self) -> None:
        """Look out for the call below, from here on in this context."""
        _above.set(self)

    def below(self, model: Any) -> Run | None:
        """Return the run for a call below: for the first one before this is over, else None."""
        if self._over or self._logged_below or self.model not in (None, model):
            return None
        self._logged_below = True
        return self.run

    def finish(self) -> bool:
        """Say that it is over; return whether it is still to be logged."""
        self._over = True
        return not self._logged_below

    def disown(self) -> None:
        """Have it logged by another process."""
        self._logged_below = True


_above: ContextVar[Above | None] = ContextVar("watchllm_above", default=None)


def run_above(model: Any, owner: object = None) -> Run | None:
    """Return the run for a call that is made now below another one, None if it is below none.

    A call of the same owner is not above: it may have ended, and not been told of yet.
    """
    above = _above.get()
    return None if above is None or above.owner is owner else above.below(model)


class UnderWay:
    """The calls of this process that have not ended, which end with it.

    A set needs no lock for what is done with it here, also if a finaliser comes in between.
    """

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        call_after_fork(self)

    def after_fork(self) -> None:
        """Leave them to the parent: a child may drop its copies of their streams."""
        for call in list(self.calls):
            call.disown()

    def end(self) -> None:
        """Log them as they are."""
        for call in list(self.calls):
            call.end(ended="dropped")


_under_way = UnderWay()
worker_for(CLOCK).before_exit(_under_way.end)


class Call:
    """A call that was begun. `end` logs it, once however often it is called.

    `with` is around what asks the model: what is raised there ends the call. One that is never
    ended is logged when the process ends.
    """

    __slots__ = (
        "_answer",
        "_api",
        "_ended",
        "_first",
        "_last",
        "_metadata",
        "_model",
        "_prompt",
        "_run",
        "_started",
    )

    def __init__(self, api: Api, body: Mapping[str, Any], provider: str | None = None) -> None:
        self._ended = False
        self._api = api
        self._model = body.get("model")
        self._run = run_above(self._model) or current_run() or Run(new_run_id())
        self._metadata: dict[str, Any] = {
            "operation": api.operation,
            "provider": provider or api.provider,
            "request": {
                name: value
                for name, value in body.items()
                if isinstance(value, _SETTINGS) and name not in _NO_SETTINGS
            },
        }
        self._prompt: Any = ""
        try:
            # Now, for the app may change its messages while it reads a stream.
            self._prompt = api.prompt(body)
            self._metadata["tools"] = [tool_name(tool) for tool in body.get("tools") or ()]
        except Exception as failure:
            self.fault(failure)
        if body.get("stream"):
            self._metadata["stream"] = True
        self._answer = Answer()
        self._first = self._last = 0.0
        _under_way.calls.add(self)
        self._started = CLOCK.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self.end(error)

    @staticmethod
    def report(failure: BaseException) -> None:
        """Say once that calls of this kind are not logged as they should be."""
        problems.report(
            f"instrumentation {type(failure).__name__}",
            f"A call of a model could not be read in full: {type(failure).__name__}: {failure}",
        )

    def note(self, name: str, value: Any) -> None:
        """Keep something in the event's metadata."""
        self._metadata[name] = value

    def fault(self, failure: BaseException) -> None:
        """Note that something of the call could not be read."""
        self._metadata["unreadable"] = f"{type(failure).__name__}: {failure}"
        self.report(failure)

    def answered(self, content: Any) -> None:
        """Read a whole answer."""
        self._last = CLOCK.monotonic()
        try:
            self._api.read(self._answer, content)
        except Exception as failure:
            self.fault(failure)

    def chunk(self, chunk: Any) -> None:
        """Read a part of a streamed answer."""
        self._last = CLOCK.monotonic()
        try:
            if self._api.read_chunk(self._answer, chunk) and not self._first:
                self._first = self._last
        except Exception as failure:
            self.fault(failure)

    def end(self, error: BaseException | None = None, ended: str | None = None) -> None:
        """Log the call, with the error that ended it, or with how the app left its stream.

        A generator or a coroutine that is closed is left, too: that is no error.
        """
        if self._ended:
            return
        self.disown()
        if isinstance(error, GeneratorExit):
            error, ended = None, "closed early"
        try:
            # A stream that was dropped ended with what the app has read of it.
            dropped = ended == "dropped" and self._last
            until = self._last if dropped else CLOCK.monotonic()
            if ended:
                self._metadata["ended"] = ended
            fields = self._fields(error, (until - self._started) * 1_000)
            with Inside(self._run):
                get_client().log_prompt_call(None, **fields)
        except Exception as failure:
            self.report(failure)

    def disown(self) -> None:
        """Be none of this process's any more: it is not logged from now on."""
        self._ended = True
        _under_way.calls.discard(self)

    def end_unread(self, failure: Exception) -> None:
        """Log the call whose answer could not be read, or not be observed."""
        self.fault(failure)
        self.end()

    def _fields(self, error: BaseException | None, latency_ms: float) -> dict[str, Any]:
        answer, metadata = self._answer, self._metadata
        completion = getattr(error, "completion", None)
        if completion is not None:
            # What could not be parsed because it was cut short; it was paid for all the same.
            self.answered(completion)
        tokens: tuple[int | None, int | None] = (None, None)
        text = ""
        try:
            tokens = answer.tokens()
            metadata.update(answer.metadata())
            text = answer.text()
        except Exception as failure:
            self.fault(failure)
        model = answer.model or self._model or "unknown"
        if self._model and model != self._model:
            metadata["requested_model"] = self._model
        if self._first:
            metadata["time_to_first_token_ms"] = (self._first - self._started) * 1_000
        status = Status.SUCCESS
        if error is not None:
            status = status_of(error)
        elif answer.error is not None:
            status = Status.ERROR
        return {
            "prompt": self._prompt,
            "model": model,
            "response": text,
            "tokens_input": tokens[0],
            "tokens_output": tokens[1],
            "latency_ms": latency_ms,
            "status": status,
            "error": error or answer.error,
            "response_metadata": {
                name: value for name, value in metadata.items() if value or value == 0
            },
        }


def tool_name(tool: Any) -> str:
    """Return the name of a tool that a request offers, or what kind of tool it is."""
    inner = of(tool, "function") or tool
    return str(of(inner, "name") or of(tool, "type") or type(tool).__name__)
