"""How a route is declared for the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from watchllm_server.api.params import Parameters

Admission = Literal["key", "admin", "anyone"]
"""Who is answered: a project's key, who administers, or everyone."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as the document describes it.

    `answer` names a schema; `media` gives the types of an answer that is no JSON.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: str = ""
    parameters: Parameters | None = None
    body: str = ""
    body_required: bool = True
    problems: tuple[int, ...] = ()
    media: tuple[str, ...] = ()
    admits: Admission = "key"
    status: int = 200
