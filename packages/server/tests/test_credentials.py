"""The keys that projects have for providers: encrypted at rest, and shown nowhere."""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import TYPE_CHECKING

import pytest
from watchllm_server.clock import SystemClock
from watchllm_server.credentials import ProjectKeys
from watchllm_server.errors import MetadataError
from watchllm_server.metadata import Metadata
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = "sk-planted-0123456789-abcdefgh"
_SECRET = Secret(b"s" * 32)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Metadata]:
    """Open a database of two projects."""
    opened = Metadata(tmp_path / "metadata.db", SystemClock())
    for name in ("a", "b"):
        opened.create_project(name)
    yield opened
    opened.close()


def test_a_key_is_given_out_for_its_project_and_provider_alone(own: Metadata) -> None:
    """A key of one project is no other's, and none for another provider."""
    keys = ProjectKeys(own, _SECRET)

    keys.put("a", "openai", f" {_KEY}\n")

    assert keys.key("a", "openai") == _KEY
    assert (keys.key("b", "openai"), keys.key("a", "groq")) == (None, None)


def test_a_running_server_sees_what_a_command_changed(own: Metadata) -> None:
    """After a refresh keys that were added, replaced and removed elsewhere count."""
    server, command = ProjectKeys(own, _SECRET), ProjectKeys(own, _SECRET)
    command.put("a", "openai", _KEY)
    assert server.key("a", "openai") is None
    server.refresh()
    assert server.key("a", "openai") == _KEY

    command.put("a", "openai", "another-key")
    server.refresh()
    assert server.key("a", "openai") == "another-key"

    assert command.remove("a", "openai")
    assert not command.remove("a", "openai")
    server.refresh()
    assert server.key("a", "openai") is None


def test_a_removed_project_leaves_no_key(own: Metadata) -> None:
    """Keys go with their project, and those of others stay."""
    keys = ProjectKeys(own, _SECRET)
    keys.put("a", "openai", _KEY)
    keys.put("b", "openai", "key-of-b")

    own.delete_project("a")
    keys.refresh()

    assert (keys.key("a", "openai"), keys.key("b", "openai")) == (None, "key-of-b")


def test_the_database_holds_no_key(own: Metadata, tmp_path: Path) -> None:
    """Neither the file nor what is beside it has the key, and the secret is in none of them."""
    keys = ProjectKeys(own, _SECRET)
    keys.put("a", "openai", _KEY)

    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"openai" in content
    assert _KEY.encode() not in content
    assert b"s" * 32 not in content


def test_another_secret_opens_nothing_and_says_so_once(
    own: Metadata, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that were stored under another secret count as not there, and are listed as such."""
    ProjectKeys(own, _SECRET).put("a", "openai", _KEY)
    others = ProjectKeys(own, Secret(b"t" * 32))

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            others.refresh()

    assert others.key("a", "openai") is None
    assert [key.is_readable for key in others.stored()] == [False]
    assert len(caplog.records) == 1
    assert "another secret key" in caplog.text
    assert _KEY not in caplog.text


def test_a_row_cannot_be_passed_off_as_another_s(own: Metadata, tmp_path: Path) -> None:
    """Whoever can write to the database cannot give one project's key to another project."""
    keys = ProjectKeys(own, _SECRET)
    keys.put("a", "openai", _KEY)
    with sqlite3.connect(tmp_path / "metadata.db") as database:
        database.execute(
            "INSERT INTO provider_keys SELECT 'b', provider, sealed, ending, set_at "
            "FROM provider_keys WHERE project_id = 'a'"
        )
    database.close()

    keys.refresh()

    assert keys.key("a", "openai") == _KEY
    assert keys.key("b", "openai") is None


def test_little_of_a_key_is_shown(own: Metadata) -> None:
    """A long key shows its last four characters, a short one nothing; no repr shows either."""
    keys = ProjectKeys(own, _SECRET)

    assert keys.put("a", "openai", _KEY).ending == "efgh"
    assert keys.put("a", "groq", "short-key").ending == ""
    assert _KEY not in f"{keys!r} {keys.stored()!r}"


@pytest.mark.parametrize(
    "bad", ["", "   ", "abc", "key\nwith-break", "schlüssel-lang", "k" * 5_000]
)
def test_what_no_header_carries_is_no_key(own: Metadata, bad: str) -> None:
    """A key that is too short, too long or not of printable ASCII is refused without a quote."""
    with pytest.raises(MetadataError, match="printable ASCII") as refused:
        ProjectKeys(own, _SECRET).put("a", "openai", bad)

    assert json.dumps(bad)[1:-1] not in str(refused.value) or not bad.strip()


def test_a_key_needs_a_project(own: Metadata) -> None:
    """No key is stored for a project that does not exist."""
    with pytest.raises(MetadataError, match="no project 'c'"):
        ProjectKeys(own, _SECRET).put("c", "openai", _KEY)
