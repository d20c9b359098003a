"""What the OpenAPI document says of the gateway: its cache, and its admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from watchllm_server.api.admin_openapi import (
    NO_TIME,
    PROJECT,
    TIME,
    WRONG_BODY,
    list_of,
    object_of,
)
from watchllm_server.api.described import Operation
from watchllm_server.api.params import Parameter
from watchllm_server.cache_settings import MODES
from watchllm_server.limits import Action, Per, Scope, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = {"type": "string"}
_NO_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = {"type": "number", "minimum": 0}
_ANY_NUMBER: Final = {"type": "number"}
_NO_NUMBER: Final = {"type": ["number", "null"]}
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}
_DOLLARS: Final = {
    "description": "US dollars a million tokens.",
    "anyOf": [{"type": "string"}, {"type": "number"}],
}
_NO_DOLLARS: Final = {**_DOLLARS, "anyOf": [*_DOLLARS["anyOf"], {"type": "null"}]}
_PROVIDER: Final = {"type": "string", "maxLength": 40}
_MODEL: Final = {"type": "string", "minLength": 1, "maxLength": 200}
_SUBJECT: Final = {
    "description": "A key's number or a user's id, * for each apart, empty for the project.",
    "type": "string",
    "maxLength": 200,
}
_LIMIT: Final = {
    "scope": {"enum": list(get_args(Scope))},
    "subject": _SUBJECT,
    "unit": {"enum": list(get_args(Unit))},
    "per": {"enum": list(get_args(Per))},
    "action": {"enum": list(get_args(Action))},
}
GATEWAY_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "NewProviderKey": object_of(
        "A project's key for a provider, which is encrypted and never answered.",
        {"api_key": {"type": "string", "minLength": 4, "maxLength": 4_096}},
    ),
    "NewPrice": object_of(
        "A price of a model that wins over the price lists; without a provider, at any.",
        {
            "model": _MODEL,
            "input": _DOLLARS,
            "output": _DOLLARS,
            "cached_input": _NO_DOLLARS,
            "provider": _PROVIDER,
        },
        ("model", "input", "output"),
    ),
    "NewLimit": object_of(
        "A limit of what calls may use, by default the whole project's, which refuses more.",
        {**_LIMIT, "amount": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
        ("unit", "per", "amount"),
    ),
    "ProviderKey": object_of(
        "That a project has a key for a provider.",
        {
            "provider": _TEXT,
            "ending": {"type": "string", "maxLength": 4},
            "set_at": TIME,
            "is_readable": {"type": "boolean"},
        },
    ),
    "ProviderKeysAnswer": list_of("ProviderKey", "providers"),
    "Price": object_of(
        "A price that was set, in US dollars a million tokens.",
        {
            "provider": _TEXT,
            "model": _TEXT,
            "input": _TEXT,
            "output": _TEXT,
            "cached_input": {"type": ["string", "null"]},
            "set_at": TIME,
        },
    ),
    "PricesAnswer": list_of("Price", "prices"),
    "Limit": object_of("A limit of what calls may use.", {**_LIMIT, "amount": _TEXT}),
    "LimitsAnswer": list_of("Limit", "limits"),
    "CacheStats": object_of(
        "What the gateway's cache has of the key's project, and what it saved so far.",
        {
            **dict.fromkeys(("entries", "bytes"), _COUNT),
            "oldest_at": NO_TIME,
            "newest_at": NO_TIME,
            "hits": _COUNT,
            "saved_usd": _NUMBER,
            "semantic": {"$ref": "#/components/schemas/SemanticStats"},
        },
    ),
    "SemanticStats": object_of(
        "What is known of hits by meaning: of `candidates` near enough to be measured, those that "
        "were served (`hits`), and those that would have been (`would_be_hits`).",
        {
            "status": {"enum": ["off", "loading", "on", "failed", "missing"]},
            "mode": {"enum": list(MODES)},
            "max_error_rate": _SHARE,
            **dict.fromkeys(("hits", "would_be_hits", "candidates"), _COUNT),
            **dict.fromkeys(("saved_usd", "missed_usd"), _NUMBER),
            **dict.fromkeys(("compared", "different", "untold"), _COUNT),
            **dict.fromkeys(("reported_right", "reported_wrong"), _COUNT),
            "groups": {"type": "array", "items": {"$ref": "#/components/schemas/SemanticGroup"}},
        },
    ),
    "SemanticGroup": object_of(
        "What is known of like requests: the confidence from which on they are served, null while "
        "none is, and the share of wrong hits with the bounds that hold in 95 of 100 cases.",
        {
            "name": _TEXT,
            "threshold": _NO_NUMBER,
            "error": object_of(
                "A measured share.",
                {"share": _SHARE, "low": _SHARE, "high": _SHARE, "comparisons": _NUMBER},
            ),
            "reported": {**_SHARE, "description": "The surest hit that was reported as wrong."},
            "restarts": {**_COUNT, "description": "How often all evidence was dropped."},
        },
    ),
    "SemanticDecision": object_of(
        "How the nearest stored answer to an event's question was judged. Questions are null once "
        "they are no longer kept.",
        {
            **dict.fromkeys(("event_id", "stored_event_id", "group"), _TEXT),
            "at": TIME,
            **dict.fromkeys(("asked", "stored"), _NO_TEXT),
            "mode": {"enum": list(MODES)},
            "max_error_rate": _SHARE,
            "served": {"type": "boolean"},
            **dict.fromkeys(("confidence", "similarity", "trees"), _ANY_NUMBER),
            **dict.fromkeys(("network", "threshold", "saved_usd"), _NO_NUMBER),
            "vetoes": {"type": "array", "items": {"type": "string"}},
            "outcome": {"enum": ["same", "different", "untold", None]},
            "feedback": {"enum": ["right", "wrong", None]},
            "groups": {"type": "array", "items": {"$ref": "#/components/schemas/SemanticGroup"}},
        },
    ),
    "CacheFeedback": object_of(
        "Whether the answer that a semantic hit gave, or would have given, was the right one.",
        {
            "event_id": {"type": "string", "minLength": 1, "maxLength": 200},
            "correct": {"type": "boolean"},
        },
    ),
    "Invalidation": object_of(
        "Which answers are forgotten: all, or those for which all else that is given is true.",
        {
            "all": {"type": ["boolean", "null"]},
            "model": _NO_TEXT,
            "namespace": _NO_TEXT,
            "before": {**NO_TIME, "description": "Those that were made earlier."},
            "after": {**NO_TIME, "description": "Those that were made then or later."},
            "event_id": {**_NO_TEXT, "description": "That of the call that made the answer."},
        },
        (),
    ),
    "InvalidatedAnswer": object_of(
        "How many answers were forgotten.", {"entries_invalidated": {"type": "integer"}}
    ),
    "RemovedAnswer": object_of("That it was removed.", {"removed": {"const": True}}),
}
GATEWAY_OPERATIONS: Final = (
    Operation(
        "get", "/v1/cache/stats", "getCacheStats",
        "Sum up what the gateway's cache has, and what it saved so far.",
        answer="CacheStats",
    ),
    Operation(
        "post", "/v1/cache/invalidate", "forgetAnswers",
        "Forget answers of the gateway's cache: once answered, none of them is served.",
        answer="InvalidatedAnswer", body="Invalidation", problems=(400, 413),
    ),
    Operation(
        "post", "/v1/cache/feedback", "judgeAnswer",
        "Say whether a hit or would-be hit was right: what was wrongly served is forgotten.",
        answer="InvalidatedAnswer", body="CacheFeedback", problems=(400, 404, 413),
    ),
    Operation(
        "get", f"{PROJECT}/cache/decisions/{{event_id}}", "explainAnswer",
        "Explain how the nearest stored answer to an event's question was judged.",
        answer="SemanticDecision", problems=(404,), admits="admin",
    ),
    Operation(
        "get", f"{PROJECT}/providers", "listProviderKeys",
        "List for which providers a project has a key; never a key.",
        answer="ProviderKeysAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "put", f"{PROJECT}/providers/{{provider}}", "putProviderKey",
        "Store a project's key for a provider; requests use it from now on.",
        answer="ProviderKey", body="NewProviderKey", problems=(*WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "delete", f"{PROJECT}/providers/{{provider}}", "removeProviderKey",
        "Remove a project's key for a provider.",
        answer="RemovedAnswer", problems=(400, 404), admits="admin",
    ),
    Operation(
        "get", f"{PROJECT}/prices", "listPrices", "List the prices that were set for a project.",
        answer="PricesAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "put", f"{PROJECT}/prices", "putPrice",
        "Set a project's price of a model, for the calls that are recorded from now on.",
        answer="Price", body="NewPrice", problems=(*WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "delete", f"{PROJECT}/prices", "removePrice",
        "Remove a project's price of a model, so that the lists count again.",
        answer="RemovedAnswer", problems=(400, 404), admits="admin",
        parameters={
            "model": Parameter("text", "The model."),
            "provider": Parameter("text", "The provider, if the price is one for it alone."),
        },
    ),
    Operation(
        "get", f"{PROJECT}/limits", "listLimits", "List the limits of a project.",
        answer="LimitsAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "put", f"{PROJECT}/limits", "putLimit",
        "Set a limit, in place of the one of the same kind; it counts within a second.",
        answer="Limit", body="NewLimit", problems=(*WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "delete", f"{PROJECT}/limits", "removeLimit",
        "Remove a limit, named as it was set but for its amount.",
        answer="RemovedAnswer", problems=(400, 404), admits="admin",
        parameters={
            "unit": Parameter("text", "What is limited.", get_args(Unit)),
            "per": Parameter("text", "In which time.", get_args(Per)),
            "scope": Parameter("text", "Whose use is counted.", get_args(Scope), "project"),
            "subject": Parameter("text", "The key's number or the user's id."),
            "action": Parameter("text", "What happens beyond it.", get_args(Action), "refuse"),
        },
    ),
)  # fmt: skip
