"""Questions in other words, through a running gateway, with a model of the real form."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from gateways import openai_at, openai_client
from meanings import ASKED, ENOUGH, OTHERWISE, Meaning, meaning_in
from upstream import chats
from watchllm_server.cache.entry import Chosen
from watchllm_server.cache.questions import FILE_NAME
from watchllm_server.gateway.record import event_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2
    from gateways import Running
    from upstream import Upstream

Asking = tuple["Running", Meaning]


@pytest.fixture
def begin(
    start: Callable[..., Running], upstream: Upstream, model_folder: Path, tmp_path: Path
) -> Callable[..., Asking]:
    """Return what starts a gateway in a mode, of which so many hits were compared before."""

    def run(matching: str, compared: int = 0, *, wrong: int = 0) -> Asking:
        upstream.script = chats("It takes 4 days.")
        meaning = meaning_in(tmp_path / "meaning", model_folder)
        gateway = start(openai_at(upstream), semantic=meaning.semantic, matching=matching)
        meaning.judgements.measure(gateway.project, compared, wrong=wrong)
        meaning.semantic.begin()
        # What is forgotten is forgotten on the same thread, after all has been loaded.
        meaning.semantic.forget(gateway.project, Chosen(namespace="none"))
        return gateway, meaning

    return run


def ask(
    gateway: Running, text: str, *before: dict[str, str], headers: Any = None, **fields: Any
) -> httpx2.Response:
    """Ask a question, after earlier turns."""
    messages = [*before, {"role": "user", "content": text}]
    return gateway.post(
        **{"model": "gpt-4o", "messages": messages, **fields}, headers=headers or {}
    )


def kept(gateway: Running, meaning: Meaning, **given: Any) -> httpx2.Response:
    """Ask the first wording, and return its answer once the question is kept."""
    answer = ask(gateway, ASKED, **given)
    meaning.wait_for_questions()
    gateway.notes.next()
    return answer


def test_in_shadow_the_provider_answers_and_the_event_says_what_would_have_been(
    begin: Callable[..., Asking], upstream: Upstream
) -> None:
    """The stored answer is named with its confidence and its price, and compared with the new."""
    gateway, meaning = begin("shadow")
    first = kept(gateway, meaning)

    answer = ask(gateway, OTHERWISE)

    assert answer.headers["x-watchllm-cache"] == "MISS"
    assert "x-watchllm-cache-similarity" not in answer.headers
    assert len(upstream.asked) == 2
    told = event_of(gateway.notes.next())["response_metadata"]
    near = told["would_hit"]
    assert near["event_id"] == first.headers["x-watchllm-event-id"]
    assert near["saved_usd"] == 0.002
    assert not near.get("serves")
    assert 0.84 <= near["confidence"] <= 1
    assert "hit" not in told
    meaning.judgements.wait_for(gateway.project, "same")
    assert meaning.judgements.totals(gateway.project)["candidates"] == (1, 0.002)


def test_what_has_been_measured_is_served(begin: Callable[..., Asking], upstream: Upstream) -> None:
    """The answer to another wording comes from the cache, says so, and has cost nothing."""
    gateway, meaning = begin("serve", ENOUGH)
    first = kept(gateway, meaning)

    answer = ask(gateway, OTHERWISE)

    assert answer.headers["x-watchllm-cache"] == "HIT-SEMANTIC"
    assert 0.8 < float(answer.headers["x-watchllm-cache-similarity"]) <= 1
    assert answer.headers["x-watchllm-saved-usd"] == "0.002"
    assert answer.headers["x-watchllm-cache-age"] == "0"
    assert answer.content == first.content
    event = event_of(gateway.notes.next())
    assert event["cost_estimate_usd"] == 0
    told = event["response_metadata"]
    assert told["hit"]["event_id"] == first.headers["x-watchllm-event-id"]
    assert told["hit"]["serves"] is True
    assert told["similarity"] == told["hit"]["similarity"]
    assert meaning.judgements.wait_for(gateway.project, "hits") == 0.002


def test_a_streaming_client_is_served_like_any(
    begin: Callable[..., Asking], upstream: Upstream
) -> None:
    """OpenAI's own client reads the stored answer as a stream, and no provider is waited for."""
    gateway, meaning = begin("serve", ENOUGH)
    kept(gateway, meaning)

    with openai_client(gateway).chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": OTHERWISE}], stream=True
    ) as answer:
        cache = answer.headers["x-watchllm-cache"]
        said = "".join(chunk.choices[0].delta.content or "" for chunk in answer.parse())

    assert (cache, said) == ("HIT-SEMANTIC", "It takes 4 days.")


