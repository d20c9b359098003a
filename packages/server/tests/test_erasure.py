"""Erasure, retention and the room that they give back, on the real engine."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from conftest import Account, prompt_call
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.auth import Keyring
from watchllm_server.clock import SystemClock
from watchllm_server.errors import StoreError
from watchllm_server.keeping.erasure import Eraser
from watchllm_server.keeping.keeper import Keeper
from watchllm_server.keeping.retention import cutoff, expire
from watchllm_server.metadata import Project
from watchllm_server.store.deletion import erase, purge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from watchllm_server.metadata import Metadata
    from watchllm_server.store.base import Value
    from watchllm_server.store.embedded import EmbeddedStore

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seen(account: Account) -> set[str]:
    """Return the ids that every way of reading shows, each of which must show the same."""
    listed = set(account.ids(limit=1_000))
    runs = account.get("/v1/runs?limit=1000")[1]["runs"]
    in_runs: set[str] = set()
    for run in runs:
        events = account.get(f"/v1/runs/{run['run_id']}")[1]["events"]
        assert run["events"] == len(events)
        in_runs |= {event["event_id"] for event in events}
    assert in_runs == listed
    return listed


@pytest.mark.parametrize("subject", ["user_id", "run_id"])
@pytest.mark.parametrize("name", ["jane", 'Jane\'s \\ "d\\n" \n; DROP TABLE events --', "日本%_"])
def test_what_is_erased_is_gone_from_every_answer(
    new_account: Callable[[], Account], subject: str, name: str
) -> None:
    """Once an erasure is answered no list, run or total has it; all else is as it was."""
    account, other = new_account(), new_account()
    field = {subject: name}
    erased = [
        prompt_call(**({"run_id": "r1"} | field), timestamp=f"2026-{month}-05T00:00:00Z")
        for month in ("03", "11")
    ]
    kept = [prompt_call(run_id="r1", user_id="joe"), prompt_call(run_id="r2")]
    elsewhere = prompt_call(**({"run_id": "r1"} | field))
    account.send(*erased, *kept)
    other.send(elsewhere)

    status, answer = erase_over_http(account, **{subject: name})

    assert (status, answer["erased_events"]) == (200, 2)
    assert name not in str(answer)
    assert seen(account) == {event["event_id"] for event in kept}
    assert [account.get(f"/v1/events/{event['event_id']}")[0] for event in erased] == [404, 404]
    assert other.ids() == [elsewhere["event_id"]]


def erase_over_http(account: Account, **subject: str) -> tuple[int, dict[str, object]]:
    """Ask for an erasure as a person on the server's machine, and return status and answer."""
    answer = account.client.post(f"/v1/admin/projects/{account.project}/erasures", json=subject)
    return answer.status_code, answer.json()


def test_erasing_forgets_the_answers_that_the_gateway_keeps(
    account: Account, store: EmbeddedStore, metadata: Metadata
) -> None:
    """Answers do not say whom they were made for: those of the project go, and of no other."""
    forgotten: list[str] = []
    eraser = Eraser(store, metadata, lambda: None, forgotten.append)

    eraser.erase(account.project, "user", "jane")
    eraser.erase(account.project, "run", "r1")

    assert forgotten == [account.project] * 2


def test_an_erasure_is_noted_before_what_waits_is_settled_and_the_store_is_asked(
    account: Account, store: EmbeddedStore, metadata: Metadata
) -> None:
    """What is stored in between is erased, and what is stored later is held against the note."""
    noted: list[int] = []

    def settle() -> None:
        noted.append(len(metadata.erasures.of_project(account.project)))
        account.send(prompt_call(user_id="jane"))

    done = Eraser(store, metadata, lambda: None, settle=settle).erase(
        account.project, "user", "jane"
    )

    assert (noted, done.events, account.ids()) == ([1], 1, [])
    assert [each.events for each in metadata.erasures.of_project(account.project)] == [1]
    assert metadata.erasures.since(done.created_at)[-1].id == done.id
    after = done.created_at + timedelta(microseconds=1)
    assert done.id not in {each.id for each in metadata.erasures.since(after)}


