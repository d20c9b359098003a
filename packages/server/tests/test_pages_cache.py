"""The page of the gateway's cache."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from gateways import parts_of
from page_forms import submit
from reading import ATTACKS, Page, show_page
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.cache.entry import Entry
from watchllm_server.cache.judgements import Decision
from watchllm_server.cache.store import CacheStore
from watchllm_server.clock import SystemClock
from watchllm_server.secrets import Secret
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watchllm_server.gateway.service import GatewayParts
    from watchllm_server.metadata import Metadata
    from watchllm_server.store.base import EventStore

NOW = datetime.now(UTC)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[CacheStore]:
    """Open a cache."""
    secret = Secret(b"of the tests, long enough")
    with closing(
        CacheStore(tmp_path / "cache", secret, max_bytes=1_000_000, clock=SystemClock())
    ) as opened:
        yield opened


@pytest.fixture
def gateway(tmp_path: Path, metadata: Metadata, kept: CacheStore) -> GatewayParts:
    """Return the parts of a gateway whose cache is `kept`."""
    return parts_of(tmp_path, metadata, kept)


@pytest.fixture
def account(
    account: Account, store: EventStore, metadata: Metadata, gateway: GatewayParts
) -> Iterator[Account]:
    """Return the account on a server with that gateway."""
    app = create_app(load_settings({}), store=store, metadata=metadata, gateway=gateway)
    with TestClient(
        app,
        base_url="http://127.0.0.1:8787",
        client=("127.0.0.1", 50_000),
        follow_redirects=False,
    ) as client:
        yield Account(account.project, account.key, client)


def put(kept: CacheStore, project: str, model: str, namespace: str = "") -> None:
    """Keep an answer for an hour."""
    made = NOW.timestamp()
    entry = Entry(b"{}", "openai.chat", "openai", model, made, made + 3_600, 0.5, f"e-{model}")
    kept.put(f"{project} {model}".encode(), project, namespace, entry)


def cached(outcome: str, told: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a call of now that came by the cache."""
    metadata = {"cache": outcome, **told}
    return prompt_call(timestamp=NOW.isoformat(), response_metadata=metadata, **fields)


def test_the_cache_is_summed_up(account: Account) -> None:
    """The page says how many calls it answered, and what that saved, by words and by meaning."""
    account.send(
        cached("HIT", {"saved_usd": 0.5}), cached("HIT-SEMANTIC", {"saved_usd": 0.25}),
        cached("MISS", {}), cached("MISS", {}),
    )  # fmt: skip

    page = show_page(account, f"/projects/{account.project}/cache")

    for text in ("50 %", "1 word for word, 1 by meaning", "$0.5000", "$0.2500"):
        assert text in page.text


def test_a_would_be_hit_stands_beside_the_earlier_call(account: Account) -> None:
    """Both questions and answers are shown, with how sure the match was."""
    told = {"event_id": "early", "confidence": 0.93, "similarity": 0.97, "serves": True}
    account.send(
        cached("MISS", {}, event_id="early", prompt="Where is Rome?", response="In Italy."),
        cached("MISS", {"would_hit": told}, prompt="Rome lies where?", response="Italy."),
    )

    page = show_page(account, f"/projects/{account.project}/cache?which=would")
    other = show_page(account, f"/projects/{account.project}/cache?which=served")

    for text in ("Where is Rome?", "In Italy.", "Rome lies where?", "would have been given out"):
        assert text in page.text
    assert "confidence 93 %" in page.text
    assert "None in this time." in other.text


