"""The model: taken with the right sums alone, made as a whole or not at all, run off the loop."""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from watchllm_server.cache import embed, models, verify
from watchllm_server.cache.embed import (
    LocalEmbedder,
    MiniLM,
)
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]


@given(text=st.text(max_size=60))
@settings(max_examples=40)
def test_a_text_is_a_vector_of_length_one(model_folder: Path, text: str) -> None:
    """Any text has a vector of length 1, and the same one each time."""
    model = MiniLM(model_folder)

    vector, again = model.embed(text), model.embed(text)

    assert vector is not None
    assert again is not None
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
    assert np.array_equal(vector, again)


def test_the_graph_says_what_the_tensors_say(model_folder: Path) -> None:
    """The int8 graph gives what the same sums in plain numpy give, within what int8 loses."""
    tokens = tiny_model.tokenizer().encode("how are you?").ids[:7]

    assert tokens[0] == tiny_model.CLS
    assert tokens[-1] != 0
    found = MiniLM(model_folder).vector(tokens)

    assert float(found @ plain_vector(tokens)) > 0.97


def plain_vector(tokens: list[int]) -> Array:
    """Return what the one layer computes, written out."""
    given_ = tiny_model.tensors()
    at = "encoder.layer.0."

    def linear(x: Array, name: str) -> Array:
        found: Array = x @ given_[f"{at}{name}.weight"].T + given_[f"{at}{name}.bias"]
        return found

    def norm(x: Array) -> Array:
        found: Array = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
        return found

    x = norm(
        given_["embeddings.word_embeddings.weight"][tokens]
        + given_["embeddings.position_embeddings.weight"][: len(tokens)]
        + given_["embeddings.token_type_embeddings.weight"][0]
    )
    query, key, value = (
        linear(x, f"attention.self.{part}").reshape(-1, 12, 32).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = np.exp(query @ key.transpose(0, 2, 1) / 32**0.5)
    seen = (scores / scores.sum(-1, keepdims=True)) @ value
    x = norm(x + linear(seen.transpose(1, 0, 2).reshape(-1, 384), "attention.output.dense"))
    inner = linear(x, "intermediate.dense")
    erf = np.vectorize(math.erf)
    out = linear(inner * (1 + erf(inner / 2**0.5)) / 2, "output.dense")
    mean = norm(x + out).mean(0)
    found: Array = mean / np.linalg.norm(mean)
    return found


def test_a_text_beyond_what_the_model_reads_has_no_vector(model_folder: Path) -> None:
    """Of a long text not its start stands for it: it has no vector, however long it is."""
    model = MiniLM(model_folder)

    assert model.embed("a " * 254) is not None
    assert model.embed("a " * 255) is None
    assert model.embed("a" * 1_000_000) is None
    assert model.embed("\ud83d") is None


@pytest.mark.parametrize("name", [embed.EMBEDDER, embed.VERIFIER, embed.TOKENIZER, embed.SUMS])
def test_a_damaged_file_is_said_in_one_sentence(
    model_folder: Path, tmp_path: Path, name: str
) -> None:
    """A file that was cut, or is gone, is never run: the error names what to do."""
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:-20])

    with pytest.raises(ModelError, match="run watchllm models fetch"):
        MiniLM(copy)

    (copy / name).unlink()
    with pytest.raises(ModelError, match="run watchllm models fetch"):
        MiniLM(copy)


def test_another_model_is_refused(
    model_source: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Files with other sums than expected make no folder, nor do files that are missing."""
    with pytest.raises(ModelError, match="SHA-256 differs"):
        models.build(model_source[0], tmp_path / "made")
    with pytest.raises(ModelError, match="has no"):
        models.build(tmp_path, tmp_path / "made")

    assert not (tmp_path / "made").exists()


def test_a_folder_is_made_again_in_the_place_of_another(
    model_source: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """Fetching again replaces what is there, and leaves nothing else behind."""
    target = tmp_path / "models" / "made"
    target.mkdir(parents=True)
    (target / "old").write_text("old")

    models.build(model_source[0], target, model_source[1])

    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [embed.EMBEDDER, embed.VERIFIER, embed.TOKENIZER, embed.SUMS]
    )


def test_a_download_is_kept_only_with_the_right_sum(
    model_source: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """What the hub sends is compared before it has its name; what differs is removed."""
    folder, sums = model_source

    with pytest.raises(ModelError, match="SHA-256 differs"):
        models.download(tmp_path, folder.as_uri())
    assert list(tmp_path.iterdir()) == []

    with pytest.raises(ModelError, match="cannot be fetched"):
        models.download(tmp_path, (folder / "nowhere").as_uri())

    models.download(tmp_path, folder.as_uri(), sums)
    assert {path.name for path in tmp_path.iterdir()} == set(sums)


def test_a_model_runs_on_a_thread_of_its_own() -> None:
    """The event loop's thread never runs a model."""
    threads = []

    class Seen(MiniLM):
        def __init__(self) -> None:
            pass

        def embed(self, text: str) -> None:
            threads.append(threading.current_thread().name)

    async def ask() -> None:
        embedder = LocalEmbedder(Seen())
        await asyncio.gather(embedder.embed("a"), embedder.embed("b"))
        embedder.close()

    asyncio.run(ask())

    assert len(threads) == 2
    assert all(name.startswith("embed") for name in threads)


def test_the_verifier_runs_on_what_was_built(model_folder: Path) -> None:
    """The network that comes with the package runs, and says the same of a pair each time."""
    judge = verify.Verifier(model_folder)
    tokens = [110, 120, 130]

    assert judge.network(tokens, tokens) == judge.network(tokens, tokens)
    assert judge.network(tokens, tokens) != judge.network(tokens, [111, 112])


# In a process of its own, for this one has loaded everything.
WITHOUT_A_MODEL = """
import sys
from pathlib import Path
from watchllm_server.cache import local
from watchllm_server.errors import NoModelError
try:
    local.load(Path(sys.argv[1]))
except NoModelError:
    print({"numpy", "onnxruntime", "tokenizers"} & {*sys.modules})
"""


def test_without_a_model_nothing_is_loaded_to_run_it(tmp_path: Path) -> None:
    """Where no model was fetched, the libraries that would run it take no memory."""
    arguments = [sys.executable, "-c", WITHOUT_A_MODEL, str(tmp_path / "models")]

    found = subprocess.run(arguments, check=True, capture_output=True, text=True)

    assert found.stdout == "set()\n"
