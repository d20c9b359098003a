"""Projects and keys."""

from __future__ import annotations

import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import postgres
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from watchllm_server.clock import SystemClock
from watchllm_server.errors import MetadataError, MetadataUnavailableError, StartError
from watchllm_server.metadata import Metadata
from watchllm_server.metadata.keys import hash_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


ENGINES = ["sqlite", *(["postgres"] if postgres.programs() else [])]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Start a PostgreSQL once for all tests that ask for it."""
    with postgres.running() as url:
        yield url


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return an empty database on each engine that this machine has."""
    if request.param == "sqlite":
        return tmp_path / "metadata.db"
    url: str = request.getfixturevalue("server_url")
    name = f"db_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a SQLite file may be."""
    return tmp_path / "metadata.db"


@pytest.fixture
def fresh(place: Path | str) -> Iterator[Metadata]:
    """Return an empty database."""
    opened = Metadata(place, SystemClock())
    yield opened
    opened.close()


def _opens(metadata: Metadata, secret: str) -> str | None:
    """Return the project that a key opens."""
    grant = metadata.grant_of(secret)
    return grant.project_id if grant else None


def test_a_project_has_an_id_made_from_its_name(fresh: Metadata) -> None:
    """The id is the name in lower case and hyphens, and a number where that is taken."""
    names = ["Support bot", "support-bot", "日本"]

    assert [fresh.create_project(name).id for name in names] == [
        "support-bot", "support-bot-2", "project",
    ]  # fmt: skip
    assert [project.name for project in fresh.projects()] == names


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_an_unfit_name_is_refused(fresh: Metadata, name: str) -> None:
    """A name that is empty, very long or not printable is refused in a sentence."""
    with pytest.raises(MetadataError, match=r"1 to 200 printable"):
        fresh.create_project(name)


@pytest.mark.parametrize("project_id", ["a/b", "", "-a", "x" * 65, "ü"])
def test_an_unfit_id_is_refused(fresh: Metadata, project_id: str) -> None:
    """An id that would not stand in an address as it is, is refused."""
    with pytest.raises(MetadataError, match="project id"):
        fresh.create_project("name", project_id=project_id)


def test_a_name_is_taken_once(fresh: Metadata) -> None:
    """A second project of the same name is refused in a sentence."""
    fresh.create_project("shop")

    with pytest.raises(MetadataError, match="There is a project 'shop' already"):
        fresh.create_project("shop")


def test_a_key_opens_its_project_and_is_not_in_the_file(path: Path) -> None:
    """A key opens the project it was made for; the files of the database hold no trace of it."""
    fresh = Metadata(path, SystemClock())
    project = fresh.create_project("shop")

    key, secret = fresh.create_key(project.id)
    fresh.close()

    assert secret.startswith("wllm_")
    assert len(secret) == 37
    assert _opens(fresh, secret) == "shop"
    assert fresh.grant_of(secret[:-1]) is None
    fresh.close()
    assert secret.startswith(key.prefix)
    assert len(key.prefix) <= 9
    assert all(secret.encode() not in file.read_bytes() for file in path.parent.iterdir())


def test_a_given_key_may_be_given_again(fresh: Metadata) -> None:
    """The same key for the same project is no error; for another project, or short, it is."""
    fresh.create_project("one")
    fresh.create_project("two")
    fresh.create_key("one", secret="a secret of twenty")
    fresh.create_key("one", secret="a secret of twenty")

    assert len(fresh.all_keys()) == 1
    with pytest.raises(MetadataError, match="another project"):
        fresh.create_key("two", secret="a secret of twenty")
    with pytest.raises(MetadataError, match="at least 16"):
        fresh.create_key("one", secret="short")


def test_what_is_written_is_there_when_it_is_opened_again(
    fresh: Metadata, place: Path | str
) -> None:
    """Projects and keys outlive the process, and a second process sees them at once."""
    project = fresh.create_project("shop")
    _, secret = fresh.create_key(project.id)

    second = Metadata(place, SystemClock())

    assert _opens(second, secret) == "shop"
    assert second.projects()[0].created_at == project.created_at
    second.close()


