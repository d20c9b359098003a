"""What the address of a page says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.errors import Problem
from watchllm_server.pages.filters import NAMES, State, read_state

NOW = datetime(2026, 11, 24, 9, 40, 12, tzinfo=UTC)
PATH = "/projects/p/overview"


def read(**given: str) -> State:
    """Return what an address says; `from_` is `from`."""
    return read_state(PATH, {name.rstrip("_"): value for name, value in given.items()}, NOW)


def utc(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("range_", "start", "end"),
    [
        ("1h", "2026-11-24T08:45", "2026-11-24T09:45"),
        ("24h", "2026-11-23T10:00", "2026-11-24T10:00"),
        ("7d", "2026-11-17T12:00", "2026-11-24T12:00"),
        ("30d", "2026-10-26T00:00", "2026-11-25T00:00"),
    ],
)
def test_a_range_ends_with_the_step_of_now(range_: str, start: str, end: str) -> None:
    """A range is as long as it says, and ends where the step of its chart ends."""
    where = read(range=range_).filter("p")

    assert (where.date_from, where.date_to) == (utc(start), utc(end))


def test_the_period_before_is_as_long_as_this_one_so_far() -> None:
    """What a figure is held against ends as many hours into its period as now is into this one."""
    before = read(range="30d").before("p")

    assert before.date_from == utc("2026-09-26T00:00")
    assert before.date_to == utc("2026-10-25T10:00")


def test_a_period_that_is_over_is_held_against_all_of_the_one_before() -> None:
    """A stretch of one's own in the past has the same length before it."""
    before = read(from_="2026-11-10", to="2026-11-12").before("p")

    assert (before.date_from, before.date_to) == (utc("2026-11-08"), utc("2026-11-10"))


@pytest.mark.parametrize(
    "text", ["2026-11-24", "2026-11-24T00:00", "2026-11-24T00:00:00", "2026-11-24T01:00:00+01:00"]
)
def test_a_time_is_read_as_a_person_or_a_form_gives_it(text: str) -> None:
    """A day, what a field for times sends, and RFC 3339 mean the same moment."""
    assert read(from_=text).filter("p").date_from == utc("2026-11-24")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"range": "1y"}, "`range` must be one of 1h, 24h, 7d, 30d, all"),
        ({"from_": "yesterday"}, "`from` must be RFC 3339"),
        ({"from_": "2026-02-30"}, "`from` names a day"),
        ({"to": "2026-11-24"}, "An end needs a beginning"),
        ({"from_": "2026-11-24", "to": "2026-11-23"}, "must be before"),
        ({"from_": "1971-01-01"}, "1000 days"),
        ({"text": "!?"}, "no word"),
        ({"user": "x" * 20_001}, "`user` may have 20000 characters"),
    ],
)
def test_what_cannot_be_read_is_named(given: dict[str, str], words: str) -> None:
    """A range or time that is none is answered 400 with what would be right."""
    with pytest.raises(Problem) as caught:
        read(**given)

    assert caught.value.status == 400
    assert words in caught.value.message


def test_everything_that_narrows_reaches_the_store() -> None:
    """Each name of the address becomes the condition of the same meaning."""
    where = read(
        env="e", model="m", user="u", tag="t", release="r", status="error", type="error",
        text="a-b", mode="substring",
    ).filter("p")  # fmt: skip

    assert (where.project_id, where.env, where.user_id, where.release) == ("p", "e", "u", "r")
    assert (where.models, where.tags) == (("m",), ("t",))
    assert (where.statuses, where.event_types) == (("error",), ("error",))
    assert (where.text, where.text_mode) == ("a-b", "substring")


def test_all_is_for_lists_alone() -> None:
    """A list that is asked for it shows all time; a page with charts shows 30 days instead."""
    everything = read_state(PATH, {"range": "all"}, NOW, all_times=True)
    asked = read(range="all")

    assert everything.filter("p").date_from == datetime(1970, 1, 1, tzinfo=UTC)
    assert asked.range == "30d"
    assert asked.filter("p").date_to - asked.filter("p").date_from == timedelta(days=30)


@given(st.dictionaries(st.sampled_from([name for name in NAMES if name != "range"]), st.text()))
def test_an_address_says_the_same_again(given: dict[str, str]) -> None:
    """The address that a state writes is read as the same state, whatever its values are."""
    try:
        state = read_state(PATH, given, NOW)
    except Problem:
        return

    written = urlsplit(state.url(cursor=state["cursor"] or None))
    again = {name: values[0] for name, values in parse_qs(written.query).items()}

    assert written.path == PATH
    assert {
        name: value.encode("utf-8", "replace").decode() for name, value in state.given.items()
    } == again


def test_a_change_begins_the_list_anew() -> None:
    """A link that narrows drops the cursor, and one with a range drops the stretch of one's own."""
    state = read(from_="2026-11-20", to="2026-11-21", env="e", cursor="c")

    assert state.url(model="m").endswith("?from=2026-11-20&to=2026-11-21&env=e&model=m")
    assert state.url(range="7d") == f"{PATH}?env=e&range=7d"
    assert state.without("env") == f"{PATH}?from=2026-11-20&to=2026-11-21"
    assert state.cleared() == f"{PATH}?from=2026-11-20&to=2026-11-21"
    assert state.shared() == "?from=2026-11-20&to=2026-11-21&env=e"
