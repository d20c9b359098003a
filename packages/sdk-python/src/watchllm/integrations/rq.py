"""RQ: a job is in the run of whoever enqueued it, and what it logs is sent when it ends.

queue = Queue(connection=redis, job_class=WatchLLMJob)
rq worker --job-class watchllm.integrations.rq.WatchLLMJob
"""

from __future__ import annotations

from watchllm.integrations._flush import FLUSH_SECONDS
from watchllm.integrations._requests import problems
from watchllm.integrations._tasks import KEY, Task, carried

try:
    from rq.job import Job
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.rq needs RQ 1.16 or newer: pip install 'rq>=1.16'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient

__all__ = ["WatchLLMJob"]


class WatchLLMJob(Job):  # type: ignore[misc] # it may not be installed
    """A job in the run of whoever enqueued it.

    Run, user, tags, release and the step around travel in the job's `meta["watchllm"]`. A job that
    was enqueued outside of any run is a run of its own, named by the job's id. When it ends, what
    `watchllm_client`, else the client of `get_client()`, holds is sent: RQ's work-horse ends
    without the calls at exit. The worker waits at most `flush_seconds`, and not beyond the job's
    timeout. Both are set in a subclass.
    """

    watchllm_client: WatchLLMClient | None = None
    flush_seconds: float = FLUSH_SECONDS

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a new job, which carries the run of here."""
        job = super().create(*args, **kwargs)
        try:
            run = carried()
            if run is not None:
                job.meta.setdefault(KEY, run)
        except Exception as failure:
            problems.report(
                f"enqueue {type(failure).__name__}",
                f"A job was enqueued without its run: {type(failure).__name__}: {failure}",
            )
        return job

    def perform(self) -> Any:
        """Run the job inside its run."""
        limit = self.timeout if (self.timeout or 0) > 0 else None
        task = Task(self.meta.get(KEY), self.id, self.watchllm_client, self.flush_seconds, limit)
        try:
            return super().perform()
        finally:
            task.end()