def test_many_may_open_a_new_database_at_once(place: Path | str) -> None:
    """Processes that start together make the tables once."""

    def make(number: int) -> None:
        opened = Metadata(place, SystemClock())
        opened.create_project(f"p{number}")
        opened.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))

    last = Metadata(place, SystemClock())
    assert len(last.projects()) == 8
    last.close()


def test_a_file_that_is_no_database_is_one_sentence(path: Path) -> None:
    """A broken file stops the start with a sentence that names it."""
    path.write_bytes(b"no database at all, but some text that is long enough" * 100)

    with pytest.raises(StartError, match=r"metadata\.db cannot be used"):
        Metadata(path, SystemClock())


def test_losses_add_up_within_bounds(fresh: Metadata) -> None:
    """Losses are counted by reason, and endless new reasons count as one."""
    fresh.create_project("shop")

    for number in range(60):
        fresh.add_losses("shop", {f"r{number}": 1, "r0": 2**61})

    losses = fresh.losses("shop")
    assert len(losses) == 51
    assert losses["other"] == 10
    assert losses["r0"] == 2**62


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time that it was set to."""
        return self.time

    def monotonic(self) -> float:
        """Return the same in seconds."""
        return self.time.timestamp()


def test_a_revoked_key_opens_nothing_in_any_process(fresh: Metadata, place: Path | str) -> None:
    """What is revoked through one connection is refused by another at once, and for good."""
    project = fresh.create_project("shop")
    key, secret = fresh.create_key(project.id)
    second = Metadata(place, SystemClock())
    assert _opens(second, secret) == "shop"

    revoked = fresh.revoke_key(key.id)

    assert revoked is not None
    assert _opens(second, secret) is None
    with pytest.raises(MetadataError, match="revoked"):
        second.create_key(project.id, secret=secret)
    second.close()


@pytest.mark.parametrize("key_id", [-1, 0, 2**31, 10**30])
def test_a_number_that_no_key_can_have_is_that_of_none(fresh: Metadata, key_id: int) -> None:
    """Numbers beyond those of the database's are answered like others that are not there."""
    assert fresh.revoke_key(key_id) is None


def test_a_key_is_revoked_within_its_project_only(fresh: Metadata) -> None:
    """A key of another project is not found; the project's own is."""
    one, two = fresh.create_project("one"), fresh.create_project("two")
    key, secret = fresh.create_key(one.id)

    assert fresh.revoke_key(key.id, project_id=two.id) is None
    assert fresh.revoke_key(key.id + 1_000) is None
    assert _opens(fresh, secret) == "one"
    assert fresh.revoke_key(key.id, project_id=one.id) is not None


def test_a_key_has_the_scopes_it_was_made_with(fresh: Metadata) -> None:
    """Scopes and limit come back as given; admin is never given unasked, nothing unknown is."""
    project = fresh.create_project("shop")
    _, plain = fresh.create_key(project.id)
    _, narrow = fresh.create_key(project.id, scopes=["admin", "read"], rate_limit=60)

    grants = [fresh.grant_of(secret) for secret in (plain, narrow)]

    assert [grant.scopes for grant in grants if grant] == [
        {"ingest", "read", "gateway"}, {"admin", "read"},
    ]  # fmt: skip
    assert [grant.rate_limit for grant in grants if grant] == [None, 60]
    wrongs: list[dict[str, Any]] = [
        {"scopes": ["root"]},
        {"scopes": []},
        {"rate_limit": -1},
        {"name": "x" * 201},
    ]
    for wrong in wrongs:
        with pytest.raises(MetadataError):
            fresh.create_key(project.id, **wrong)
    with pytest.raises(MetadataError, match="no project 'none'"):
        fresh.create_key("none")


def test_the_last_use_of_a_key_is_kept(fresh: Metadata) -> None:
    """Uses that are noted show in the list of keys; a key that was not used has none."""
    project = fresh.create_project("shop")
    used, _ = fresh.create_key(project.id)
    fresh.create_key(project.id)
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)

    fresh.note_uses({used.id: moment, 10_000: moment})
    fresh.note_uses({})

    assert [key.last_used_at for key, _ in fresh.all_keys(project.id)] == [moment, None]