@pytest.mark.parametrize("error", [StoreError("it is away"), OSError("the disk is full")])
def test_an_erasure_that_fails_is_not_noted(
    account: Account, store: EmbeddedStore, metadata: Metadata, error: Exception
) -> None:
    """Nobody is shown as done what was not: the note goes, and the error comes."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        Eraser(store, metadata, lambda: None, settle=fail).erase(account.project, "user", "jane")

    assert metadata.erasures.of_project(account.project) == []


def test_a_project_whose_events_cannot_be_erased_is_there_to_be_deleted_again(
    account: Account, store: EmbeddedStore, metadata: Metadata
) -> None:
    """Its keys are gone, but not the project: whoever made its id anew would find its events."""
    account.send(prompt_call())
    fails = [True]

    def settle() -> None:
        if fails:
            raise StoreError("The event store does not answer.")

    eraser = Eraser(store, metadata, lambda: None, settle=settle)
    with pytest.raises(StoreError):
        eraser.erase_project(account.project, lambda: None)
    half = metadata.project(account.project), metadata.all_keys(account.project)
    fails.clear()
    done = eraser.erase_project(account.project, lambda: None)

    assert half[0] is not None
    assert half[1] == []
    assert (done.events, metadata.project(account.project)) == (1, None)


def test_an_erased_event_that_is_sent_again_stays_away(account: Account) -> None:
    """A retry of what was stored and erased brings nothing back while the server remembers it."""
    event = prompt_call(user_id="jane")
    account.send(event)
    erase_over_http(account, user_id="jane")

    account.send(event)

    assert account.ids() == []


def test_erasures_are_listed_without_names(account: Account) -> None:
    """The list says when and how much, newest first; an erasure of nothing is an erasure."""
    account.send(prompt_call(user_id="jane"))
    erase_over_http(account, user_id="jane")
    erase_over_http(account, run_id="no-such-run")

    listed = account.client.get(f"/v1/admin/projects/{account.project}/erasures").json()

    assert [(done["reason"], done["erased_events"]) for done in listed["erasures"]] == [
        ("run", 0), ("user", 1),
    ]  # fmt: skip
    assert "jane" not in str(listed)


def on_disk(store: EmbeddedStore) -> int:
    """Return the bytes that the engine says its events take."""
    return int(store.query("store_size", {})[0][1])


def test_purging_gives_the_room_back(account: Account, store: EmbeddedStore) -> None:
    """After a purge the events of a user take no room; what lies beside them is unharmed."""
    noise = [secrets.token_hex(20_000) for _ in range(100)]
    purge(store, wait=True)
    before = on_disk(store)
    account.send(*(prompt_call(user_id="jane", prompt=text) for text in noise))
    account.send(prompt_call(user_id="joe"))
    full = on_disk(store)

    assert erase(store, account.project, "user", "jane") == 100
    masked = on_disk(store)
    purge(store, wait=True)

    assert full > before
    assert masked > full - (full - before) // 2
    assert on_disk(store) < before + (full - before) // 2
    assert len(account.ids()) == 1
    assert purge(store, wait=False)


def project(account: Account, days: int | None) -> Project:
    """Return an account's project with a retention."""
    return Project(id=account.project, name="", created_at=NOW, retention_days=days)


def test_what_is_too_old_goes_and_the_rest_stays(
    new_account: Callable[[], Account], store: EmbeddedStore
) -> None:
    """Each project keeps what its own days or the server's say; 0 keeps everything."""
    accounts = [new_account() for _ in range(3)]
    ages = [0, 6, 8, 89, 92, 400]
    for account in accounts:
        account.send(*(prompt_call(timestamp=stamp(NOW - timedelta(days=age))) for age in ages))

    days = [7, None, 0]
    projects = [project(*pair) for pair in zip(accounts, days, strict=True)]
    expire(store, projects, default_days=90, now=NOW)

    assert [len(seen(account)) for account in accounts] == [2, 4, 6]


def stamp(moment: datetime) -> str:
    """Return a time as events carry it."""
    return moment.isoformat().replace("+00:00", "Z")


