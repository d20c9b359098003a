"""What a row holds, for comparison."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from watchllm_server.rows import Row


def contents(row: Row) -> Any:
    """Return all that a row holds, with its texts decoded."""
    columns = json.loads(msgspec.json.encode(row.columns))
    columns["ts"] = columns["ts"].partition(".")[0]
    if "attributes" in columns:
        columns["attributes"] = json.loads(columns["attributes"])
    call = row.call and msgspec.structs.replace(row.call, response_metadata=None)
    metadata = row.call and row.call.response_metadata
    return row.project_id, row.event_id, row.ts, columns, call, metadata and json.loads(metadata)
