"""Which OpenAI-compatible endpoint answers the demo's calls, behind the gateway of its server."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watchllm_server.demo import local, scripted
from watchllm_server.demo.children import HOST, Child, child, free_port
from watchllm_server.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OPENAI = "https://api.openai.com/v1"
# None of the known ones: a name `openai/gpt-4o` reaches the endpoint as it stands.
PROVIDER = "DEMO"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: what it is, in a sentence, and how it is asked.

    `note` says what a reader of the recorded figures must know about them.
    """

    kind: str
    sentence: str
    base_url: str
    api_key: str = field(repr=False)
    model: str
    note: str = ""
    process: Child | None = None

    def provider(self) -> dict[str, str]:
        """Return the variables that make it the provider of every model of a server's gateway."""
        return {
            f"WATCHLLM_PROVIDER_{PROVIDER}_{setting}": value
            for setting, value in (
                ("BASE_URL", self.base_url),
                ("API_KEY", self.api_key),
                ("MODELS", "*"),
                ("PRICE_ID", "openai"),
            )
        }

    def wait_until_ready(self) -> None:
        """Return once an endpoint of our own serves; another's is taken as it is."""
        if self.process is not None:
            self.process.wait_until_ready("/v1/models", seconds=120)


@dataclass(frozen=True)
class Served:
    """An endpoint of our own that a module of this package serves."""

    kind: str
    module: str
    model: str
    sentence: str
    note: str


SCRIPTED = Served(
    kind="scripted",
    module=scripted.__name__,
    model=scripted.MODELS[0],
    sentence=(
        "Scripted: no model is asked. A small stand-in answers from a text, under the name "
        f"{scripted.MODELS[0]}. Set OPENAI_API_KEY or OPENAI_BASE_URL, or pass --llm local, to "
        "ask a real model."
    ),
    note=(
        "Scripted: no model was asked and nothing was charged. Each word and each mark of the "
        f"texts counts as a token; the cost is {scripted.MODELS[0]}'s list price for as many."
    ),
)
LOCAL = Served(
    kind="local",
    module=local.__name__,
    model=local.MODEL,
    sentence=(
        f"A real local model, {local.MODEL}, on one CPU thread. It is a small base model: it goes "
        "on with a text rather than answering, and is often wrong. Its file (253 MB) stays in "
        "your cache folder."
    ),
    note="A real local model answered. It has no list price, so the cost is unknown.",
)


@contextlib.contextmanager
def open_endpoint(llm: str, environment: Mapping[str, str], folder: Path) -> Iterator[Endpoint]:
    """Yield the endpoint that `--llm` asks for; one of our own runs until the block is left.

    `auto` is the user's own if OPENAI_API_KEY or OPENAI_BASE_URL is set, else the scripted one.
    """
    if llm == "auto" and (environment.get("OPENAI_API_KEY") or environment.get("OPENAI_BASE_URL")):
        yield own_endpoint(environment)
        return
    if llm not in {"auto", "local", "scripted"}:
        raise DemoError(f"--llm is auto, local or scripted, not {llm!r}.", exit_code=2)
    served = LOCAL if llm == "local" else SCRIPTED
    if served is LOCAL:
        require_local_packages()
    port = free_port()
    with child(
        f"{served.kind} endpoint",
        [served.module],
        port=port,
        environment=environment,
        log=folder / f"{served.kind}.log",
    ) as process:
        yield Endpoint(
            served.kind,
            served.sentence,
            base_url=f"http://{HOST}:{port}/v1",
            api_key=f"no-key-needed-{served.kind}",
            model=served.model,
            note=served.note,
            process=process,
        )


def require_local_packages() -> None:
    """Refuse to start a local model without its packages."""
    if any(importlib.util.find_spec(module) is None for module in local.MODULES):
        raise DemoError(
            f"The local model needs two more packages: pip install {' '.join(local.PACKAGES)}",
            exit_code=2,
        )


def own_endpoint(environment: Mapping[str, str]) -> Endpoint:
    """Return the endpoint that the user's OPENAI_* variables name."""
    base_url = environment.get("OPENAI_BASE_URL") or OPENAI
    address = urlsplit(base_url)
    where = f"{address.hostname}{f':{address.port}' if address.port else ''}"
    model = environment.get("OPENAI_MODEL") or "gpt-4o"
    sentence = (
        f"Your own: {where}, with the model {model}. It gets a few short calls. "
        "Set OPENAI_MODEL to ask another model."
    )
    key = environment.get("OPENAI_API_KEY") or "no-key-needed"
    return Endpoint("own", sentence, base_url, key, model)
