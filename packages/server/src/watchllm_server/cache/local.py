"""The model of this machine that questions are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from watchllm_server.cache.semantic import Models
from watchllm_server.errors import ModelError

FOLDER: Final = Path("models") / "all-MiniLM-L6-v2"
"""Where in the data directory it is, once `watchllm models fetch` has made it."""


def load(folder: Path) -> Models:
    """Return the model of a folder, with an empty index. Takes a second.

    Raises ModelError where it is missing or damaged, or a package that it needs is not installed.
    """
    try:
        from watchllm_server.cache import embed, verify  # noqa: PLC0415 - an extra
        from watchllm_server.cache.index import MemoryIndex  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise ModelError(
            f"the package {error.name} is missing: install watchllm-server[semantic]"
        ) from None
    model = embed.MiniLM(folder)
    return Models(
        embed.LocalEmbedder(model),
        verify.Verifier(folder),
        MemoryIndex(),
        embed.LocalEmbedder(model),
    )
