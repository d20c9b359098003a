"""Embeddings through a running gateway: only the inputs that are not known reach the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateways import openai_at, openai_client
from upstream import answers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Script, Upstream

MODEL = "text-embedding-3-small"


def vectors(dimension: float = 0.0) -> Script:
    """Answer each input, a letter, with its code and a number that tells the provider."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        given = asked.json["input"]
        inputs = given if isinstance(given, list) else [given]
        data = [
            {"object": "embedding", "index": index, "embedding": [float(ord(text)), dimension]}
            for index, text in enumerate(inputs)
        ]
        tokens = 2 * len(inputs)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = {"object": "list", "data": data, "model": MODEL, "usage": usage}
        await answers(body)(asked, writer)

    return script


def embedded(gateway: Running, inputs: str | list[str]) -> tuple[str, list[list[float]], int]:
    """Ask with OpenAI's own client; return what the cache did, the vectors and the tokens."""
    with openai_client(gateway) as client:
        answer = client.embeddings.with_raw_response.create(
            model=MODEL, input=inputs, encoding_format="float"
        )
    found = answer.parse()
    data = [each.embedding for each in found.data]
    assert [each.index for each in found.data] == list(range(len(data)))
    return answer.headers["x-watchllm-cache"], data, found.usage.total_tokens


def asked_for(upstream: Upstream) -> list[Any]:
    """Return the inputs of each request that reached the provider."""
    return [each.json["input"] for each in upstream.asked]


def test_only_the_inputs_that_are_not_known_are_asked_for(
    gateway: Running, upstream: Upstream
) -> None:
    """The answer is in the order of the list, with the tokens of all, as if all had been asked."""
    upstream.script = vectors()

    told = [
        embedded(gateway, inputs) for inputs in (["A", "B"], ["C", "B", "D", "A"], ["D", "C"], "B")
    ]

    assert told == [
        ("MISS", [[65, 0], [66, 0]], 4),
        ("MISS", [[67, 0], [66, 0], [68, 0], [65, 0]], 8),
        ("HIT", [[68, 0], [67, 0]], 4),
        ("HIT", [[66, 0]], 2),
    ]
    assert asked_for(upstream) == [["A", "B"], ["C", "D"]]
    saved = [gateway.notes.next().saved_usd for _ in told]
    assert saved[0] is None
    assert all(saved[1:])


def test_vectors_of_another_provider_do_not_stand_beside_known_ones(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream
) -> None:
    """A fallback answers whole lists, never the rest of one: its vectors mean something else."""
    upstream.script, other_upstream.script = vectors(0.25), vectors(0.75)
    gateway = start(
        openai_at(upstream), openai_at(other_upstream, name="other"),
        fallbacks={"openai/": (f"other/{MODEL}",)},
    )  # fmt: skip
    embedded(gateway, ["A"])
    upstream.script = answers({"error": {"message": "down"}}, 503)

    whole = embedded(gateway, ["B", "C"])
    part = gateway.post("/v1/embeddings", model=MODEL, input=["A", "B"], encoding_format="float")
    again = embedded(gateway, ["A"])

    assert whole == ("MISS", [[66, 0.75], [67, 0.75]], 4)
    assert part.status_code == 503
    assert again == ("HIT", [[65, 0.25]], 2)
    assert asked_for(other_upstream) == [["B", "C"]]


def test_an_answer_with_too_few_vectors_is_not_kept(gateway: Running, upstream: Upstream) -> None:
    """Nobody can say whose they are; the client gets what the provider has answered."""
    body = {"object": "list", "model": MODEL, "data": [{"index": 0, "embedding": [1.0]}]}
    upstream.script = answers(body)

    first = gateway.post("/v1/embeddings", model=MODEL, input=["a", "bb"])
    gateway.post("/v1/embeddings", model=MODEL, input=["a", "bb"])

    assert (first.status_code, first.json()) == (200, body)
    assert len(upstream.asked) == 2
