"""Send what was logged, within a bound, and whatever happens raise nothing."""

from __future__ import annotations

from watchllm._default import default
from watchllm.integrations._requests import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from watchllm._client import WatchLLMClient

FLUSH_SECONDS = 2.0
"""How long the end of a task, a function or an app waits for the collector, if not told."""
RESERVE_SECONDS = 0.5  # of the time that a host grants, which are left to the host


def flush(client: WatchLLMClient | None, seconds: float, left: float | None = None) -> bool:
    """Flush a client, else that of the process if there is one; say whether nothing waits.

    Blocks for `seconds` at most, and no longer than until half a second before the `left` are over.
    """
    try:
        client = client or default.made()
        if left is not None:
            seconds = min(seconds, left - RESERVE_SECONDS)
        return client is None or client.flush(seconds)
    except Exception as failure:
        problems.report(
            f"flush {type(failure).__name__}",
            f"What was logged waits longer: {type(failure).__name__}: {failure}",
        )
        return False
