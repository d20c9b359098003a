"""What a question may be narrowed by. This is the one place where questions meet a project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from watchllm_server.events import EPOCH, micros

if TYPE_CHECKING:
    from watchllm_server.store.base import Value

_END_OF_TIME = datetime.max.replace(tzinfo=EPOCH.tzinfo)


@dataclass(frozen=True, slots=True)
class Filter:
    """Narrow a question within one project.

    An empty value does not narrow. A list admits what matches any of its values; together all
    conditions hold. `date_from` is included, `date_to` is not.
    """

    project_id: str
    event_types: tuple[str, ...] = ()
    run_id: str = ""
    user_id: str = ""
    statuses: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    env: str = ""
    release: str = ""
    date_from: datetime = EPOCH
    date_to: datetime = _END_OF_TIME
    text: str = ""
    """Text that the prompt, the response or another field holds, in upper or lower case."""

    def parameters(self) -> dict[str, Value]:
        """Return the parameters of filter.sql, with the project and the stretch of time."""
        return {
            "project_id": self.project_id,
            "event_types": self.event_types,
            "run_id": self.run_id,
            "user_id": self.user_id,
            "statuses": self.statuses,
            "models": self.models,
            "tags": self.tags,
            "env": self.env,
            "release": self.release,
            "from_us": micros(self.date_from),
            "until_us": micros(min(self.date_to, _STORED_UNTIL)),
            "text": self.text,
            "json_text": json.dumps(self.text, ensure_ascii=False)[1:-1],
        }


# No event is later than 2261, and the engine's times end a little after that.
_STORED_UNTIL = datetime(2262, 1, 1, tzinfo=EPOCH.tzinfo)