def test_kept_answers_are_listed(account: Account, kept: CacheStore) -> None:
    """The page lists the answers of the project that are kept, and none of another's."""
    put(kept, account.project, "ours", "ns")
    put(kept, "another project", "theirs")

    page = show_page(account, f"/projects/{account.project}/cache")

    assert "1 answer in" in page.text
    assert "ours" in page.text
    assert "theirs" not in page.text


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"model": "a"}, 2), ({"namespace": "ns"}, 2), ({"event_id": "e-c"}, 2),
        ({"all": "yes"}, 0),
        ({"model": "a", "namespace": "ns"}, 3), ({"before": "2020-01-01T00:00"}, 3),
        ({"before": "2100-01-01T00:00"}, 0),
    ],
)  # fmt: skip
def test_answers_are_forgotten_by_the_form(
    account: Account, kept: CacheStore, fields: dict[str, str], left: int
) -> None:
    """The form forgets the answers for which all that it says is true, and counts them."""
    for model, namespace in (("a", ""), ("b", "ns"), ("c", "")):
        put(kept, account.project, model, namespace)

    answer = submit(
        account.client,
        f"/projects/{account.project}/cache",
        **{"do": "invalidate", "model": "", **fields},
    )

    assert f"Forgotten: {3 - left} answer" in answer.text
    assert kept.stats(account.project).entries == left


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Nothing was forgotten"), ({"all": "yes", "model": "a"}, "Nothing was forgotten"),
        ({"before": "soon"}, "must be RFC 3339"),
    ],
)  # fmt: skip
def test_a_form_that_says_too_little_forgets_nothing(
    account: Account, kept: CacheStore, fields: dict[str, str], text: str
) -> None:
    """Unless the form says which answers are meant, all of them stay."""
    put(kept, account.project, "a")

    answer = submit(account.client, f"/projects/{account.project}/cache", do="invalidate", **fields)

    assert answer.status_code == 400
    assert text in answer.text
    assert kept.stats(account.project).entries == 1


def given_out(
    account: Account, gateway: GatewayParts, event_id: str, *, served: bool = True
) -> None:
    """Take down that the answer of `e-a` was, or would have been, given out for another wording."""
    groups = (f"scope:{account.project}:0", f"project:{account.project}")
    decision = Decision(
        b"key", "e-a", groups, "serve", 0.01, served, 0.98, 0.99, 0.97, groups[1], (), 0.9, None,
        0.5, NOW.timestamp(),
    )  # fmt: skip
    portal = account.client.portal
    assert portal is not None
    portal.call(gateway.semantic.decide, account.project, event_id, decision)
    near = {"event_id": "e-a", "confidence": 0.98, "serves": True}
    told = {"saved_usd": 0.5, "hit": near} if served else {"would_hit": near}
    account.send(cached("HIT-SEMANTIC" if served else "MISS", told, event_id=event_id))


@pytest.mark.parametrize(("answer", "left"), [("right", 1), ("wrong", 0)])
def test_a_hit_can_be_called_right_or_wrong(
    account: Account, kept: CacheStore, gateway: GatewayParts, answer: str, left: int
) -> None:
    """A click says whether a hit was right; a wrong answer is forgotten, and both are counted."""
    put(kept, account.project, "a")
    given_out(account, gateway, "asked")
    before = show_page(account, f"/projects/{account.project}/cache")

    path = f"/projects/{account.project}/cache"
    said = submit(account.client, path, do="feedback", event_id="asked", answer=answer)

    assert "The answer that was given out is" in before.text
    assert "Nothing was compared yet" in before.text
    assert f"Noted: {answer}." in said.text
    assert ("The answer was forgotten." in said.text) == (answer == "wrong")
    assert kept.stats(account.project).entries == left
    after = show_page(account, f"/projects/{account.project}/cache")
    right, wrong = (int(answer == each) for each in ("right", "wrong"))
    assert f"People have called {right} answers right and {wrong} wrong." in after.text
    assert "Confidence from" in after.text


def test_what_answers_a_form_leads_on(account: Account, kept: CacheStore) -> None:
    """The page after a form is the cache's own: its links to other times lead back to it."""
    put(kept, account.project, "a")
    path = f"/projects/{account.project}/cache"

    answer = submit(account.client, f"{path}?env=prod", do="invalidate", all="yes")

    ranges = [link for link in Page(answer.text).links() if "range=7d" in link]
    assert ranges == [f"{path}?env=prod&range=7d"]
    assert account.client.get(ranges[0]).status_code == 200


