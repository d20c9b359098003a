"""What the gateway does not know: passed on as it came, to the provider that the request means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from watchllm_server.errors import Problem
from watchllm_server.gateway import headers
from watchllm_server.gateway.exchange import without_key
from watchllm_server.gateway.providers.ask import Question, Trail

if TYPE_CHECKING:
    from watchllm_server.gateway.caller import Caller
    from watchllm_server.gateway.headers import Pairs, RawPairs, Wishes
    from watchllm_server.gateway.providers.ask import Asker
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.providers.registry import Registry

_OK: Final = 200
_REFUSED: Final = 400
_ERROR_BYTES: Final = 1_000_000
_ANTHROPIC: Final = "anthropic"
_MODELS: Final = "/models"
_MODELS_BYTES: Final = 10_000_000
# What Anthropic's list of models wants of every client, and OpenAI's clients do not send.
_VERSION: Final = ("anthropic-version", "2023-06-01")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Forward:
    """Pass requests on and answers back, unread. Used on one event loop."""

    def __init__(self, registry: Registry, asker: Asker) -> None:
        self._registry = registry
        self._asker = asker

    async def run(
        self, project: str, wishes: Wishes, passed: Pairs, body: bytes, caller: Caller
    ) -> None:
        """Answer a request of any method; raise the Problem that answers it otherwise."""
        scope = caller.scope
        path = _path_of(scope["raw_path"])
        named = wishes.provider or (_ANTHROPIC if wishes.anthropic else "")
        if scope["method"] == "GET" and path == _MODELS and not (named or wishes.provider_key):
            usable = self._registry.usable(project)
            if len(usable) > 1:
                await self._list_models(project, usable, passed, caller)
                return
        target = self._registry.default(project, provider=named, key=wishes.provider_key)
        if query := scope["query_string"]:
            path += f"?{query.decode('latin-1')}"
        passed += [
            (name.decode(), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name == b"accept-encoding"
        ]
        question = Question(scope["method"], path, passed, lambda _: body or None)
        _, reply = await self._asker.ask([target], question, Trail())
        try:
            told = headers.returned(reply.headers)
            told.append((b"x-watchllm-provider", target.provider.name.encode()))
            if reply.status >= _REFUSED:
                body, _ = await reply.read(_ERROR_BYTES)
                await caller.whole(reply.status, told, without_key(body, target))
                return
            if length := reply.header("content-length"):
                told.append((b"content-length", length.encode()))
            await caller.begin(reply.status, told)
            caller.watch(reply.close)
            if scope["method"] != "HEAD":
                while chunk := await reply.chunk():
                    await caller.piece(chunk)
            await caller.end()
        finally:
            caller.unwatch()
            reply.close()

    async def _list_models(
        self, project: str, usable: list[Target], passed: Pairs, caller: Caller
    ) -> None:
        """Answer with the models of all providers, by the names that lead to them here."""
        default = self._registry.default(project).provider.name
        lists = await asyncio.gather(*(self._models_of(target, passed) for target in usable))
        if all(listed is None for listed in lists):
            message = "None of the providers has answered with its list of models."
            raise Problem(502, "provider_reset", message)
        models = [
            model if target.provider.name == default else _prefixed(model, target)
            for target, listed in zip(usable, lists, strict=True)
            for model in listed or []
        ]
        told: RawPairs = [(b"content-type", b"application/json")]
        await caller.whole(_OK, told, msgspec.json.encode({"object": "list", "data": models}))

    async def _models_of(self, target: Target, passed: Pairs) -> list[dict[str, Any]] | None:
        """Return a provider's models, or None when it did not answer with a list."""
        own = [*passed, ("accept-encoding", "identity"), _VERSION]
        try:
            question = Question("GET", _MODELS, own, lambda _: None)
            _, reply = await self._asker.ask([target], question, Trail())
        except Problem:
            return None
        try:
            body, _ = await reply.read(_MODELS_BYTES)
            data = _decode(body).get("data") if reply.status == _OK else None
        except (Problem, msgspec.DecodeError):
            return None
        finally:
            reply.close()
        if not isinstance(data, list):
            return None
        return [model for model in data if isinstance(model, dict) and "id" in model]


def _prefixed(model: dict[str, Any], target: Target) -> dict[str, Any]:
    return {**model, "id": f"{target.provider.name}/{model['id']}"}


def _path_of(raw: bytes) -> str:
    """Return what comes after the version, as it was written.

    Raises the Problem that answers 400 to a path that could lead out of the provider's API.
    """
    path = raw.decode("latin-1")
    if any(segment in {".", ".."} for segment in unquote(path).replace("\\", "/").split("/")):
        raise Problem(400, "invalid_path", "A path through the gateway may not have dots in it.")
    return path.removeprefix("/v1")
