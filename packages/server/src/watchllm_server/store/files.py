"""The SQL files that come with the package: schema and queries."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = files("watchllm_server.store")


class Migration(NamedTuple):
    """One numbered step of the schema."""

    version: int
    name: str
    statements: list[str]


def migrations() -> list[Migration]:
    """Return the steps of the schema in order. Statements end with a semicolon and a newline."""
    found = []
    for path in (_PACKAGE / "schema").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", path.name):
            statements = [part.strip() for part in path.read_text().split(";\n")]
            found.append(Migration(int(match[1]), match[2], [part for part in statements if part]))
    return sorted(found)


def query_text(name: str, fragments: Mapping[str, str] | None = None) -> str:
    """Return the text of a query, with the fragments that code fills in for each `$name`."""
    return _template(name).substitute(fragments or {})


@cache
def _template(name: str) -> Template:
    return Template((_PACKAGE / "queries" / f"{name}.sql").read_text())
