"""Prices that people have set win over the lists."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call, utc
from watchllm_server.clock import SystemClock
from watchllm_server.errors import MetadataError
from watchllm_server.metadata import Metadata
from watchllm_server.own_prices import OwnPrices, own_price
from watchllm_server.price_lists import listed, source, where
from watchllm_server.rows import Call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Account
    from watchllm_server.pricing import Prices

_NOW = utc("2026-11-24")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Metadata]:
    """Open a database of one project."""
    opened = Metadata(tmp_path / "metadata.db", SystemClock())
    opened.create_project("p")
    yield opened
    opened.close()


def call(model: str = "gpt-4o", **metadata: Any) -> Call:
    """Return a call of a million tokens each way."""
    return Call(
        model=model,
        at=_NOW,
        tokens_input=1_000_000,
        tokens_output=1_000_000,
        response_metadata=json.dumps(metadata).encode() if metadata else None,
        cost_estimate_usd=None,
    )


def put(own: Metadata, model: str, price: str, *, project: str = "", provider: str = "") -> None:
    """Set a price, of input alone."""
    own.model_prices.put(
        own_price(
            project_id=project, provider=provider, model=model, input_price=price, output_price="0"
        )
    )


def test_the_nearest_price_wins(own: Metadata, prices: Prices) -> None:
    """The project's wins over the server's, a provider's over any's, and all over the list."""
    ours = OwnPrices(own, prices)
    found = []
    for project, provider, price in [
        ("", "", "1"),
        ("", "azure", "2"),
        ("p", "", "3"),
        ("p", "azure", "4"),
    ]:
        put(own, "GPT-4o", price, project=project, provider=provider)
        ours.refresh()
        found.append(ours.cost(call(provider="azure"), "p"))

    assert found == [1, 2, 3, 4]
    assert ours.cost(call(provider="openai"), "p") == 3
    assert ours.cost(call(provider="azure"), "other") == 2
    assert ours.cost(call("gpt-4.1"), "p") == prices.cost(call("gpt-4.1"))


def test_a_model_that_no_list_knows_gets_a_price(own: Metadata, prices: Prices) -> None:
    """A price of 0 for a model of one's own is a cost of 0, where it was unknown before."""
    ours = OwnPrices(own, prices)
    mine = call("my-llama", provider="vllm")
    assert ours.cost(mine, "p") is None

    put(own, "my-llama", "0", provider="vllm")
    ours.refresh()

    assert ours.cost(mine, "p") == 0
    assert ours.cost(call("vllm/my-llama"), "p") == 0


def test_cached_input_has_a_price_of_its_own(own: Metadata, prices: Prices) -> None:
    """Tokens read from the provider's cache cost what was set for them, else what others cost."""
    ours = OwnPrices(own, prices)
    usage = {"prompt_tokens_details": {"cached_tokens": 400_000}}
    for cached, expected in (("0.5", "3.4"), (None, "4")):
        own.model_prices.put(
            own_price(
                project_id="p",
                provider="",
                model="gpt-4o",
                input_price="2",
                output_price="2",
                cached_price=cached,
            )
        )
        ours.refresh()
        assert ours.cost(call(usage=usage), "p") == Decimal(expected)


def test_unknown_tokens_have_no_cost(own: Metadata, prices: Prices) -> None:
    """A call whose tokens are not known is not priced at 0."""
    put(own, "gpt-4o", "1")
    ours = OwnPrices(own, prices)
    ours.refresh()
    unknown = Call("gpt-4o", _NOW, None, 5, None, None)

    assert ours.cost(unknown, "p") is None


def test_a_given_cost_wins_over_every_price(own: Metadata, prices: Prices) -> None:
    """What the sender says that the call cost is what it cost."""
    put(own, "gpt-4o", "1")
    ours = OwnPrices(own, prices)
    ours.refresh()
    given = Call("gpt-4o", _NOW, 5, 5, None, b"0.125")

    assert ours.cost(given, "p") == Decimal("0.125")


