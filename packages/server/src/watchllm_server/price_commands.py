"""The commands `watchllm prices`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, open_metadata, say, show, table
from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from rich.table import Table

    from watchllm_server.metadata import Metadata, ModelPrice
    from watchllm_server.price_lists import ListedPrice

prices = typer.Typer(no_args_is_help=True, help=COMMANDS["prices"])

_Model = Annotated[str, typer.Argument(help="The model's name, as calls have it.")]
_Provider = Annotated[str, typer.Option(help="Name of its provider. Default: any.")]
_Project = Annotated[
    str | None, typer.Option(help="Name or id of the project. Default: every project.")
]
_UNIT = "US dollars a million"
_COLUMNS = ("provider", "model", "input", "output", "cached input", "from")


@prices.command("list", help="List the prices that were set, or those of a provider's models.")
def list_prices(provider: _Provider = "", data_dir: DataDir = None) -> None:
    """List own prices; with a provider also what the price lists say of its models."""
    with open_metadata(data_dir) as metadata:
        own = metadata.model_prices.all()
    rows = table(*_COLUMNS)
    for price in own:
        if provider in ("", price.provider):
            _add_own(rows, price)
    if provider:
        _add_listed(rows, "", provider)
    show(
        rows,
        f"The price lists have no provider {provider!r}: see `watchllm prices search WORDS`."
        if provider
        else "No price was set. Those of the lists: watchllm prices list --provider openai",
    )


@prices.command("search", help="Search the price lists by words.")
def search(
    words: Annotated[list[str], typer.Argument(help="Words of the model's and provider's names.")],
) -> None:
    """List the models whose names have all the words."""
    rows = table(*_COLUMNS)
    _add_listed(rows, " ".join(words), "")
    show(rows, f"The price lists have no model named like {' '.join(words)!r}.")


@prices.command("set", help="Set a price that wins over the price lists.")
def set_price(
    model: _Model,
    *,
    input_price: Annotated[str, typer.Option("--input", help=f"{_UNIT} input tokens.")],
    output_price: Annotated[str, typer.Option("--output", help=f"{_UNIT} output tokens.")],
    cached_price: Annotated[
        str | None,
        typer.Option(
            "--cached-input",
            help=f"{_UNIT} input tokens read from the provider's cache. Default: as others.",
        ),
    ] = None,
    provider: _Provider = "",
    project: _Project = None,
    data_dir: DataDir = None,
) -> None:
    """Set a price for calls that are recorded from now on; running servers have it in a second."""
    from watchllm_server.own_prices import own_price  # noqa: PLC0415 - loads SQLAlchemy

    with open_metadata(data_dir) as metadata:
        owner = _owner(metadata, project)
        stored = metadata.model_prices.put(
            own_price(
                project_id=owner,
                provider=provider,
                model=model,
                input_price=input_price,
                output_price=output_price,
                cached_price=cached_price,
            )
        )
    whose = f"project {owner}" if owner else "every project"
    say(f"Calls of {whose} to {stored.model} cost ${stored.input} / ${stored.output} a million.")
    say("That counts for calls recorded from now on; servers have it in a second.")


@prices.command("remove", help="Remove a price that was set, so that the lists count again.")
def remove_price(
    model: _Model, provider: _Provider = "", project: _Project = None, data_dir: DataDir = None
) -> None:
    """Remove a price."""
    with open_metadata(data_dir) as metadata:
        owner = _owner(metadata, project)
        if not metadata.model_prices.remove(owner, provider.lower(), model.lower()):
            raise MetadataError(f"No such price of {model!r} was set. See `watchllm prices list`.")
    say(f"Removed the price of {model}.")


@prices.command("where", help="Say which price a call would have now, and where it comes from.")
def where_price(
    model: _Model, provider: _Provider = "", project: _Project = None, data_dir: DataDir = None
) -> None:
    """Look where the server looks: the project's prices, those of all projects, the lists."""
    from watchllm_server import own_prices, price_lists  # noqa: PLC0415 - takes seconds to load

    with open_metadata(data_dir) as metadata:
        owner = _owner(metadata, project)
        own = own_prices.own_prices_of(metadata)
    place = own_prices.find(own, owner, model, own_prices.provider_metadata(provider))
    if place is not None:
        found = own[place]
        say(f"{model}: ${found.input} input, ${found.output} output, a million tokens.")
        set_for = f"project {place[0]}" if place[0] else "every project"
        at = f" at {place[1]}" if place[1] else ""
        say(f"It was set for {set_for}{at} with `watchllm prices set`.")
        return
    listed = price_lists.where(_now(), model, provider)
    if listed is None:
        say(f"{model}: the price is unknown, so that calls have no cost. Set one:")
        say(f"  watchllm prices set {model} --input DOLLARS --output DOLLARS")
        raise typer.Exit(1)
    say(
        f"{model}: {_amount(listed.input)} input, {_amount(listed.output)} output, a million "
        f"tokens{' and more for large requests' if listed.by_size else ''}."
    )
    since = f", in force since {listed.since}" if listed.since else ""
    say(f"It is that of {listed.provider}/{listed.model} in {price_lists.source()}{since}.")
    if listed.pages:
        say(f"The provider says so at {listed.pages[0]}.")


def _owner(metadata: Metadata, project: str | None) -> str:
    if project is None:
        return ""
    found = metadata.project(project)
    if found is None:
        raise MetadataError(f"There is no project {project!r}. See `watchllm projects list`.")
    return found.id


def _add_own(rows: Table, price: ModelPrice) -> None:
    whose = f"project {price.project_id}" if price.project_id else "every project"
    cached = price.input if price.cached_input is None else price.cached_input
    rows.add_row(
        price.provider or "any",
        price.model,
        f"${price.input}",
        f"${price.output}",
        f"${cached}",
        f"set for {whose}",
    )


def _add_listed(rows: Table, words: str, provider: str) -> None:
    from watchllm_server import price_lists  # noqa: PLC0415 - takes seconds to load

    found: Iterable[ListedPrice] = price_lists.listed(_now(), words, provider)
    for price in found:
        more = "+" if price.by_size else ""
        rows.add_row(
            price.provider,
            price.model,
            _amount(price.input, more),
            _amount(price.output, more),
            "" if price.cached_input is None else _amount(price.cached_input, more),
            f"{price_lists.source()}{f', {price.since}' if price.since else ''}",
        )


def _amount(price: Decimal | None, more: str = "") -> str:
    return "unknown" if price is None else f"${price.normalize():f}{more}"


def _now() -> datetime:
    from watchllm_server.clock import SystemClock  # noqa: PLC0415 - likewise

    return SystemClock().now()
