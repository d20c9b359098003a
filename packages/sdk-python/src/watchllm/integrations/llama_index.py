"""LlamaIndex: agents, query engines, retrievers, tools and calls of models as events of a run.

add_handler()
"""

from __future__ import annotations

from watchllm._enums import StepType
from watchllm.instrumentation._answer import Answer, of
from watchllm.instrumentation._messages import as_text, conversation
from watchllm.instrumentation._openai import CHAT
from watchllm.instrumentation._tree import Tree, guard

try:
    from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent
    from llama_index.core.base.base_query_engine import BaseQueryEngine
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.chat_engine.types import BaseChatEngine
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.event_handlers import BaseEventHandler
    from llama_index.core.instrumentation.events.exception import ExceptionEvent
    from llama_index.core.instrumentation.events.llm import (
        LLMChatEndEvent,
        LLMChatInProgressEvent,
        LLMChatStartEvent,
        LLMCompletionEndEvent,
        LLMCompletionInProgressEvent,
        LLMCompletionStartEvent,
    )
    from llama_index.core.instrumentation.span import BaseSpan
    from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
    from llama_index.core.tools import BaseTool
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.llama_index needs LlamaIndex, and Python 3.10 or newer:"
        " pip install 'watchllm[llama-index]'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient

__all__ = ["add_handler"]

_STARTS = (LLMChatStartEvent, LLMCompletionStartEvent)
_PARTS = (LLMChatInProgressEvent, LLMCompletionInProgressEvent)
_ENDS = (LLMChatEndEvent, LLMCompletionEndEvent)
_STEPS = (
    (BaseTool, ("__call__", "call", "acall"), StepType.TOOL_CALL),
    (BaseRetriever, ("retrieve", "aretrieve"), StepType.TOOL_CALL),
    (BaseQueryEngine, ("query", "aquery"), StepType.REASONING),
    (BaseChatEngine, ("chat", "achat", "stream_chat", "astream_chat"), StepType.REASONING),
    ((BaseWorkflowAgent, AgentWorkflow), ("run",), StepType.REASONING),
)
"""What is a step: methods of these classes. All else that LlamaIndex tells of is inside of one."""
_ID = 37
"""How many characters of a span's id stand behind the name of its method: a dash and a UUID."""
_PLAIN = (str, int, float, bool)
_guarded = guard("LlamaIndex")


def add_handler(client: WatchLLMClient | None = None) -> None:
    """Log what LlamaIndex does from now on, as trees.

    Logs to `client`, else to that of `get_client()`. What has nothing above it is a run, unless
    `watchllm.trace()` is around, whose user and tags are inherited. Calls of models that
    `auto_instrument()` covers are logged by that, at the same place. Once more changes nothing.
    """
    root = get_dispatcher()
    if not any(isinstance(each, _Spans) for each in root.span_handlers):
        tree = Tree(client)
        root.add_span_handler(_Spans(tree))
        root.add_event_handler(_Events(tree))


