"""A model of the form of all-MiniLM-L6-v2, with one layer, few words and weights of chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from watchllm_server.cache import embed
from watchllm_server.cache.models import TENSORS

if TYPE_CHECKING:
    from pathlib import Path

WORDS = 400
CLS, SEP = 101, 102


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors, the same ones each time."""
    random = np.random.default_rng(7)

    def of(*shape: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    at = "encoder.layer.0."
    found = {
        "embeddings.word_embeddings.weight": of(WORDS, 384),
        "embeddings.position_embeddings.weight": of(512, 384),
        "embeddings.token_type_embeddings.weight": of(2, 384),
        f"{at}intermediate.dense.weight": of(1536, 384),
        f"{at}intermediate.dense.bias": of(1536),
        f"{at}output.dense.weight": of(384, 1536),
        f"{at}output.dense.bias": of(384),
    }
    for part in ("self.query", "self.key", "self.value", "output.dense"):
        found[f"{at}attention.{part}.weight"] = of(384, 384)
        found[f"{at}attention.{part}.bias"] = of(384)
    for norm in ("embeddings", f"{at}attention.output", f"{at}output"):
        found[f"{norm}.LayerNorm.weight"] = np.ones(384, np.float32)
        found[f"{norm}.LayerNorm.bias"] = np.zeros(384, np.float32)
    return found


def write_source(folder: Path) -> dict[str, str]:
    """Write the two files that a model is published as, and return their sums."""
    folder.mkdir(parents=True, exist_ok=True)
    header, data = {}, b""
    for name, value in tensors().items():
        end = len(data) + value.nbytes
        header[name] = {
            "dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), end],
        }  # fmt: skip
        data += value.tobytes()
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / TENSORS).write_bytes(len(head).to_bytes(8, "little") + head + data)
    tokenizer().save(str(folder / embed.TOKENIZER))
    return {name: embed.sha256(folder / name) for name in (TENSORS, embed.TOKENIZER)}


def tokenizer() -> Tokenizer:
    """Return a tokenizer that knows letters and pieces, and pads as the published one does."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789?.,!'"
    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": CLS, "[SEP]": SEP}
    for place, letter in enumerate(letters):
        vocabulary[letter] = 110 + place
        vocabulary[f"##{letter}"] = 200 + place
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    made.enable_truncation(128)
    made.enable_padding(length=128)
    return made
