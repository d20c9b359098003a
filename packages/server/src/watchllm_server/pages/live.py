"""What a page of a run hears while the run goes on, as server-sent events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from watchllm_server.errors import Problem, StoreError
from watchllm_server.pages.site import NotFoundError, Page, Visit, run_url
from watchllm_server.query.pulse import pulse_of_run
from watchllm_server.query.runs import Run, run_by_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from watchllm_server.query.pulse import Pulse

_GOES_ON: Final = timedelta(minutes=15)
_SECONDS: Final = 1.0
# A browser connects again by itself, and is then let in anew or not.
_LONGEST: Final = 600.0
_MOST: Final = 50
# One for each page that hears of a run. An answer whose browser left before it began is not there.
_listening: Final[set[object]] = set()


def goes_on(visit: Visit, run: Run) -> bool:
    """Tell whether there may be more of a run: something of it came in the last 15 minutes."""
    pulse = pulse_of_run(visit.services.store, visit.project.id, run)
    return visit.services.clock.now() - pulse.received_at < _GOES_ON


def live_url(project_id: str, run_id: str) -> str:
    """Return where a page hears of a run."""
    return run_url(project_id, run_id, below="/live")


def live(visit: Visit) -> Response:
    """Tell each time that a run has got new events, until nothing of it comes any more."""
    run_id = visit.request.path_params["run_id"] or visit.state["id"]
    found = run_by_id(visit.services.store, visit.project.id, run_id)
    if found is None:
        raise NotFoundError("There is no run of this id in the project.")
    if len(_listening) >= _MOST:
        message = f"{_MOST} pages hear of runs already. Load the page again to see what is new."
        raise Problem(503, "busy", message, retry_after=60)
    return StreamingResponse(
        _told(visit, found), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _told(visit: Visit, run: Run) -> AsyncIterator[str]:
    store, clock = visit.services.store, visit.services.clock
    known: Pulse | None = None
    listener = object()
    _listening.add(listener)
    end = clock.monotonic() + _LONGEST
    try:
        while clock.monotonic() < end:
            try:
                pulse = await run_in_threadpool(pulse_of_run, store, visit.project.id, run)
            except StoreError:
                yield ": the events cannot be read now\n\n"
            else:
                if known != pulse:
                    yield f"event: changed\ndata: {pulse.events}\n\n"
                    known = pulse
                if clock.now() - pulse.received_at > _GOES_ON:
                    yield "event: ended\ndata: \n\n"
                    return
            await anyio.sleep(_SECONDS)
    finally:
        _listening.discard(listener)


PAGES: Final = (Page("/live/{run_id:path}", live, more=("id",)),)
