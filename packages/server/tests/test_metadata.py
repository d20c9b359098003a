"""Projects and keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from watchllm_server.clock import SystemClock
from watchllm_server.errors import MetadataError, StartError
from watchllm_server.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a database may be."""
    return tmp_path / "metadata.db"


@pytest.fixture
def fresh(path: Path) -> Iterator[Metadata]:
    """Return an empty database."""
    opened = Metadata(path, SystemClock())
    yield opened
    opened.close()


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


def test_a_key_opens_its_project_and_is_not_in_the_file(fresh: Metadata, path: Path) -> None:
    """A key opens the project it was made for; the files of the database hold no trace of it."""
    project = fresh.create_project("shop")

    key, secret = fresh.create_key(project.id)
    fresh.close()

    assert secret.startswith("wllm_")
    assert len(secret) == 37
    assert fresh.project_of(secret) == "shop"
    assert fresh.project_of(secret[:-1]) is None
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


def test_what_is_written_is_there_when_it_is_opened_again(fresh: Metadata, path: Path) -> None:
    """Projects and keys outlive the process, and a second process sees them at once."""
    project = fresh.create_project("shop")
    _, secret = fresh.create_key(project.id)

    second = Metadata(path, SystemClock())

    assert second.project_of(secret) == "shop"
    assert second.projects()[0].created_at == project.created_at
    second.close()


def test_many_may_open_a_new_database_at_once(path: Path) -> None:
    """Processes that start together make the tables once."""

    def make(number: int) -> None:
        opened = Metadata(path, SystemClock())
        opened.create_project(f"p{number}")
        opened.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))

    last = Metadata(path, SystemClock())
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
