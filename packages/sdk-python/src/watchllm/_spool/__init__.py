"""Where encoded events wait until the server has answered for them: on disk, or in memory."""

from watchllm._spool._disk import DiskSpool, Orphans
from watchllm._spool._folder import Claim, Folder, SpoolUnusable, adopt, default_root, destinations
from watchllm._spool._memory import Mark, MemorySpool, Record, Spool
from watchllm._spool._segment import Segment

__all__ = [
    "Claim",
    "DiskSpool",
    "Folder",
    "Mark",
    "MemorySpool",
    "Orphans",
    "Record",
    "Segment",
    "Spool",
    "SpoolUnusable",
    "adopt",
    "default_root",
    "destinations",
]
