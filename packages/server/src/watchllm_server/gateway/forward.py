"""What the gateway does not know: passed on as it came, to the provider that the request means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from watchllm_server.errors import Problem
from watchllm_server.gateway import headers
from watchllm_server.gateway.exchange import fault, without_key
from watchllm_server.gateway.providers.ask import Question, Trail
from watchllm_server.gateway.providers.client import UpstreamError
from watchllm_server.gateway.record import Fault

if TYPE_CHECKING:
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.caller import Caller
    from watchllm_server.gateway.flow import Recorder
    from watchllm_server.gateway.headers import Pairs, RawPairs, Wishes
    from watchllm_server.gateway.providers.ask import Asker
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.providers.registry import Registry
    from watchllm_server.gateway.record import Call

_OK: Final = 200
_REFUSED: Final = 400
_TIMEOUT: Final = 504
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NAME: Final = 200
_ERROR_BYTES: Final = 1_000_000
_ANTHROPIC: Final = "anthropic"
_MODELS: Final = "/models"
_MODELS_BYTES: Final = 10_000_000
# What Anthropic's list of models wants of every client, and OpenAI's clients do not send.
_VERSION: Final = ("anthropic-version", "2023-06-01")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Forward:
    """Pass requests on and answers back, unread. Used on one event loop.

    What may cost or change something is recorded as a step; what only reads is not.
    """

    def __init__(self, registry: Registry, asker: Asker, ledger: Recorder, clock: Clock) -> None:
        self._registry = registry
        self._asker = asker
        self._ledger = ledger
        self._clock = clock

    async def run(
        self, call: Call, wishes: Wishes, passed: Pairs, body: bytes, caller: Caller
    ) -> None:
        """Answer a request of any method; raise the Problem that answers it otherwise."""
        scope, project = caller.scope, call.project
        path = _path_of(scope["raw_path"])
        named = wishes.provider or (_ANTHROPIC if wishes.anthropic else "")
        if scope["method"] == "GET" and path == _MODELS and not (named or wishes.provider_key):
            usable = self._registry.usable(project)
            if len(usable) > 1:
                await self._list_models(project, usable, passed, caller)
                return
        target = self._registry.default(project, provider=named, key=wishes.provider_key)
        call.provider = target.provider.name
        call.keys = (target.key,) if target.key else ()
        call.passed_on = f"{scope['method']} {path}"[:_NAME]
        if query := scope["query_string"]:
            path += f"?{query.decode('latin-1')}"
        passed += [
            (name.decode(), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name == b"accept-encoding"
        ]
        question = Question(scope["method"], path, passed, lambda _: body or None)
        if question.method in _READS:
            await self._pass_on(call, target, question, caller)
        else:
            await self._recorded(call, target, question, caller)

    async def _recorded(
        self, call: Call, target: Target, question: Question, caller: Caller
    ) -> None:
        try:
            await self._pass_on(call, target, question, caller)
        except Problem as problem:
            call.status = "timeout" if problem.status == _TIMEOUT else "error"
            call.http_status = problem.status
            call.error = Fault(problem.message, "gateway_error", problem.code)
            raise
        except UpstreamError as error:
            call.status = "error"
            call.error = Fault(str(error), "gateway_error", error.code)
            raise
        finally:
            call.disconnected = caller.gone
            call.ended = self._clock.monotonic()
            self._ledger.record(call)

    async def _pass_on(
        self, call: Call, target: Target, question: Question, caller: Caller
    ) -> None:
        trail = Trail()
        try:
            _, reply = await self._asker.ask([target], question, trail)
        finally:
            call.attempts = trail.attempts
        try:
            call.http_status = reply.status
            call.request_id = reply.header("x-request-id") or reply.header("request-id")
            told = headers.returned(reply.headers)
            told.append((b"x-watchllm-provider", target.provider.name.encode()))
            if reply.status >= _REFUSED:
                try:
                    body, _ = await reply.read(_ERROR_BYTES)
                except UpstreamError as error:
                    raise error.problem from None
                call.status, call.error = "error", fault(reply.status, body)
                await caller.whole(reply.status, told, without_key(body, target))
                return
            if length := reply.header("content-length"):
                told.append((b"content-length", length.encode()))
            await caller.begin(reply.status, told)
            caller.watch(reply.close)
            if question.method != "HEAD":
                while chunk := await reply.chunk():
                    await caller.piece(chunk)
            await caller.end()
        except UpstreamError:
            # Nobody listens any more: it was we who let go of the provider.
            if not caller.gone:
                raise
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
        except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