def test_a_hit_is_compared_once_its_client_is_answered(
    begin: Callable[..., Asking], upstream: Upstream
) -> None:
    """The call that is made for it is recorded as such, and another answer counts as wrong."""
    gateway, meaning = begin("serve", ENOUGH)
    kept(gateway, meaning)
    upstream.script = chats("It takes 5 days.")

    answer = ask(gateway, OTHERWISE)

    hit, made = gateway.notes.next(), gateway.notes.next()
    assert hit.event_id == answer.headers["x-watchllm-event-id"]
    assert made.comparison_of == hit.event_id
    assert made.cache == "BYPASS"
    assert event_of(made)["response_metadata"]["comparison_of"] == hit.event_id
    meaning.judgements.wait_for(gateway.project, "different")
    known = meaning.judgements.known(gateway.project, hit.event_id)
    assert known is not None
    assert known.outcome == "different"


@pytest.mark.parametrize(
    ("matching", "compared", "wrong"),
    [("serve", 0, 0), ("serve", ENOUGH, 40), ("serve:0.0001", ENOUGH, 0), ("shadow", ENOUGH, 0)],
)
def test_what_has_not_earned_it_is_not_served(
    begin: Callable[..., Asking], matching: str, compared: int, wrong: int
) -> None:
    """Nor is it where nothing was compared, too much was wrong, less may be, or none is wanted."""
    gateway, meaning = begin(matching, compared, wrong=wrong)
    kept(gateway, meaning)

    answer = ask(gateway, OTHERWISE)

    assert answer.headers["x-watchllm-cache"] == "MISS"


