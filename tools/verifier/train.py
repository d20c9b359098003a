"""Train the verifier's network: the first layers of the embedding model, reading two texts at once.

    python tools/verifier/train.py SOURCE MODEL DATA OUT [--layers 6] [--epochs 2] [--fold 0]

SOURCE holds model.safetensors of all-MiniLM-L6-v2, MODEL is what `watchllm models fetch` makes of
it, DATA holds the public data (see pairs.py). Writes OUT/verifier.npz, in int8. Needs torch, which nothing else here does. The pairs of
one fold are left out: they choose how the decision weighs what the network says (see fit.py).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import pairs
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from watchllm_server.cache import embed, minilm, verify

WIDTH, HEADS, TOKENS, BATCH = minilm.WIDTH, minilm.HEADS, 64, 32
RATE, HEAD_RATE = 6e-5, 5e-4


class Layer(nn.Module):
    """One layer of the model, by the names of its tensors."""

    def __init__(self, tensors: dict[str, np.ndarray], number: int) -> None:
        super().__init__()
        self.at = f"encoder.layer.{number}."
        for name, value in tensors.items():
            if name.startswith(self.at):
                key = name.removeprefix(self.at).replace(".", "_")
                self.register_parameter(key, nn.Parameter(torch.tensor(value)))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        p = self._parameters
        lines = (
            functional.linear(
                x, p[f"attention_self_{part}_weight"], p[f"attention_self_{part}_bias"]
            )
            for part in ("query", "key", "value")
        )
        parted = [y.view(*y.shape[:2], HEADS, -1).transpose(1, 2) for y in lines]
        seen = functional.scaled_dot_product_attention(*parted, attn_mask=mask[:, None, None, :])
        seen = seen.transpose(1, 2).reshape(x.shape)
        x = self._added(x, seen, "attention_output")
        inner = functional.gelu(
            functional.linear(x, p["intermediate_dense_weight"], p["intermediate_dense_bias"])
        )
        return self._added(x, inner, "output")

    def _added(self, x: torch.Tensor, inner: torch.Tensor, at: str) -> torch.Tensor:
        p = self._parameters
        out = functional.linear(inner, p[f"{at}_dense_weight"], p[f"{at}_dense_bias"])
        norm = (p[f"{at}_LayerNorm_weight"], p[f"{at}_LayerNorm_bias"])
        return functional.layer_norm(
            x + functional.dropout(out, 0.1, self.training), (WIDTH,), *norm, eps=1e-12
        )

    def named(self) -> dict[str, torch.Tensor]:
        """Return the tensors by the names that they came with."""
        return {
            self.at + key.replace("_weight", ".weight").replace("_bias", ".bias")
            .replace("attention_self_", "attention.self.").replace("attention_output_", "attention.output.")
            .replace("intermediate_", "intermediate.").replace("output_dense", "output.dense")
            .replace("output_LayerNorm", "output.LayerNorm"): value
            for key, value in self._parameters.items()
        }  # fmt: skip


class Verifier(nn.Module):
    """The network: words (which stay as they are), layers, and the head."""

    def __init__(self, tensors: dict[str, np.ndarray], layers: int) -> None:
        super().__init__()
        at = "embeddings."
        self.words = torch.tensor(tensors[f"{at}word_embeddings.weight"])
        self.positions = nn.Parameter(
            torch.tensor(tensors[f"{at}position_embeddings.weight"][:TOKENS])
        )
        self.kinds = nn.Parameter(torch.tensor(tensors[f"{at}token_type_embeddings.weight"]))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.norm.weight.data = torch.tensor(tensors[f"{at}LayerNorm.weight"])
        self.norm.bias.data = torch.tensor(tensors[f"{at}LayerNorm.bias"])
        self.layers = nn.ModuleList(Layer(tensors, number) for number in range(layers))
        self.inner, self.outer = nn.Linear(3 * WIDTH, 256), nn.Linear(256, 1)

    def forward(self, ids: torch.Tensor, sides: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words[ids] + self.positions[: ids.shape[1]] + self.kinds[sides])
        bias = torch.where(mask, 0.0, -1e9).to(x.dtype)
        for layer in self.layers:
            x = layer(x, bias)
        left, right = (mask & (sides == 0)).float(), (mask & (sides == 1)).float()
        u = (x * left[..., None]).sum(1) / left.sum(1, keepdim=True)
        v = (x * right[..., None]).sum(1) / right.sum(1, keepdim=True)
        seen = torch.cat([x[:, 0], (u - v).abs(), u * v], 1)
        seen = functional.dropout(seen, 0.1, self.training)
        return self.outer(functional.gelu(self.inner(seen.float())))[:, 0]

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all that was trained, by the names that the graph of ONNX asks for."""
        found = {
            "embeddings.position_embeddings.weight": self.positions,
            "embeddings.token_type_embeddings.weight": self.kinds,
            "embeddings.LayerNorm.weight": self.norm.weight,
            "embeddings.LayerNorm.bias": self.norm.bias,
            "head.inner.weight": self.inner.weight, "head.inner.bias": self.inner.bias,
            "head.outer.weight": self.outer.weight, "head.outer.bias": self.outer.bias,
        }  # fmt: skip
        for layer in self.layers:
            found |= layer.named()
        return {name: value.detach().numpy() for name, value in found.items()}