def test_a_removed_price_gives_way_to_the_list(own: Metadata, prices: Prices) -> None:
    """After its removal, or that of its project, a price counts no more."""
    ours = OwnPrices(own, prices)
    put(own, "gpt-4o", "1")
    put(own, "gpt-4o", "2", project="p")
    own.delete_project("p")
    assert own.model_prices.remove("", "", "gpt-4o")
    assert not own.model_prices.remove("", "", "gpt-4o")
    ours.refresh()

    assert ours.cost(call(), "p") == prices.cost(call())


@pytest.mark.parametrize("bad", ["", "x", "-1", "NaN", "Infinity", "1e7", "0.0000000000001"])
def test_what_is_no_price_is_refused(bad: str) -> None:
    """A price is a number of dollars a million tokens, and no other text."""
    with pytest.raises(MetadataError, match="US dollars a million tokens"):
        own_price(project_id="", provider="", model="m", input_price=bad, output_price="1")


@pytest.mark.parametrize(("provider", "model"), [("", ""), ("", "m" * 300), ("p" * 50, "m")])
def test_names_have_bounds(provider: str, model: str) -> None:
    """A price needs the name of a model, and of no more than so many characters."""
    with pytest.raises(MetadataError, match="printable characters"):
        own_price(project_id="", provider=provider, model=model, input_price="1", output_price="1")


def test_the_lists_say_prices_and_from_when() -> None:
    """The price of a model is found with the day from which it counts and where it is said."""
    o3 = where(_NOW, "o3")
    before = where(utc("2025-02-01"), "o3")
    sized = where(_NOW, "claude-sonnet-4-5")

    assert o3 is not None
    assert (o3.provider, o3.input, o3.output) == ("openai", Decimal(2), Decimal(8))
    assert o3.since is not None
    assert o3.since.isoformat() == "2025-06-10"
    assert o3.pages[0].startswith("https://")
    assert before is not None
    assert (before.input, before.since) == (Decimal(10), None)
    assert sized is not None
    assert (sized.input, sized.by_size) == (Decimal(3), True)
    assert where(_NOW, "no-such-model") is None
    assert source().startswith("genai-prices ")


def test_the_lists_are_searched_by_words() -> None:
    """Every word must be in the name of the provider or the model."""
    found = list(listed(_NOW, "GPT 4o mini"))
    groq = list(listed(_NOW, provider="groq"))

    assert "gpt-4o-mini" in {price.model for price in found}
    assert all("4o" in price.model for price in found)
    assert {price.provider for price in groq} == {"groq"}
    assert list(listed(_NOW, "no-such-model")) == []


def test_events_are_stored_with_the_project_s_price(account: Account, metadata: Metadata) -> None:
    """A price that the admin API sets is that of the next event, for this project alone."""
    place = f"/v1/admin/projects/{account.project}/prices"
    answer = account.client.put(place, json={"model": "My-Model", "input": 1.5, "output": "3"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["model"], answer.json()["input"]) == ("my-model", "1.5")

    account.send(prompt_call(model="my-model", tokens_input=1_000_000, tokens_output=1_000_000))

    (event,) = account.query()["events"]
    assert event["cost_usd"] == 4.5
    listed_prices = account.client.get(place).json()["prices"]
    assert [price["model"] for price in listed_prices] == ["my-model"]
    gone = account.client.delete(place, params={"model": "my-model"})
    again = account.client.delete(place, params={"model": "my-model"})
    assert (gone.status_code, again.status_code) == (200, 404)


def test_a_wrong_price_is_answered_with_a_sentence(account: Account) -> None:
    """The admin API says what a price must be."""
    place = f"/v1/admin/projects/{account.project}/prices"

    answer = account.client.put(place, json={"model": "m", "input": "free", "output": 1})

    assert answer.status_code == 400
    assert "US dollars a million tokens" in answer.json()["error"]["message"]
