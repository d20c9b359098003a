"""Celery: a task is in the run of whoever sent it, and what it logs is sent when it ends.

connect()      # where the app is made, which producers and workers import alike
"""

from __future__ import annotations

from watchllm.integrations._flush import FLUSH_SECONDS
from watchllm.integrations._requests import problems
from watchllm.integrations._tasks import KEY, Task, carried

try:
    from celery.signals import before_task_publish, task_postrun, task_prerun
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.celery needs Celery 5.2 or newer: pip install 'celery>=5.2'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient

__all__ = ["connect"]

_OPEN = "_watchllm_task"  # of a request of Celery's: what `task_prerun` began


class _Options:
    client: WatchLLMClient | None = None
    flush_seconds = FLUSH_SECONDS


def connect(*, client: WatchLLMClient | None = None, flush_seconds: float = FLUSH_SECONDS) -> None:
    """Watch all Celery apps of the process; calling it again only changes the options.

    Run, user, tags, release and the step around travel in the header `watchllm` of a task's
    message. A task that was sent outside of any run is a run of its own, named by the task's id.
    When a task ends, what `client`, else the client of `get_client()`, holds is sent: the worker
    waits at most `flush_seconds`, not beyond the task's hard time limit, and not at all while older
    events wait for a collector that is away.
    """
    _Options.client = client
    _Options.flush_seconds = flush_seconds
    for signal, receiver in (
        (before_task_publish, _before_publish),
        (task_prerun, _before_run),
        (task_postrun, _after_run),
    ):
        signal.connect(receiver, weak=False, dispatch_uid="watchllm")


def _before_publish(headers: Any = None, **_: Any) -> None:
    try:
        run = carried()
        if run is not None:
            headers[KEY] = run
    except Exception as failure:
        problems.report(
            f"publish {type(failure).__name__}",
            f"A task was sent without its run: {type(failure).__name__}: {failure}",
        )


def _before_run(task_id: str = "", task: Any = None, **_: Any) -> None:
    request = task.request
    limits = request.timelimit or (None, None)
    setattr(
        request,
        _OPEN,
        Task(
            getattr(request, KEY, None),
            task_id,
            _Options.client,
            _Options.flush_seconds,
            limits[0] or task.time_limit,
        ),
    )


def _after_run(task: Any = None, **_: Any) -> None:
    opened: Task | None = getattr(task.request, _OPEN, None)
    if opened is not None:
        # Who calls a task like a function, with `apply()`, goes on by himself after it.
        opened.end(send=not task.request.is_eager)
