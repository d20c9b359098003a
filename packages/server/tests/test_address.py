"""Addresses of ClickHouse servers."""

from __future__ import annotations

import pytest
from watchllm_server.address import Address, parse_address
from watchllm_server.errors import StartError
from watchllm_server.settings import load_settings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "clickhouse://ann:s%40crt@db.internal:9000/llm_events",
            Address("db.internal", 9000, "ann", "s@crt", "llm_events", tls=False),
        ),
        ("clickhouse://db", Address("db", 8123, "default", "", "default", tls=False)),
        ("clickhouses://db/", Address("db", 8443, "default", "", "default", tls=True)),
        ("clickhouse://[::1]:1/d", Address("::1", 1, "default", "", "d", tls=False)),
    ],
)
def test_an_address_has_parts_and_defaults(text: str, address: Address) -> None:
    """User, password, port and database may be left out; what is escaped is read as meant."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "http://db", "db:8123", "clickhouse://", "clickhouse://db:port/", "clickhouse://db/a;b",
        "clickhouse://db/d?x=1", "clickhouse://db/ü", "clickhouse://[::1/d", "clickhouse://db/a/b",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """Anything else is refused, and the sentence shows what is allowed."""
    with pytest.raises(StartError, match="must be clickhouse://user:password@host:port/database"):
        load_settings({"WATCHLLM_STORE": text})


def test_no_password_is_shown() -> None:
    """Neither a wrong address nor the settings show the password."""
    with pytest.raises(StartError) as caught:
        load_settings({}, store="clickhose://ann:hunter2@db")
    good = load_settings({}, store="clickhouse://ann:hunter2@db")

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(good) + str(good.store)
