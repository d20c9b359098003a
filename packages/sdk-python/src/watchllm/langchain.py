"""LangChain and LangGraph: their calls of models, tools, retrievers and chains as events of a run.

agent.invoke(question, config={"callbacks": [WatchLLMCallbackHandler()]})
"""

from __future__ import annotations

from functools import wraps

from watchllm._context import Inside, Run, current_run, new_id
from watchllm._default import get_client
from watchllm._enums import Status, StepType
from watchllm._events import AgentStepEvent, PromptCallEvent
from watchllm._exceptions import status_of
from watchllm._log import Problems
from watchllm._runtime import CLOCK
from watchllm.instrumentation import is_instrumented
from watchllm.instrumentation._messages import conversation

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage
except ImportError as missing:
    raise ImportError(
        "watchllm.langchain needs LangChain 1, and Python 3.10 or newer:"
        " pip install 'watchllm[langchain]'"
    ) from missing

from watchllm.instrumentation._langchain import as_dict, as_object, model_details, read_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from watchllm._client import WatchLLMClient
    from watchllm._events import Event

__all__ = ["WatchLLMCallback", "WatchLLMCallbackHandler"]

MOST_OPEN = 10_000
"""Of what has begun and not ended, that is kept: the end of the oldest never came."""
_HIDDEN = "langsmith:hidden"
_KEPT = ("langgraph_node", "langgraph_step")
_INTERRUPTS = frozenset(("GraphBubbleUp", "GraphInterrupt"))
_problems = Problems()


class _Open:
    """Something that has begun. A hidden one is no event; what is in it is in the one around."""

    __slots__ = ("details", "event_id", "first", "hidden", "inputs", "name", "run", "started")

    def __init__(self, name: str, run: Run, inputs: Any, details: dict[str, Any]) -> None:
        self.name = name
        self.run = run
        self.inputs = inputs
        self.details = details
        self.hidden = False
        self.event_id = new_id()
        self.first = 0.0
        self.started = CLOCK.monotonic()

    def latency_ms(self) -> float:
        return (CLOCK.monotonic() - self.started) * 1_000


def _guarded(method: Callable[..., None]) -> Any:
    """Return the method so that it raises nothing: LangChain would show it to the app."""

    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as failure:
            _problems.report(
                f"langchain {type(failure).__name__}",
                f"An event of LangChain could not be logged: {type(failure).__name__}: {failure}",
            )

    return guarded


