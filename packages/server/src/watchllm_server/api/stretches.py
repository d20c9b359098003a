"""From what is asked of a time series to its stretches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchllm_server.errors import invalid_query
from watchllm_server.query.stretches import Stretches, stretches_between, stretches_of_period

if TYPE_CHECKING:
    from datetime import datetime

    from watchllm_server.api.params import Question


def stretches(question: Question, now: datetime) -> Stretches:
    """Return the stretches of a period that ends now, or of the time that is asked for."""
    if "date_from" not in question:
        if "date_to" in question:
            raise invalid_query("`date_to` needs `date_from`; without both, `period` counts.")
        return stretches_of_period(question["period"], now)
    if "period" in question:
        raise invalid_query("Give either `period` or `date_from`, not both.")
    return stretches_between(question["date_from"], question["date_to"] or now)
