"""What a question may be narrowed by. This is the one place where questions meet a project."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from watchllm_server.events import EPOCH, micros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.store.base import Value

TextMode = Literal["words", "substring"]

_END_OF_TIME = datetime.max.replace(tzinfo=EPOCH.tzinfo)
# No event is later than 2261, and the engine's times end a little after that.
_STORED_UNTIL = datetime(2262, 1, 1, tzinfo=EPOCH.tzinfo)
_WORD: Final = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]")
_CONDITIONS: Final[Mapping[str, str]] = {
    "event_types": "event_type IN {event_types:Array(String)}",
    "run_id": "run_id = {run_id:String}",
    "user_id": "user_id = {user_id:String}",
    "statuses": "status IN {statuses:Array(String)}",
    "models": "model IN {models:Array(String)}",
    "tags": "hasAny(tags, {tags:Array(String)})",
    "env": "env = {env:String}",
    "release": "release = {release:String}",
    "least_cost": "cost >= {least_cost:Decimal(38, 12)}",
    "least_ms": "latency_ms >= {least_ms:Float64}",
}
_WORDS: Final = "hasAllTokens(search_words, tokens(lowerUTF8({text:String}), 'splitByNonAlpha'))"
_SUBSTRING: Final = (
    "(positionCaseInsensitiveUTF8(prompt, {text:String}) > 0"
    " OR positionCaseInsensitiveUTF8(response, {text:String}) > 0"
    " OR positionCaseInsensitiveUTF8(attributes, {json_text:String}) > 0)"
)


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
    least_cost: Decimal = Decimal(0)
    """US dollars that an event cost at least; 0 admits unknown costs too."""
    least_ms: float = 0
    """Milliseconds that an event took at least; 0 admits unknown times too."""
    date_from: datetime = EPOCH
    date_to: datetime = _END_OF_TIME
    text: str = ""
    """Text that the prompt, the response or another field holds, in upper or lower case."""
    text_mode: TextMode = "words"
    """words: each whole word of the text, in any order, by the index; substring: reads all."""

    @property
    def until(self) -> datetime:
        """Return the end of the stretch of time, no later than any event can be."""
        return min(self.date_to, _STORED_UNTIL)

    def condition(self) -> str:
        """Return the condition on an event as SQL; the stretch of time is not part of it."""
        parts = [sql for name, sql in _CONDITIONS.items() if getattr(self, name)]
        if self.text:
            parts.append(_WORDS if self.text_mode == "words" else _SUBSTRING)
        return " AND ".join(parts) or "1"

    def parameters(self) -> dict[str, Value]:
        """Return the parameters of the condition, with the project and the stretch of time."""
        given: dict[str, Value] = {
            name: getattr(self, name) for name in _CONDITIONS if getattr(self, name)
        }
        if self.least_cost:
            given["least_cost"] = f"{self.least_cost:f}"
        if self.text:
            given["text"] = self.text
            if self.text_mode == "substring":
                given["json_text"] = json.dumps(self.text, ensure_ascii=False)[1:-1]
        return {
            "project_id": self.project_id,
            "from_us": micros(self.date_from),
            "until_us": micros(self.until),
            **given,
        }


def has_word(text: str) -> bool:
    """Tell whether a text has a word to look for: a letter, a digit or any sign beyond ASCII."""
    return _WORD.search(text) is not None