class _Spans(BaseSpanHandler):  # type: ignore[misc] # it may not be installed
    """Tell the tree of what begins and ends."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._tree = tree

    def new_span(
        self,
        id_: str,
        bound_args: Any,
        instance: Any = None,
        parent_span_id: str | None = None,
        tags: Any = None,  # noqa: ARG002 - as it is called
        **_: Any,
    ) -> Any:
        """Note what has begun."""
        self._begin(id_, bound_args, instance, parent_span_id)
        return BaseSpan(id_=id_, parent_id=parent_span_id)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: Any,  # noqa: ARG002 - as it is called
        instance: Any = None,
        result: Any = None,
        **_: Any,
    ) -> Any:
        """Log what has ended."""
        self._end(id_, instance, result, None)
        return self.open_spans.get(id_)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: Any,  # noqa: ARG002 - as it is called
        instance: Any = None,
        err: BaseException | None = None,
        **_: Any,
    ) -> Any:
        """Log what has failed."""
        self._end(id_, instance, None, err)
        return self.open_spans.get(id_)

    @_guarded
    def _begin(self, id_: str, bound_args: Any, instance: Any, parent: str | None) -> None:
        name = id_[:-_ID].rpartition(".")[0] or id_
        if isinstance(instance, BaseTool):
            name = instance.metadata.name or name
        opened = self._tree.begin(
            id_, parent, name, _given(bound_args), new_run=f"llama-index{id_[-_ID:]}"
        )
        opened.hidden = _step_type(id_, instance) is None
        if not opened.hidden:
            opened.enter()

    @_guarded
    def _end(self, id_: str, instance: Any, result: Any, error: BaseException | None) -> None:
        if error is not None:
            _fail(self._tree, ("call", id_), error)
        step_type = _step_type(id_, instance) or StepType.REASONING
        self._tree.end_step(id_, step_type, _made(result), error)


class _Events(BaseEventHandler):  # type: ignore[misc] # likewise
    """Tell the tree of calls of models."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._tree = tree

    @_guarded
    def handle(self, event: Any, **_: Any) -> None:
        """Note the beginning or the end of a call."""
        key = ("call", event.span_id)
        if isinstance(event, _STARTS):
            told = event.model_dict
            provider = str(told.get("class_name") or "").lower()
            details = {
                "operation": "chat" if hasattr(event, "messages") else "text_completion",
                "provider": provider.replace("_llm", ""),
                "model": told.get("model") or told.get("model_name"),
                "request": {
                    name: told[name]
                    for name in ("temperature", "max_tokens")
                    if told.get(name) is not None
                },
            }
            self._tree.begin(
                key, event.span_id, "model", _asked(event), details, new_run=event.id_
            ).watch()
        elif isinstance(event, _PARTS):
            opened = self._tree.get(key)
            if opened is not None:
                opened.said()
                opened.part = event.response
        elif isinstance(event, _ENDS):
            self._tree.end_call(key, _answered(event.response))
        elif isinstance(event, ExceptionEvent):
            _fail(self._tree, key, event.exception)


def _fail(tree: Tree, key: Any, error: BaseException) -> None:
    """Log a call that failed, or whose stream was left, with what had come."""
    opened = tree.get(key)
    if opened is not None:
        tree.end_call(key, _answered(opened.part), error)


def _step_type(id_: str, instance: Any) -> StepType | None:
    """Return the type of a step, None for what is inside of one."""
    method = id_[:-_ID].rpartition(".")[2]
    found = (kind for of_, names, kind in _STEPS if isinstance(instance, of_) and method in names)
    return next(found, None)


def _asked(event: Any) -> str:
    if not hasattr(event, "messages"):
        return str(event.prompt)
    return conversation([_message(message) for message in event.messages])


def _message(message: Any) -> dict[str, Any]:
    """Return a message as OpenAI's API has it: its text and its calls, no pictures."""
    calls = [
        {
            "id": block.tool_call_id,
            "function": {"name": block.tool_name, "arguments": as_text(block.tool_kwargs)},
        }
        for block in message.blocks
        if block.block_type == "tool_call"
    ]
    return {"role": message.role.value, "content": message.content, "tool_calls": calls}


def _answered(response: Any) -> dict[str, Any]:
    """Return the fields of what a model answered: nothing, if a stream was empty."""
    answer = Answer()
    if response is not None:
        raw = response.raw
        message = getattr(response, "message", None)
        said = {"content": response.text} if message is None else _message(message)
        choices = of(raw, "choices")
        reason = of(choices[0], "finish_reason") if choices else None
        head = {name: of(raw, name) for name in ("id", "model", "usage")}
        CHAT.read(answer, {**head, "choices": [{"message": said, "finish_reason": reason}]})
    return answer.fields()


def _given(bound_args: Any) -> dict[str, Any]:
    """Return arguments as an object: what is plain, and the text of what asks something."""
    given = dict(bound_args.arguments)
    given.update(given.pop("kwargs", None) or {})
    told = {name: _told(value) for name, value in given.items()}
    return {name: value for name, value in told.items() if value is not None}


def _told(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    return of(value, "query_str") or of(value, "user_msg")


def _made(result: Any) -> dict[str, Any]:
    """Return a result as an object."""
    if isinstance(result, list):
        nodes = [{"text": of(each, "text"), "score": of(each, "score")} for each in result]
        return {"nodes": nodes}
    return {} if result is None else {"value": str(result)}
