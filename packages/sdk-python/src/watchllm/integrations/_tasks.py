"""The run of a task: that of whoever sent it, which its message carries."""

from __future__ import annotations

from watchllm._context import Inside, Run, Trace, current_run
from watchllm._runtime import CLOCK
from watchllm.integrations._flush import flush
from watchllm.integrations._requests import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient

KEY = "watchllm"  # of what a message carries
LONGEST = 1_000  # of a text in it
MOST_TAGS = 100

_TEXTS = ("user_id", "release", "parent_event_id")


def carried() -> dict[str, Any] | None:
    """Return the run that the caller is in as a message may carry it, None outside of any."""
    run = current_run()
    if run is None:
        return None
    texts = {name: getattr(run, name) for name in ("run_id", *_TEXTS)}
    return {
        "tags": list(run.tags),
        **{name: text for name, text in texts.items() if text is not None},
    }


def run_of(message: Any) -> Run | None:
    """Return the run that a message carries, None if it carries none that can be read."""
    if not isinstance(message, dict) or not _is_text(message.get("run_id")):
        return None
    texts = {name: message[name] for name in _TEXTS if _is_text(message.get(name))}
    tags = message.get("tags")
    named = tuple(filter(_is_text, tags[:MOST_TAGS])) if isinstance(tags, list) else ()
    return Run(message["run_id"], tags=named, **texts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST


class Task:
    """One task, from when it begins to when what it has logged is sent. Nothing of it raises.

    It is in the run that its message carries, else in the one around, else in one of its own that
    is named by the task's id. `limit` are the seconds after which its queue ends it by force, if it
    is a number.
    """

    def __init__(
        self,
        message: Any,
        task_id: str,
        client: WatchLLMClient | None,
        flush_seconds: float,
        limit: Any,
    ) -> None:
        self._client = client
        self._flush_seconds = flush_seconds
        self._limit = limit if isinstance(limit, (int, float)) else None
        self._started = CLOCK.monotonic()
        self._inside = Inside(_run(message, task_id))
        # Who waits already would wait at the end of every task while the collector is away.
        self._up_to_date = flush(client, 0.0)
        self._inside.resume()

    def end(self, *, send: bool = True) -> None:
        """Leave the run, and wait for what was logged unless older events wait too."""
        self._inside.pause()
        if send:
            passed = CLOCK.monotonic() - self._started
            left = None if self._limit is None else self._limit - passed
            flush(self._client, self._flush_seconds if self._up_to_date else 0.0, left)


def _run(message: Any, task_id: str) -> Run | None:
    try:
        run = run_of(message)
        if run is None:
            run = Trace(None if current_run() else task_id, None, None, None).run()
    except Exception as failure:
        problems.report(
            f"task {type(failure).__name__}",
            f"A task is in no run: {type(failure).__name__}: {failure}",
        )
        return current_run()
    return run