class WatchLLMCallbackHandler(BaseCallbackHandler):  # type: ignore[misc] # it may not be installed
    """Log what a chain, an agent or a graph does, as a tree in one run.

    Logs to `client`, else to that of `get_client()`. Each call of a chain is a run of its own,
    unless `run_id` names one or `watchllm.trace()` is around; user and tags of the trace are
    inherited. One handler may serve any number of calls at once, on threads and in tasks. Models
    that `auto_instrument()` covers are left to it.
    """

    run_inline = True  # in the order in which things happen, on the thread on which they do

    def __init__(self, client: WatchLLMClient | None = None, *, run_id: str | None = None) -> None:
        super().__init__()
        self._client = client
        self._run_id = run_id
        self._open: dict[Any, _Open] = {}

    # What begins.

    @_guarded
    def on_chat_model_start(
        self, serialized: Any, messages: Sequence[Sequence[Any]], **kwargs: Any
    ) -> None:
        """Note what a chat model is asked."""
        asked = [as_dict(message) for message in messages[0]] if messages else []
        self._begin(serialized, conversation(asked), kwargs, model_details(kwargs))

    @_guarded
    def on_llm_start(self, serialized: Any, prompts: Sequence[str], **kwargs: Any) -> None:
        """Note what a model of texts is asked."""
        self._begin(serialized, "\n\n".join(prompts), kwargs, model_details(kwargs))

    @_guarded
    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Note what a chain or a node is given."""
        opened = self._begin(serialized, as_object(inputs), kwargs, {})
        opened.hidden = _HIDDEN in (kwargs.get("tags") or ())

    @_guarded
    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        """Note what a tool is given."""
        given = kwargs.get("inputs") or {"input": input_str}
        self._begin(serialized, as_object(given), kwargs, {})

    @_guarded
    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        """Note what is looked for."""
        self._begin(serialized, {"query": query}, kwargs, {})

    # What happens in between.

    @_guarded
    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        """Note the time of the first token."""
        opened = self._open.get(kwargs["run_id"])
        if opened is not None and token and not opened.first:
            opened.first = CLOCK.monotonic()

    # What ends.

    @_guarded
    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        """Log a call of a model."""
        self._end_call(kwargs, response, None)

    @_guarded
    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Log a call of a model that failed."""
        self._end_call(kwargs, kwargs.get("response"), error)

    @_guarded
    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Log a chain or a node."""
        self._end_step(kwargs, StepType.REASONING, as_object(outputs), None)

    @_guarded
    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Log a chain or a node that failed."""
        self._end_step(kwargs, StepType.REASONING, {}, error)

    @_guarded
    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        """Log a tool."""
        found = output.content if isinstance(output, BaseMessage) else output
        self._end_step(kwargs, StepType.TOOL_CALL, as_object(found), None)

    @_guarded
    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        """Log a tool that failed."""
        self._end_step(kwargs, StepType.TOOL_CALL, {}, error)

    @_guarded
    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        """Log what was found."""
        found = [
            {"page_content": document.page_content, "metadata": document.metadata}
            for document in documents
        ]
        self._end_step(kwargs, StepType.TOOL_CALL, {"documents": found}, None)

    @_guarded
    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        """Log a retriever that failed."""
        self._end_step(kwargs, StepType.TOOL_CALL, {}, error)

    def _begin(
        self, serialized: Any, inputs: Any, kwargs: dict[str, Any], details: dict[str, Any]
    ) -> _Open:
        name = kwargs.get("name") or (serialized or {}).get("name") or "chain"
        metadata = kwargs.get("metadata") or {}
        details.update((key, metadata[key]) for key in _KEPT if key in metadata)
        parent = self._open.get(kwargs.get("parent_run_id"))
        opened = _Open(name, self._run(parent, kwargs["run_id"]), inputs, details)
        if len(self._open) >= MOST_OPEN:
            self._open.pop(next(iter(self._open)), None)
        self._open[kwargs["run_id"]] = opened
        return opened

    def _run(self, parent: _Open | None, run_id: Any) -> Run:
        if parent is not None:
            return parent.run if parent.hidden else parent.run.below(parent.event_id)
        around = current_run()
        if self._run_id is not None:
            return Run(self._run_id, around.user_id if around else None)
        return around or Run(f"langchain-{run_id}")

    def _end_step(
        self,
        kwargs: dict[str, Any],
        step_type: StepType,
        outputs: dict[str, Any],
        error: BaseException | None,
    ) -> None:
        opened = self._open.pop(kwargs["run_id"], None)
        if opened is None or opened.hidden:
            return
        if error is not None and _INTERRUPTS.intersection(
            kind.__name__ for kind in type(error).__mro__
        ):
            opened.details["interrupted"] = str(error)  # it waits for a person, and goes on later
            error = None
        self._log(
            opened,
            AgentStepEvent(
                event_id=opened.event_id,
                step_number=next(opened.run.steps),
                step_name=opened.name,
                step_type=step_type,
                input_data=opened.inputs,
                output_data=outputs,
                latency_ms=opened.latency_ms(),
                status=Status.SUCCESS if error is None else status_of(error),
                context=opened.details or None,
                error=error,
            ),
        )

    def _end_call(self, kwargs: dict[str, Any], result: Any, error: BaseException | None) -> None:
        opened = self._open.pop(kwargs["run_id"], None)
        if opened is None or is_instrumented(opened.details.get("provider") or "no provider"):
            return
        requested = opened.details.pop("model", None)
        answer = read_result(result)
        metadata = {**opened.details, **answer.pop("metadata")}
        model = answer.pop("model") or requested or opened.name
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
                latency_ms=opened.latency_ms(),
                status=Status.SUCCESS if error is None else status_of(error),
                error=error,
                response_metadata={name: value for name, value in metadata.items() if value},
                **answer,
            ),
        )

    def _log(self, opened: _Open, event: Event) -> None:
        at = Inside(opened.run)
        at.resume()
        try:
            (self._client or get_client()).log_event(event)
        finally:
            at.pause()


WatchLLMCallback = WatchLLMCallbackHandler
"""The same, by a shorter name."""