@pytest.mark.parametrize(
    ("matching", "wish", "cache"),
    [
        ("serve", "exact", "MISS"),
        ("serve", "off", "BYPASS"),
        ("shadow", "semantic", "HIT-SEMANTIC"),
        ("off", "semantic", "MISS"),
        ("off", "", "MISS"),
    ],
)
def test_a_request_may_say_how_it_is_matched(
    begin: Callable[..., Asking], matching: str, wish: str, cache: str
) -> None:
    """The header wins over the mode; with `off`, the first question was never kept."""
    gateway, meaning = begin(matching, ENOUGH)
    ask(gateway, ASKED)
    gateway.notes.next()
    if matching != "off":
        meaning.wait_for_questions()

    answer = ask(gateway, OTHERWISE, headers={"X-WatchLLM-Cache": wish} if wish else {})

    assert answer.headers["x-watchllm-cache"] == cache
    assert (gateway.notes.next().near is not None) == (cache == "HIT-SEMANTIC")


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"model": "gpt-4o-mini"},
        {"headers": {"X-WatchLLM-Cache-Namespace": "another tenant"}},
        {"headers": {"OpenAI-Organization": "another"}},
        {"tools": [{"type": "function", "function": {"name": "reset", "parameters": {}}}]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_nothing_is_served_across_what_differs_beside_the_question(
    begin: Callable[..., Asking], change: dict[str, Any]
) -> None:
    """A parameter, a model, a namespace, a tool: each is a scope of its own."""
    gateway, meaning = begin("serve", ENOUGH)
    kept(gateway, meaning)

    answer = ask(gateway, OTHERWISE, **change)

    assert answer.headers["x-watchllm-cache"] == "MISS"
    assert gateway.notes.next().near is None


def test_nothing_is_served_across_conversations_or_projects(begin: Callable[..., Asking]) -> None:
    """The same last message after another turn, or from another project, is another question."""
    gateway, meaning = begin("serve", ENOUGH)
    kept(gateway, meaning)
    other = gateway.with_another_project()
    meaning.judgements.measure(other.project)

    after = ask(gateway, OTHERWISE, {"role": "system", "content": "You sell doors."})
    theirs = ask(other, OTHERWISE)

    assert after.headers["x-watchllm-cache"] == theirs.headers["x-watchllm-cache"] == "MISS"
    assert (gateway.notes.next().near, gateway.notes.next().near) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\t",
        "\x00\x01\x02\x7f" * 50,
        "مرحبا كيف أعيد كلمة المرور",
        "def f(x):\n    return x ** 2  # `code` alone",
        "🎉🎉🎉 🙃",
        "\ud83d",
        "word " * 60_000,
    ],
    ids=["empty", "blank", "binary", "rtl", "code", "emoji", "surrogate", "huge"],
)
def test_no_prompt_fails_a_request(begin: Callable[..., Asking], text: str) -> None:
    """Whatever is asked, the provider's answer comes, and an equal request is served again."""
    gateway, _ = begin("serve", ENOUGH)
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})

    with gateway.client() as client:
        answers = [client.post("/v1/chat/completions", content=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.headers["x-watchllm-cache"] for answer in answers] == ["MISS", "HIT"]


def test_a_forgotten_answer_is_not_served_and_its_question_is_gone(
    begin: Callable[..., Asking], tmp_path: Path
) -> None:
    """Forgetting by the event of an answer takes its question from memory and from the file."""
    gateway, meaning = begin("serve", ENOUGH)
    first = kept(gateway, meaning)
    event = first.headers["x-watchllm-event-id"]

    gateway.cache.invalidate("another project", Chosen())
    gateway.cache.invalidate(gateway.project, Chosen(event_id=event))
    answer = ask(gateway, OTHERWISE)

    assert answer.headers["x-watchllm-cache"] == "MISS"
    assert gateway.notes.next().near is None
    meaning.wait_for_questions()
    assert len(meaning.index) == 1
    assert (tmp_path / "meaning" / FILE_NAME).exists()


def test_no_cache_asks_anew_and_keeps_the_question(begin: Callable[..., Asking]) -> None:
    """It is neither looked up nor served, and the next wording finds what it has brought."""
    gateway, meaning = begin("serve", ENOUGH)

    first = kept(gateway, meaning, headers={"Cache-Control": "no-cache"})
    answer = ask(gateway, OTHERWISE)

    assert first.headers["x-watchllm-cache"] == "MISS"
    assert answer.headers["x-watchllm-cache"] == "HIT-SEMANTIC"


def test_equal_requests_at_one_time_still_make_one_call(
    begin: Callable[..., Asking], upstream: Upstream
) -> None:
    """What is looked up by its meaning first is asked once, for all who ask the same."""
    gateway, _ = begin("serve", ENOUGH)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(gateway, ASKED), range(8)))

    caches = [answer.headers["x-watchllm-cache"] for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert caches.count("MISS") == 1
    assert set(caches) <= {"MISS", "HIT", "HIT-COALESCED"}
    assert len(upstream.asked) == 1


def test_a_missing_model_leaves_all_else_working(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """Requests are answered, and equal ones from the cache, as if there were no such thing."""
    gateway = start(openai_at(upstream), matching="serve")

    answers = [ask(gateway, ASKED), ask(gateway, ASKED), ask(gateway, OTHERWISE)]

    caches = [answer.headers["x-watchllm-cache"] for answer in answers]
    assert caches == ["MISS", "HIT", "MISS"]
