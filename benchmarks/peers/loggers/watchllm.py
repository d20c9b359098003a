"""WatchLLM, with its defaults, or the settings given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchllm import WatchLLMClient

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str, **options: Any) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Make a client for the project `bench`."""
    client = WatchLLMClient(api_key="bench", project_id="bench", base_url=f"{url}/v1", **options)

    def log(prompt: str, response: str) -> None:
        client.log_prompt_call(
            run_id="run-bench",
            prompt=prompt,
            model=MODEL,
            response=response,
            tokens_input=USAGE[0],
            tokens_output=USAGE[1],
            latency_ms=LATENCY_MS,
            user_id=USER,
            response_metadata=dict(METADATA),
        )

    return log, lambda: client.close(timeout=30)