def batches(rows: list[tuple[list[int], list[int], int]], random_: random.Random):
    """Yield batches of pairs of about one length, in an order of chance, sides swapped by chance."""
    order = sorted(
        range(len(rows)), key=lambda n: len(rows[n][0]) + len(rows[n][1]) + random_.random() * 4
    )
    chunks = [order[n : n + BATCH] for n in range(0, len(order), BATCH)]
    random_.shuffle(chunks)
    for chunk in chunks:
        joined, sides, labels = [], [], []
        for n in chunk:
            one, other, label = rows[n]
            if random_.random() < 0.5:  # noqa: PLR2004 - a coin
                one, other = other, one
            ids, kinds = verify.joined(one, other, TOKENS)
            joined.append(ids)
            sides.append(kinds)
            labels.append(label)
        width = max(map(len, joined))
        pad = [width - len(ids) for ids in joined]
        yield (
            torch.tensor([ids + [0] * more for ids, more in zip(joined, pad, strict=True)]),
            torch.tensor([kinds + [0] * more for kinds, more in zip(sides, pad, strict=True)]),
            torch.tensor(
                [[True] * len(i) + [False] * more for i, more in zip(joined, pad, strict=True)]
            ),
            torch.tensor(labels, dtype=torch.float),
        )


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(7)
    random_ = random.Random(7)
    tokenizer = Tokenizer.from_file(str(given.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    embedder = embed.MiniLM(given.model)
    found = pairs.all_pairs(given.data, lambda texts: np.stack([embedder.embed(t) for t in texts]))
    rows = [
        (tokenizer.encode(p.one, add_special_tokens=False).ids,
         tokenizer.encode(p.other, add_special_tokens=False).ids, p.same)
        for p in found if p.fold != given.fold
    ]  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pairs.json").write_text(json.dumps(found))
    print(f"{len(found)} pairs, {len(rows)} to learn from", flush=True)
    model = Verifier(minilm.read_tensors(given.source / "model.safetensors"), given.layers)
    head = [p for name, p in model.named_parameters() if name.startswith(("inner", "outer"))]
    rest = [p for name, p in model.named_parameters() if not name.startswith(("inner", "outer"))]
    optimiser = torch.optim.AdamW([{"params": rest, "lr": RATE}, {"params": head, "lr": HEAD_RATE}])
    steps = given.epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(1.0, n / (0.06 * steps)) * max(0.0, 1 - n / steps)
    )
    model.train()
    begun, done, mean = time.time(), 0, 0.0
    for _ in range(given.epochs):
        for ids, sides, mask, labels in batches(rows, random_):
            with torch.autocast("cpu", torch.bfloat16):
                said = model(ids, sides, mask)
            loss = functional.binary_cross_entropy_with_logits(said.float(), labels * 0.96 + 0.02)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            mean += 0.02 * (loss.item() - mean) if done > 1 else loss.item()
            if done % 50 == 0:
                print(f"{done}/{steps} loss {mean:.3f} {time.time() - begun:.0f} s", flush=True)
    model.eval()
    write(model.tensors(), given.out / "verifier.npz")


def write(tensors: dict[str, np.ndarray], path: Path) -> None:
    """Write the tensors: the large ones as int8, each row with the scale that ONNX will find too."""
    kept: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        if name.startswith("encoder") and value.ndim == 2:  # noqa: PLR2004 - a matrix
            scale = np.abs(value).max(1, keepdims=True) / 127
            kept[name] = np.round(value / scale).astype(np.int8)
            kept[f"{name}.scale"] = scale.astype(np.float32)
        else:
            kept[name] = value.astype(np.float16 if value.ndim > 1 else np.float32)
    np.savez_compressed(path, **kept)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
