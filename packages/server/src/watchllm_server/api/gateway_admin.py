"""The admin API of the gateway: projects' keys for providers, their prices and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import Route

from watchllm_server.api.bodies import json_answer, read_body, run
from watchllm_server.errors import Problem, StartError
from watchllm_server.limits import new_limit, shown_amount
from watchllm_server.metadata.limits import Counted
from watchllm_server.own_prices import own_price
from watchllm_server.provider_settings import check_name
from watchllm_server.query.events import format_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from watchllm_server.access import Access
    from watchllm_server.credentials import ProjectKeys, StoredKey
    from watchllm_server.metadata import Limit, Metadata, ModelPrice
    from watchllm_server.own_prices import OwnPrices


class NewProviderKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /v1/admin/projects/{project_id}/providers/{provider}."""

    api_key: str

    def __repr__(self) -> str:
        return "NewProviderKey(...)"


class NewPrice(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /v1/admin/projects/{project_id}/prices: US dollars a million tokens.

    Without a provider it counts for the model at any. Numbers are given as text or as numbers.
    """

    model: str
    input: str | float
    output: str | float
    cached_input: str | float | None = None
    provider: str = ""


class NewLimit(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /v1/admin/projects/{project_id}/limits.

    `subject` is the id of a key or of a user, or `*` for each apart; a project's limit has none.
    """

    unit: str
    per: str
    amount: str | int | float
    scope: str = "project"
    subject: str = ""
    action: str = "refuse"


class GatewayAdmin:
    """Answer administrators of a project: by the password, or a key of the scope admin."""

    def __init__(
        self,
        access: Access,
        metadata: Metadata,
        prices: OwnPrices,
        provider_keys: ProjectKeys | None,
    ) -> None:
        self._access = access
        self._metadata = metadata
        self._prices = prices
        self._keys = provider_keys

    def routes(self) -> list[Route]:
        """Return the routes, for the application; those of keys only where they can be kept."""
        one = "/v1/admin/projects/{project_id}"
        routes = [
            Route(f"{one}/prices", self.prices, methods=["GET"]),
            Route(f"{one}/prices", self.put_price, methods=["PUT"]),
            Route(f"{one}/prices", self.remove_price, methods=["DELETE"]),
            Route(f"{one}/limits", self.limits, methods=["GET"]),
            Route(f"{one}/limits", self.put_limit, methods=["PUT"]),
            Route(f"{one}/limits", self.remove_limit, methods=["DELETE"]),
        ]
        if self._keys is not None:
            routes += [
                Route(f"{one}/providers", self.providers, methods=["GET"]),
                Route(f"{one}/providers/{{provider}}", self.put_key, methods=["PUT"]),
                Route(f"{one}/providers/{{provider}}", self.remove_key, methods=["DELETE"]),
            ]
        return routes

    async def providers(self, request: Request) -> Response:
        """Answer for which providers a project has a key, never a key."""
        project_id = await self._project_id(request)
        found = await run(self._known_keys.stored, project_id)
        return json_answer({"providers": [_key(key) for key in found]})

    async def put_key(self, request: Request) -> Response:
        """Store a project's key for a provider; requests use it from now on."""
        project_id = await self._project_id(request)
        provider = _provider(request)
        wanted = await read_body(request, NewProviderKey)
        return json_answer(
            _key(await run(self._known_keys.put, project_id, provider, wanted.api_key))
        )

    async def remove_key(self, request: Request) -> Response:
        """Remove a project's key for a provider."""
        project_id = await self._project_id(request)
        if not await run(self._known_keys.remove, project_id, _provider(request)):
            raise Problem(404, "not_found", "The project has no key for this provider.")
        return json_answer({"removed": True})

    async def prices(self, request: Request) -> Response:
        """Answer the prices that a project has of its own."""
        found = await run(self._metadata.model_prices.all, await self._project_id(request))
        return json_answer({"prices": [_price(price) for price in found]})

    async def put_price(self, request: Request) -> Response:
        """Set a project's price of a model; calls that are recorded from now on have it."""
        project_id = await self._project_id(request)
        wanted = await read_body(request, NewPrice)

        def put() -> ModelPrice:
            price = own_price(
                project_id=project_id,
                provider=wanted.provider,
                model=wanted.model,
                input_price=str(wanted.input),
                output_price=str(wanted.output),
                cached_price=None if wanted.cached_input is None else str(wanted.cached_input),
            )
            stored = self._metadata.model_prices.put(price)
            self._prices.refresh()
            return stored

        return json_answer(_price(await run(put)))

    async def remove_price(self, request: Request) -> Response:
        """Remove a project's price of a model, named by the parameters `model` and `provider`."""
        project_id = await self._project_id(request)
        model = request.query_params.get("model", "").lower()
        provider = request.query_params.get("provider", "").lower()
        if not await run(self._metadata.model_prices.remove, project_id, provider, model):
            raise Problem(404, "not_found", "The project has no price of this model.")
        await run(self._prices.refresh)
        return json_answer({"removed": True})

    async def limits(self, request: Request) -> Response:
        """Answer the limits of a project."""
        found = await run(self._metadata.limits.all, await self._project_id(request))
        return json_answer({"limits": [_limit(limit) for limit in found]})

    async def put_limit(self, request: Request) -> Response:
        """Set a limit, in place of the one of the same kind; it counts within a second."""
        project_id = await self._project_id(request)
        wanted = await read_body(request, NewLimit)

        def put() -> Limit:
            return self._metadata.limits.put(
                new_limit(
                    project_id,
                    scope=wanted.scope,
                    subject=wanted.subject,
                    unit=wanted.unit,
                    per=wanted.per,
                    amount=str(wanted.amount),
                    action=wanted.action,
                )
            )

        return json_answer(_limit(await run(put)))

    async def remove_limit(self, request: Request) -> Response:
        """Remove a limit, named by the parameters that it was set with, but for its amount."""
        project_id = await self._project_id(request)
        named = request.query_params
        counted = Counted(
            project_id,
            named.get("scope", "project"),
            named.get("subject", ""),
            named.get("unit", ""),
            named.get("per", ""),
        )
        if not await run(self._metadata.limits.remove, counted, named.get("action", "refuse")):
            raise Problem(404, "not_found", "The project has no such limit.")
        return json_answer({"removed": True})

    @property
    def _known_keys(self) -> ProjectKeys:
        assert self._keys is not None  # noqa: S101 - their routes are there only with them
        return self._keys

    async def _project_id(self, request: Request) -> str:
        """Return the project of the address. Every route comes by here."""
        project_id: str = request.path_params["project_id"]
        self._access.administrator(request).check(project_id)
        found = await run(self._metadata.project, project_id)
        if found is None or found.id != project_id:
            raise Problem(404, "not_found", "There is no project of this id.")
        return project_id


def _provider(request: Request) -> str:
    name: str = request.path_params["provider"]
    try:
        check_name(name, "The address")
    except StartError as error:
        raise Problem(400, "invalid_request", str(error)) from None
    return name


def _key(key: StoredKey) -> dict[str, Any]:
    return {
        "provider": key.provider,
        "ending": key.ending,
        "set_at": format_time(key.set_at),
        "is_readable": key.is_readable,
    }


def _price(price: ModelPrice) -> dict[str, Any]:
    return {
        "provider": price.provider,
        "model": price.model,
        "input": price.input,
        "output": price.output,
        "cached_input": price.cached_input,
        "set_at": format_time(price.set_at),
    }


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "scope": limit.scope,
        "subject": limit.subject,
        "unit": limit.unit,
        "per": limit.per,
        "amount": shown_amount(limit.amount, limit.unit),
        "action": limit.action,
    }
