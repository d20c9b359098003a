"""Where a ClickHouse server is found."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_SCHEMES = {"clickhouse": False, "clickhouses": True}
_PORTS = {False: 8123, True: 8443}


class Address(NamedTuple):
    """Where a ClickHouse server is and who asks."""

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the parts of clickhouse://user:password@host:port/database.

    Raises ValueError with what is allowed. The port's default is 8123, with clickhouses:// (TLS)
    8443; the user's and the database's is `default`.
    """
    allowed = "clickhouse://user:password@host:port/database, or clickhouses:// for TLS"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(allowed) from None
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(allowed)
    database = unquote(parts.path.strip("/")) or "default"
    if not database.replace("_", "").isalnum() or not database.isascii():
        raise ValueError(allowed)
    tls = _SCHEMES[parts.scheme]
    return Address(
        host=parts.hostname,
        port=port or _PORTS[tls],
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database,
        tls=tls,
    )