def test_a_project_keeps_its_events_as_long_as_it_is_told(fresh: Metadata) -> None:
    """The retention is the server's unless it is given, and may be changed within bounds."""
    project = fresh.create_project("shop")
    assert project.retention_days is None

    assert fresh.change_project("shop", retention_days=30).retention_days == 30
    assert fresh.create_project("b", retention_days=0).retention_days == 0
    for days, name in [(-1, "shop"), (36_501, "shop"), (7, "none")]:
        with pytest.raises(MetadataError):
            fresh.change_project(name, retention_days=days)

    assert [found.retention_days for found in fresh.projects()] == [30, 0]


def test_a_deleted_project_takes_its_keys_along(fresh: Metadata) -> None:
    """Keys and losses of a deleted project are gone; another project keeps its own."""
    one, two = fresh.create_project("one"), fresh.create_project("two")
    secrets = [fresh.create_key(project.id)[1] for project in (one, two)]
    fresh.add_losses(one.id, {"spool_full": 3})

    fresh.delete_project(one.id)

    assert [_opens(fresh, secret) for secret in secrets] == [None, "two"]
    assert [project.id for project in fresh.projects()] == ["two"]
    assert fresh.losses("one") == {}


def test_a_session_lasts_a_day_under_its_password(place: Path | str) -> None:
    """A token counts until it ends, is forged, a day passes, or the password is another."""
    clock = Clock()
    metadata = Metadata(place, clock)
    token, other = metadata.sessions.open("secret"), metadata.sessions.open("secret")

    assert metadata.sessions.is_open(token, "secret")
    assert not metadata.sessions.is_open(token, "changed")
    assert not metadata.sessions.is_open(token + "x", "secret")
    metadata.sessions.end(token, "secret")
    assert not metadata.sessions.is_open(token, "secret")
    clock.time += timedelta(hours=24)
    assert not metadata.sessions.is_open(other, "secret")
    metadata.close()


def test_an_erasure_is_noted_without_whose_it_was(fresh: Metadata) -> None:
    """A note tells project, count and a hash; the id itself is nowhere in it."""
    for project, events in (("shop", 7), ("other", 1)):
        fresh.erasures.end(fresh.erasures.begin(project, "user", "jane@example.com"), events)

    (note,) = fresh.erasures.of_project("shop")

    assert (note.reason, note.events) == ("user", 7)
    assert "jane" not in note.subject_hash


def test_a_database_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    """Keys made before scopes existed keep working, with every scope but admin."""
    with sqlite3.connect(path) as old:
        make_first_version(path)
        old.execute("INSERT INTO projects VALUES ('shop', 'shop', '2026-01-01 00:00:00')")
        old.execute(
            "INSERT INTO api_keys (project_id, name, prefix, hash, created_at) "
            "VALUES ('shop', '', 'wllm_', ?, '2026-01-01 00:00:00')",
            (hash_secret("an old key of mine"),),
        )
    old.close()

    metadata = Metadata(path, SystemClock())

    grant = metadata.grant_of("an old key of mine")
    assert grant is not None
    assert grant.scopes == {"ingest", "read", "gateway"}
    metadata.close()


def make_first_version(path: Path) -> None:
    """Make the tables as the first version made them."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(files("watchllm_server.metadata") / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://root@localhost/db", "nonsense"])
def test_a_url_of_no_such_database_is_one_sentence(url: str) -> None:
    """A URL that is none, or of another engine, stops the start with the form that is right."""
    with pytest.raises(StartError, match=r"postgresql://user:password@host:port/database"):
        Metadata(url, SystemClock())


def test_a_server_that_is_away_is_one_sentence_without_the_password() -> None:
    """A PostgreSQL that does not answer stops the start; no password is in the sentence."""
    with pytest.raises(StartError, match="cannot be used") as stopped:
        Metadata("postgresql://me:hidden-word@127.0.0.1:1/db", SystemClock())

    assert "hidden-word" not in str(stopped.value)


if postgres.programs():

    def test_a_server_that_goes_away_is_told_apart_from_an_unknown_key() -> None:
        """A PostgreSQL that ends while it is used raises an error; no key is unknown then."""
        with postgres.running() as url:
            metadata = Metadata(url, SystemClock())
            _, secret = metadata.create_key(metadata.create_project("shop").id)
            assert _opens(metadata, secret) == "shop"

        with pytest.raises(MetadataUnavailableError):
            metadata.grant_of(secret)
        metadata.close()
