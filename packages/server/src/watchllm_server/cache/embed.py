"""From a text to the vector that tells texts of like meaning."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]

MAX_TOKENS: Final = 256
"""Where the model stops reading: of longer texts it would take the common start for the whole."""
# Tokenizing a megabyte only to find that it is too long would take longer than the answer saves.
_MAX_CHARACTERS: Final = 4_000
EMBEDDER: Final = "embedder.onnx"
VERIFIER: Final = "verifier.onnx"
TOKENIZER: Final = "tokenizer.json"
SUMS: Final = "SHA256SUMS"


class Embedder(Protocol):
    """Embed texts. Used on one event loop, which it never blocks."""

    name: str
    """Names model and form: vectors of embedders with other names are never compared."""

    async def embed(self, text: str) -> Vector | None:
        """Return a float32 vector of length 1, or None for a text that it cannot read as a whole.

        Raises ModelError where the model fails.
        """
        ...

    def close(self) -> None:
        """Let go of threads and memory."""
        ...


def session(path: Path) -> Any:
    """Open a graph of ONNX on one thread of the CPU. Raises ModelError where it is damaged."""
    try:
        import onnxruntime  # noqa: PLC0415 - an extra, and half a second to load
    except ImportError:
        raise ModelError(
            "the package onnxruntime is missing: install watchllm-server[semantic]"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # A waiting thread that spins takes a core from those that serve.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime has an exception for each kind of damage
        raise ModelError(f"{path} is no model that can be run: {error}") from None


class MiniLM:
    """all-MiniLM-L6-v2 in int8, from a folder that `watchllm models fetch` has made.

    One text a call: see minilm.py. Thread-safe. Raises ModelError where a file is missing, or is
    not the one whose SHA-256 was written down when the folder was made.
    """

    name = "all-MiniLM-L6-v2/int8/1"

    def __init__(self, folder: Path) -> None:
        check(folder)
        self._session = session(folder / EMBEDDER)
        self.tokenizer = load_tokenizer(folder / TOKENIZER)

    def embed(self, text: str) -> Vector | None:
        """Return the vector of a text, None for one beyond 256 tokens. Takes 2 to 50 ms."""
        tokens = self.tokens(text)
        return None if tokens is None else self.vector(tokens)

    def tokens(self, text: str) -> list[int] | None:
        """Return the tokens of a text with those of its start and end, or None beyond 256."""
        if len(text) > _MAX_CHARACTERS:
            return None
        try:
            ids: list[int] = self.tokenizer.encode(text).ids
        except (TypeError, UnicodeEncodeError):  # half of a surrogate pair
            return None
        return ids if len(ids) <= MAX_TOKENS else None

    def vector(self, tokens: list[int]) -> Vector:
        """Return the vector of a text of which the tokens are known."""
        found: Vector = self._session.run(None, {"input_ids": np.array([tokens])})[0][0]
        return found


def load_tokenizer(path: Path) -> Any:
    """Open the tokenizer, without the padding that its file asks for."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra
    except ImportError:
        raise ModelError(
            "the package tokenizers is missing: install watchllm-server[semantic]"
        ) from None
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - it raises Exception itself
        raise ModelError(f"{path} is no tokenizer: {error}") from None
    found.no_padding()
    found.no_truncation()
    return found


def check(folder: Path) -> None:
    """Compare the files of a folder with the sums in it; raise ModelError where they differ."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
        for line in lines:
            expected, _, name = line.partition("  ")
            if sha256(folder / name) != expected:
                raise ModelError(f"{folder / name} is damaged: run watchllm models fetch")
    except (OSError, UnicodeDecodeError):
        raise ModelError(f"{folder} holds no model: run watchllm models fetch") from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalEmbedder:
    """Run a model on a thread of its own, one text after the other."""

    def __init__(self, model: MiniLM) -> None:
        self.name = model.name
        self._model = model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embed")

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of a text, None for one beyond 256 tokens."""
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._pool, self._model.embed, text)

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)
