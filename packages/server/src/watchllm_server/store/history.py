"""Which steps of the schema a store has taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchllm_server.store.files import Migration

HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations
    (version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
    ENGINE = MergeTree ORDER BY version
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
TAKEN = "SELECT DISTINCT version FROM schema_migrations"


def record(step: Migration) -> str:
    """Return the statement that notes a step as taken."""
    # Number and name come from the names of our own files.
    into = "INSERT INTO schema_migrations (version, name) VALUES"
    return f"{into} ({step.version}, '{step.name}')"


def remaining(taken: Iterable[int], steps: list[Migration]) -> list[Migration]:
    """Return the steps that are to be taken; raise StartError when a taken one is not known."""
    done = set(taken)
    if unknown := done - {step.version for step in steps}:
        raise StartError(
            f"The data was written by a newer version of WatchLLM (schema {max(unknown)}): "
            "upgrade watchllm-server, or choose another --data-dir or --store."
        )
    return [step for step in steps if step.version not in done]
