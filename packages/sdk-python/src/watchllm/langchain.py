"""LangChain and LangGraph: their calls of models, tools, retrievers and chains as events of a run.

agent.invoke(question, config={"callbacks": [WatchLLMCallbackHandler()]})
"""

from __future__ import annotations

from watchllm._enums import StepType
from watchllm.instrumentation import is_instrumented
from watchllm.instrumentation._messages import conversation
from watchllm.instrumentation._tree import Tree, guard

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage
except ImportError as missing:
    raise ImportError(
        "watchllm.langchain needs LangChain 1, and Python 3.10 or newer:"
        " pip install 'watchllm[langchain]'"
    ) from missing

from watchllm.instrumentation._langchain import (
    as_dict,
    as_object,
    is_cached,
    model_details,
    read_result,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from watchllm._client import WatchLLMClient
    from watchllm.instrumentation._tree import Open

__all__ = ["WatchLLMCallback", "WatchLLMCallbackHandler"]

_HIDDEN = "langsmith:hidden"
_KEPT = ("langgraph_node", "langgraph_step")
_INTERRUPTS = frozenset(("GraphBubbleUp", "GraphInterrupt"))
_guarded = guard("LangChain")


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
        self._tree = Tree(client, run_id)

    # What begins.

    @_guarded
    def on_chat_model_start(
        self, serialized: Any, messages: Sequence[Sequence[Any]], **kwargs: Any
    ) -> None:
        """Note what a chat model is asked."""
        asked = [as_dict(message) for message in messages[0]] if messages else []
        self._begin(serialized, conversation(asked), kwargs, model_details(kwargs)).watch()

    @_guarded
    def on_llm_start(self, serialized: Any, prompts: Sequence[str], **kwargs: Any) -> None:
        """Note what a model of texts is asked."""
        self._begin(serialized, "\n\n".join(prompts), kwargs, model_details(kwargs)).watch()

    @_guarded
    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Note what a chain or a node is given."""
        opened = self._begin(serialized, as_object(inputs), kwargs, {})
        opened.hidden = _HIDDEN in (kwargs.get("tags") or ())
        opened.enter()

    @_guarded
    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        """Note what a tool is given."""
        given = kwargs.get("inputs") or {"input": input_str}
        self._begin(serialized, as_object(given), kwargs, {}).enter()

    @_guarded
    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        """Note what is looked for."""
        self._begin(serialized, {"query": query}, kwargs, {}).enter()

    # What happens in between.

    @_guarded
    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        """Note the time of the first token."""
        opened = self._tree.get(kwargs["run_id"])
        if opened is not None and token:
            opened.said()

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
    ) -> Open:
        name = kwargs.get("name") or (serialized or {}).get("name") or "chain"
        metadata = kwargs.get("metadata") or {}
        details.update((key, metadata[key]) for key in _KEPT if key in metadata)
        key = kwargs["run_id"]
        new_run = f"langchain-{key}"
        return self._tree.begin(
            key, kwargs.get("parent_run_id"), name, inputs, details, new_run=new_run
        )

    def _end_step(
        self,
        kwargs: dict[str, Any],
        step_type: StepType,
        outputs: dict[str, Any],
        error: BaseException | None,
    ) -> None:
        opened = self._tree.get(kwargs["run_id"])
        interrupts = _INTERRUPTS.intersection(kind.__name__ for kind in type(error).__mro__)
        if opened is not None and interrupts:
            opened.details["interrupted"] = str(error)  # it waits for a person, and goes on later
            error = None
        self._tree.end_step(kwargs["run_id"], step_type, outputs, error)

    def _end_call(self, kwargs: dict[str, Any], result: Any, error: BaseException | None) -> None:
        key = kwargs["run_id"]
        opened = self._tree.get(key)
        provider = (opened and opened.details.get("provider")) or "no provider"
        if is_cached(result) or is_instrumented(provider):
            self._tree.forget(key)
        else:
            self._tree.end_call(key, read_result(result), error)


WatchLLMCallback = WatchLLMCallbackHandler
"""The same, by a shorter name."""