def test_a_month_is_dropped_whole_when_it_is_too_old_for_all_in_it(
    new_account: Callable[[], Account], store: EmbeddedStore
) -> None:
    """A month of long ago goes in one step; not while another project keeps an event of it."""
    one, two = new_account(), new_account()
    for account in (one, two):
        account.send(prompt_call(timestamp="1999-05-05T00:00:00Z"))

    alone = expire(store, [project(one, 30)], default_days=90, now=NOW)
    left = seen(two)
    both = expire(store, [project(one, 30), project(two, 30)], default_days=90, now=NOW)

    assert alone.months == 0
    assert alone.events == 1
    assert len(left) == 1
    assert both.months == 1
    assert seen(two) == set()


@given(days=st.integers(1, 36_500), hour=st.integers(0, 23))
def test_the_moment_moves_at_midnight_and_never_keeps_less_than_was_asked(
    days: int, hour: int
) -> None:
    """An event is kept at least its days, and at most one more; the moment is the day's."""
    now = NOW.replace(hour=hour)
    found = cutoff(Project(id="p", name="", created_at=NOW, retention_days=days), 90, now)

    assert found is not None
    assert found == cutoff(Project(id="p", name="", created_at=NOW, retention_days=days), 90, NOW)
    assert now - found >= timedelta(days=days) or found.year == 1970
    assert now - found < timedelta(days=days + 1)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return a moment that moves with the seconds."""
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the seconds that it was moved by."""
        return self.seconds


class FlakyStore:
    """A store that fails until it is told not to, and counts what it is asked."""

    def __init__(self) -> None:
        self.failing = True
        self.asked: list[str] = []

    def insert_group(self, *_: object) -> None:
        """Take nothing."""

    def query(
        self, name: str, parameters: Mapping[str, Value], fragments: object = None
    ) -> list[list[object]]:
        """Fail, or find nothing."""
        del parameters, fragments
        self.asked.append(name)
        if self.failing:
            raise StoreError
        return [[0]] if name == "deletion_count" else []

    def run(self, *_: object) -> None:
        """Do nothing."""

    def ping(self) -> None:
        """Answer."""

    def close(self) -> None:
        """Let go of nothing."""


def test_the_keeper_does_again_what_failed_and_retention_each_hour(
    account: Account, metadata: Metadata
) -> None:
    """A failed round is repeated with the next one; a retention that was done waits an hour.

    For words without an index is looked each time.
    """
    assert account.project
    store, clock = FlakyStore(), Clock()
    keeper = Keeper(store, metadata, Keyring(metadata, clock), clock, retention_days=90)

    keeper.round()
    first = store.asked.copy()
    store.failing = False
    store.asked.clear()
    keeper.round()
    second = store.asked.copy()
    store.asked.clear()
    clock.seconds = 3_599.0
    keeper.round()
    idle = store.asked.copy()
    clock.seconds = 3_600.0
    keeper.round()

    assert first == ["deletion_months", "deletion_unpurged", "words_unindexed"]
    assert second[0] == "deletion_months"
    assert second[-2:] == ["deletion_unpurged", "words_unindexed"]
    assert idle == ["words_unindexed"]
    assert "deletion_months" in store.asked


def test_the_keeper_clears_the_disk_and_notes_the_use_of_keys(
    account: Account, metadata: Metadata, store: EmbeddedStore
) -> None:
    """A round leaves no erased event on the disk, and the last use of a key in the database."""
    keyring = Keyring(metadata, SystemClock())
    keeper = Keeper(store, metadata, keyring, Clock(), retention_days=0)
    account.send(prompt_call(user_id="jane"))
    erase(store, account.project, "user", "jane")
    keyring.admit(f"Bearer {account.key}", "read")

    keeper.round()
    purge(store, wait=True)

    assert store.query("deletion_unpurged", {}) == []
    ((key, _),) = metadata.all_keys(account.project)
    assert key.last_used_at is not None


def test_the_keeper_ends_when_it_is_closed(metadata: Metadata) -> None:
    """Closing wakes the thread and ends it, whether or not it was started."""
    store = FlakyStore()
    keepers = [
        Keeper(store, metadata, Keyring(metadata, SystemClock()), SystemClock(), retention_days=0)
        for _ in range(2)
    ]
    keepers[0].start()
    keepers[0].purge_soon()

    for keeper in keepers:
        keeper.close()

    assert "deletion_unpurged" in store.asked
