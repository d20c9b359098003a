"""From a request to the key that its answer is kept under.

All of a request is in its key, but for the few parameters named here: what is new at a provider
tomorrow tells requests apart from the first day. Nothing is lower-cased, trimmed or rewritten.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Changes with the form of the key, so that an entry of another form is never found.
_FORM: Final = "1"

_DELIVERY: Final = {
    "stream": "the same answer, in pieces: one entry serves both",
    "stream_options": "what accompanies the pieces: usage, padding against eavesdroppers",
}
_LABELS: Final = {
    "user": "who asks, for the provider's abuse monitoring; the model does not see it",
    "safety_identifier": "what `user` is called now",
    "prompt_cache_key": "which of the provider's machines is asked, for its own cache",
    "prompt_cache_retention": "how long the provider's own cache keeps the prompt",
    "metadata": "labels that the provider stores beside the answer",
}
NOT_IN_KEY: Final[Mapping[str, Mapping[str, str]]] = {
    "openai.chat": _DELIVERY | _LABELS,
    "openai.completions": _DELIVERY | {"user": _LABELS["user"]},
    "openai.responses": _DELIVERY | _LABELS,
    "openai.embeddings": {"user": _LABELS["user"]},
    "anthropic.messages": {
        "stream": _DELIVERY["stream"],
        "metadata": "holds the id of the user alone, for abuse monitoring",
    },
}
"""The parameters of a request, at its top level, that cannot change the answer, and why not."""

# Tools that the client runs itself: the answer only asks for them. All others are run by the
# provider, so that the answer depends on the web, on files, or does something.
_CLIENT_TOOLS: Final = frozenset(
    {
        *("function", "custom", "local_shell", "apply_patch"),
        *("computer_use_preview", "computer-preview"),
        *("bash", "text_editor", "computer", "memory"),
    }
)


# Headers by which a client chooses a version, a feature or an account of the provider's. All others
# tell of the client, or trace the call.
_HEADERS: Final = frozenset(
    {
        *("anthropic-beta", "anthropic-version", "openai-beta"),
        *("openai-organization", "openai-project", "api-version"),
    }
)


def request_key(
    *,
    project: str,
    namespace: str,
    provider: str,
    shape: str,
    request: dict[str, Any],
    headers: Iterable[tuple[str, str]] = (),
    query: str = "",
) -> bytes:
    """Return the 32 bytes under which the answer to a request is kept.

    They are the SHA-256 of everything named, written in one way: the order of names in an object
    does not matter; 1, 1.0 and true, and an absent parameter and 0, are different. The request is
    decoded JSON; of the headers, with names in lower case, those count that can change an answer.
    Raises RecursionError for a request nested in a thousand levels.
    """
    left_out = NOT_IN_KEY.get(shape, {})
    asked = {name: value for name, value in request.items() if name not in left_out}
    told = sorted(pair for pair in headers if pair[0] in _HEADERS)
    named = [_FORM, project, namespace, provider, shape, query, told, asked]
    return hashlib.sha256(_canonical(named)).digest()


def is_repeatable(request: dict[str, Any]) -> bool:
    """Return whether the answer depends on the request alone, so that it may be served again.

    It does not where the provider remembers something by itself, runs tools, or answers later.
    """
    if request.get("background") or request.get("conversation") or request.get("container"):
        return False
    if request.get("web_search_options") is not None or request.get("mcp_servers"):
        return False
    template = request.get("prompt")
    if isinstance(template, dict) and not template.get("version"):
        return False
    tools = request.get("tools")
    return all(_is_client_tool(tool) for tool in tools) if isinstance(tools, list) else True


def _is_client_tool(tool: Any) -> bool:
    kind = tool.get("type", "custom") if isinstance(tool, dict) else ""
    # Anthropic dates its own, as in text_editor_20250728.
    name, _, date = kind.rpartition("_") if isinstance(kind, str) else ("", "", "")
    return kind in _CLIENT_TOOLS or (date.isdecimal() and name in _CLIENT_TOOLS)


def _canonical(value: Any) -> bytes:
    try:
        text = msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:
        text = b""
    if text and b"null" not in text:
        return text
    # Some JSON parsers let half a surrogate pair, NaN and infinity through. The one has no UTF-8,
    # the others are null in the fast form; here each is a text that no other value is written as.
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
