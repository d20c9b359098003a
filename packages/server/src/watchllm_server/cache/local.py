"""The model of this machine that questions are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from watchllm_server.cache.semantic import Models
from watchllm_server.errors import ModelError, NoModelError

if TYPE_CHECKING:
    from watchllm_server.cache.embed import Embedder
    from watchllm_server.cache.index import Index

FOLDER: Final = Path("models") / "all-MiniLM-L6-v2"
"""Where in the data directory it is, once `watchllm models fetch` has made it."""


def load(folder: Path, embedder: Embedder | None = None, index: Index | None = None) -> Models:
    """Return the model of a folder, with an embedder and an index in the place of its own.

    Without those it embeds itself, and its index is empty and in memory. Takes a second.
    Raises NoModelError where there is no such folder, ModelError where what is in it is missing or
    damaged, or a package that it needs is not installed.
    """
    # Without a model a server never loads what runs it: 15 MB.
    if not folder.exists():
        raise NoModelError(f"{folder} holds no model: run watchllm models fetch")
    try:
        from watchllm_server.cache import embed, verify  # noqa: PLC0415 - an extra
        from watchllm_server.cache.index import MemoryIndex  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise ModelError(
            f"the package {error.name} is missing: install watchllm-server[semantic]"
        ) from None
    comparer = embedder
    if embedder is None or comparer is None:
        model = embed.MiniLM(folder)
        embedder, comparer = embed.LocalEmbedder(model), embed.LocalEmbedder(model)
    judge = verify.Verifier(folder)
    return Models(embedder, judge, MemoryIndex() if index is None else index, comparer)
