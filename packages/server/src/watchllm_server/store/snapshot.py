"""The files of an embedded store as they are at one moment, while it goes on."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

# The engine escapes what is not a letter, digit or underscore.
PREFIX = "snapshot_"
_TABLE = re.compile(r"[A-Za-z_.][\w.-]*", re.ASCII)
# What the engine keeps of a table beside its parts. Definitions change at a start only.
_DEFINITIONS = ("metadata/**/*", "data/**/*", "store/*/*/*.sql", "store/*/*/format_version.txt")


@runtime_checkable
class Snapshots(Protocol):
    """A store whose files can be copied as they are at one moment."""

    def snapshot(self) -> AbstractContextManager[Iterator[tuple[Path, str]]]:
        """Return the files of one moment: where each is, and where it belongs in the store."""
        ...


def freeze(
    ask: Callable[[str, Mapping[str, Any], Mapping[str, str]], list[Any]], name: str
) -> None:
    """Link the parts of every table into `shadow/NAME`; to be called while nothing is inserted.

    A link costs nothing, however large the part. Raises the engine's error.
    """
    for (table,) in ask("snapshot_tables", {}, {}):
        if not _TABLE.fullmatch(table):
            raise ValueError(table)
        ask("snapshot_freeze", {}, {"table": table, "name": name})


def frozen_files(directory: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Return every file and link of a store that was frozen, and where it belongs in the store."""
    for pattern in _DEFINITIONS:
        for path in sorted(directory.glob(pattern)):
            if path.is_symlink() or path.is_file():
                yield path, str(path.relative_to(directory))
    shadow = directory / "shadow" / name
    for path in sorted(shadow.rglob("*")):
        if path.is_file():
            yield path, str(path.relative_to(shadow))


def thaw(directory: Path, name: str) -> None:
    """Remove the links of a freeze."""
    shutil.rmtree(directory / "shadow" / name, ignore_errors=True)


def thaw_all(directory: Path) -> None:
    """Remove what a killed process left behind, which would keep erased events on the disk."""
    for path in directory.glob(f"shadow/{PREFIX}*"):
        thaw(directory, path.name)