def test_a_would_be_hit_can_be_called_wrong(
    account: Account, kept: CacheStore, gateway: GatewayParts
) -> None:
    """A word for what was not given out is counted, and its answer stays for its own question."""
    put(kept, account.project, "a")
    given_out(account, gateway, "asked", served=False)
    before = show_page(account, f"/projects/{account.project}/cache?which=would")

    path = f"/projects/{account.project}/cache?which=would"
    said = submit(account.client, path, do="feedback", event_id="asked", answer="wrong")

    assert "To answer as before would be" in before.text
    assert "Noted: wrong." in said.text
    assert "forgotten" not in said.text.partition("Noted: wrong.")[2][:80]
    assert "0 answers right and 1 wrong" in said.text
    assert kept.stats(account.project).entries == 1


@pytest.mark.parametrize(
    ("event_id", "answer", "status"), [("other", "right", 404), ("asked", "perhaps", 400)]
)
def test_only_a_match_can_be_judged(
    account: Account, gateway: GatewayParts, event_id: str, answer: str, status: int
) -> None:
    """What is no match, and what is neither right nor wrong, is told and not counted."""
    given_out(account, gateway, "asked")

    path = f"/projects/{account.project}/cache"
    refused = submit(account.client, path, do="feedback", event_id=event_id, answer=answer)

    assert refused.status_code == status
    page = show_page(account, f"/projects/{account.project}/cache")
    assert "People have called 0 answers right and 0 wrong." in page.text


def test_a_hit_of_another_project_cannot_be_judged(
    new_account: Callable[[], Account], account: Account, gateway: GatewayParts
) -> None:
    """A project's page takes no word for what was given out in another."""
    given_out(account, gateway, "asked")
    other = new_account()

    path = f"/projects/{other.project}/cache"
    refused = submit(account.client, path, do="feedback", event_id="asked", answer="wrong")

    assert refused.status_code == 404


def test_an_empty_page_says_how_to_use_the_gateway(account: Account) -> None:
    """Without calls the page has the lines that point an app at the gateway."""
    page = show_page(account, f"/projects/{account.project}/cache")
    narrowed = show_page(account, f"/projects/{account.project}/cache?model=none")

    assert "export OPENAI_BASE_URL=http://127.0.0.1:8787/v1" in page.text
    assert "Nothing matches" in narrowed.text


def test_an_unknown_list_is_told(account: Account) -> None:
    """A list of matches that is none is 400 in a sentence."""
    answer = account.client.get(f"/projects/{account.project}/cache?which=all")

    assert answer.status_code == 400
    assert "`which` must be one of served, would, unsure" in answer.text


def test_texts_on_the_page_are_inert(account: Account, kept: CacheStore) -> None:
    """Questions, answers, models and namespaces are shown as text, whatever is in them."""
    for number, text in enumerate(ATTACKS):
        told = {"would_hit": {"event_id": f"early-{number}", "serves": True}}
        account.send(
            cached("MISS", {}, event_id=f"early-{number}", prompt=text, response=text),
            cached("MISS", told, prompt=text, response=text),
        )
        put(kept, account.project, text, text)

    page = show_page(account, f"/projects/{account.project}/cache")

    assert all(text in page.text for text in ATTACKS)


def test_a_server_without_a_gateway_has_no_answers(account: Account, client: TestClient) -> None:
    """Without a gateway the page shows what is recorded, and its form is answered with 404."""
    without = Account(account.project, account.key, client)

    page = show_page(without, f"/projects/{account.project}/cache")
    answer = submit(client, f"/projects/{account.project}/cache", do="invalidate", all="yes")

    assert "Kept answers" not in page.text
    assert answer.status_code == 404
