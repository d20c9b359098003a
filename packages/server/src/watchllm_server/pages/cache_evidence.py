"""What is known of hits by meaning, for the page of the cache, and what people say of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from anyio import from_thread

from watchllm_server.cache.calibrate import NEVER, estimate
from watchllm_server.cache.entry import Chosen
from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from watchllm_server.cache.calibrate import Estimate
    from watchllm_server.pages.site import Visit


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was compared of a project, and what follows from it."""

    status: str
    """Whether questions are compared by their meaning on this server: on, off or failed."""
    mode: str
    """off, shadow or serve: what the project wants."""
    max_error_rate: float
    """The share of hits that may be wrong."""
    threshold: float | None
    """The confidence from which on hits may be given out; None while none may."""
    error: Estimate
    """Of what would be given out; while nothing would be, of all that was compared."""
    curve: list[tuple[float, Estimate]]
    """The error from each confidence on, the strictest first."""
    reported_right: int
    reported_wrong: int


def evidence_of(visit: Visit) -> Evidence | None:
    """Return what is known, None without a gateway. Called on a thread of the server."""
    semantic, rules = visit.services.semantic, visit.services.rules
    if semantic is None or rules is None:
        return None
    rule = rules.matching(visit.project.id, "")
    found = from_thread.run(semantic.stats, visit.project.id, rule.max_error_rate, 1)
    if not found.groups:
        return None
    own = found.groups[0]
    reported = {
        name: found.totals[f"reported_{name}"].times if f"reported_{name}" in found.totals else 0
        for name in ("right", "wrong")
    }
    return Evidence(
        status=semantic.status,
        mode=rule.mode,
        max_error_rate=rule.max_error_rate,
        threshold=None if own.threshold == NEVER else own.threshold,
        error=own.error,
        curve=[(least, estimate(wrong, compared)) for least, wrong, compared in own.curve],
        reported_right=reported["right"],
        reported_wrong=reported["wrong"],
    )


def take_feedback(visit: Visit) -> int:
    """Take a person's word for a match; return how many answers were forgotten because of it.

    Raises the Problem that answers 404 where no such match is known.
    """
    semantic, kept = visit.services.semantic, visit.services.cache
    correct = visit.form.get("answer") == "right"
    if visit.form.get("answer") not in ("right", "wrong"):
        raise Problem(400, "invalid_request", "Say whether the answer was right or wrong.")
    project_id, event_id = visit.project.id, visit.form.get("event_id", "")
    decision = semantic and from_thread.run(
        partial(semantic.judged, project_id, event_id, correct=correct)
    )
    if not decision or kept is None:
        message = "Nothing is known of how this call was matched: it can be judged no more."
        raise Problem(404, "not_found", message)
    if correct or not decision.served:
        return 0
    return kept.invalidate(project_id, Chosen(event_id=decision.stored_event_id))
