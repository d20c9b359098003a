"""LiteLLM: its calls of any provider as events.

litellm.callbacks = [WatchLLMLogger()]
"""

from __future__ import annotations

from watchllm._context import new_run_id
from watchllm.instrumentation._answer import Answer, of
from watchllm.instrumentation._call import run_above, tool_name
from watchllm.instrumentation._messages import conversation
from watchllm.instrumentation._openai import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from watchllm.instrumentation._tree import Tree, guard

try:
    from litellm.integrations.custom_logger import CustomLogger

    from watchllm.integrations._litellm_streams import observe, read_of
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.litellm needs LiteLLM, and Python 3.10 or newer:"
        " pip install 'watchllm[litellm]'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient
    from watchllm.instrumentation._call import Api

__all__ = ["WatchLLMLogger"]

_APIS: dict[str, Api] = {
    "embedding": EMBEDDINGS,
    "responses": RESPONSES,
    "text_completion": COMPLETIONS,
}
"""Whose answers LiteLLM gives for every provider, by the function that was called."""
_guarded = guard("LiteLLM")


class WatchLLMLogger(CustomLogger):  # type: ignore[misc] # it may not be installed
    """Log each call that LiteLLM makes of a model, sync, async and streamed.

    Logs to `client`, else to that of `get_client()`, in the run of the `trace()` around the call,
    else in one of its own. A call that goes through a library which `auto_instrument()` covers is
    logged by that. A stream that the app leaves early is logged with what it has read: methods of
    LiteLLM's streams are wrapped for that, once, when the first logger is made. Safe to use from
    any thread; nothing that fails in it reaches the app.
    """

    def __init__(self, client: WatchLLMClient | None = None) -> None:
        super().__init__()
        self._tree = Tree(client)
        observe(self)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG002 - as it is called
        """Note a call on its way, in the context of who makes it."""
        self._begin(kwargs)

    def log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log a call that was answered."""
        self._end(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log an asynchronous call that was answered."""
        self._end(kwargs, response_obj, start_time, end_time)

    def log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log a call that failed."""
        self._end(kwargs, response_obj, start_time, end_time, failed=True)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Log an asynchronous call that failed."""
        self._end(kwargs, response_obj, start_time, end_time, failed=True)

    @_guarded
    def _begin(self, kwargs: dict[str, Any]) -> None:
        asked = kwargs.get("optional_params") or {}
        api = _api(kwargs)
        if api is EMBEDDINGS:
            prompt = api.prompt(kwargs)
        else:
            messages = kwargs.get("messages")
            told = messages if isinstance(messages, (list, tuple)) else [messages]
            prompt = conversation(told, asked.get("instructions"))
        opened = self._tree.begin(
            kwargs["litellm_call_id"],
            None,
            str(kwargs.get("model")),
            prompt,
            {
                "operation": api.operation,
                "provider": kwargs.get("custom_llm_provider"),
                "model": kwargs.get("model"),
                "request": {
                    name: asked[name]
                    for name in ("temperature", "max_tokens", "top_p")
                    if asked.get(name) is not None
                },
                "stream": bool(kwargs.get("stream")),
                "tools": [tool_name(tool) for tool in asked.get("tools") or ()],
            },
            new_run=new_run_id(),
        )
        opened.run = run_above(kwargs.get("model"), self._tree) or opened.run
        opened.model = kwargs.get("model")
        opened.watch()

    @_guarded
    def _end(
        self,
        kwargs: dict[str, Any],
        result: Any,
        start_time: Any,
        end_time: Any,
        *,
        failed: bool = False,
    ) -> None:
        key = kwargs["litellm_call_id"]
        opened = self._tree.get(key)
        if opened is None:
            return
        answer = Answer()
        if result is not None and not failed:
            _api(kwargs, result).read(answer, result)
        fields = answer.fields()
        first = kwargs.get("completion_start_time")
        if opened.details["stream"] and first is not None:
            _tell_first(fields, first, start_time)
        error = kwargs.get("exception") or {"message": "The call failed."} if failed else None
        # By LiteLLM's own clock: it tells of the end on another thread, some time later.
        fields["latency_ms"] = (end_time - start_time).total_seconds() * 1_000
        self._tree.end_call(key, fields, error)

    @_guarded
    def leave(self, stream: Any, ended: str | None, error: BaseException | None) -> None:
        """Log a call whose stream the app has left, if it is open."""
        called = stream.logging_obj
        opened = self._tree.get(called.litellm_call_id)
        if opened is None:
            return
        answer, is_whole = read_of(stream)
        fields = answer.fields()
        if ended and not is_whole:
            fields["metadata"]["ended"] = ended
        read_at = getattr(stream, "watchllm_read_at", None)
        if read_at is not None:
            _tell_first(fields, called.completion_start_time, called.start_time)
            if ended == "dropped":
                fields["latency_ms"] = (read_at - opened.started) * 1_000
        self._tree.end_call(called.litellm_call_id, fields, error)


def _tell_first(fields: dict[str, Any], first: Any, start: Any) -> None:
    fields["metadata"]["time_to_first_token_ms"] = (first - start).total_seconds() * 1_000


def _api(kwargs: dict[str, Any], result: Any = None) -> Api:
    """Return how a call reads, and its result if there is one."""
    called = str(kwargs.get("call_type") or "")
    api = _APIS.get(called[1:] if called[:1] == "a" else called, CHAT)
    # For a provider that has no responses LiteLLM makes them of a chat, and tells of the chat.
    return CHAT if api is RESPONSES and of(result, "choices") else api
