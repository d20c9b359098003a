"""Which run the headers of a request name, and that none of them can harm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchllm import ConfigurationError
from watchllm._context import Inside, Run, current_run
from watchllm.integrations import _requests
from watchllm.integrations._requests import Items, Requests, run_id_of

if TYPE_CHECKING:
    from typing import Iterator

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def run_of(requests: Requests, request: Any = None, **headers: str) -> Run:
    """Return the run that a request is served in."""
    inside = requests.inside(lambda name: headers.get(name.replace("-", "_")), request)
    inside.resume()
    run = current_run()
    inside.pause()
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("headers", "run_id"),
    [
        ({"x-run-id": "run-1"}, "run-1"),
        ({"x-run-id": " run-1 "}, "run-1"),
        ({"x-run-id": "r" * 200}, "r" * 200),
        ({"x-run-id": "run-1", "traceparent": PARENT}, "run-1"),
        ({"traceparent": PARENT}, TRACE_ID),
        ({"traceparent": f"01-{TRACE_ID}-00f067aa0ba902b7-01-what-comes"}, TRACE_ID),
        ({"x-run-id": "two words", "traceparent": PARENT}, TRACE_ID),
        ({"x-run-id": "r" * 201}, None),
        ({"x-run-id": ""}, None),
        ({"x-run-id": "r\u00fcn"}, None),
        ({"x-run-id": "a\nb"}, None),
        ({"x-run-id": "r" * 10_000_000, "traceparent": "0" * 10_000_000}, None),
        ({"traceparent": f"01-{TRACE_ID}-00f067aa0ba902b7-01-{'x' * 10_000_000}"}, None),
        ({"traceparent": f"{PARENT}-more"}, None),
        ({"traceparent": f"ff-{TRACE_ID}-00f067aa0ba902b7-01"}, None),
        ({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}, None),
        ({"traceparent": f"00-{TRACE_ID}-{'0' * 16}-01"}, None),
        ({"traceparent": PARENT.upper()}, None),
        ({"traceparent": TRACE_ID}, None),
        ({}, None),
    ],
)
def test_a_run_is_named_by_headers_that_are_valid(
    headers: dict[str, str], run_id: str | None
) -> None:
    """`x-run-id` wins over `traceparent`; one that is malformed or too long is as if not there."""
    assert run_id_of(headers.get) == run_id


@given(st.text(), st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-01"))
@example("\0", "\ud800")
def test_no_header_makes_more_than_a_short_visible_text(given_id: str, parent: str) -> None:
    """Whatever the headers are, the run is 1 to 200 visible characters, or none."""
    found = run_id_of({"x-run-id": given_id, "traceparent": parent}.get)

    assert found is None or re.fullmatch(r"[\x21-\x7e]{1,200}", found)


def test_a_request_has_the_user_the_tags_and_the_release_of_the_app() -> None:
    """What the app has asked for is in the run; a user id that is a number becomes a text."""
    requests = Requests(lambda request: request["id"], ["web"], "1.2")

    run = run_of(requests, {"id": 7}, x_run_id="run-1")

    assert (run.run_id, run.user_id, run.tags, run.release) == ("run-1", "7", ("web",), "1.2")


def test_headers_that_are_not_to_be_read_name_no_run() -> None:
    """With `read_headers=False` each request is a new run, whatever its client says."""
    requests = Requests(read_headers=False)

    runs = [run_of(requests, x_run_id="run-1", traceparent=PARENT).run_id for _ in range(2)]

    assert runs[0] != runs[1]
    assert not {"run-1", TRACE_ID} & set(runs)


def test_without_a_name_the_host_may_give_one() -> None:
    """Where the headers name no run, `otherwise` does."""
    inside = Requests().inside(lambda _: None, None, "request-1")

    inside.resume()
    run = current_run()
    inside.pause()
    assert run is not None
    assert run.run_id == "request-1"


def test_a_user_function_that_fails_leaves_the_user_out(caplog: pytest.LogCaptureFixture) -> None:
    """The request is in its run, without a user, and one warning names the exception."""
    requests = Requests(lambda request: request["id"])

    run = run_of(requests, {}, x_run_id="run-1")

    assert (run.run_id, run.user_id) == ("run-1", None)
    assert "the function `user` raised KeyError" in caplog.text


def test_a_user_function_may_know_nobody() -> None:
    """A request of nobody has no user."""
    assert run_of(Requests(lambda _: None)).user_id is None


async def user_of(_: Any) -> str:
    """Tell a user, but later."""
    return "ada"


@pytest.mark.parametrize("user", ["ada", user_of])
def test_a_user_that_is_no_function_is_refused_at_once(user: Any) -> None:
    """A mistake is told when the app is made, not at a request."""
    with pytest.raises(ConfigurationError, match=r"`user` must be a function, .* got .*"):
        Requests(user)


def test_a_failure_of_ours_leaves_the_request_where_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If reading the headers fails, the request is served all the same, and a warning says so."""

    def fail(_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(_requests, "run_id_of", fail)
    inside = Requests().inside(lambda _: None, None)

    inside.resume()
    assert current_run() is None
    inside.pause()
    assert "A request is in no run: RuntimeError: ours" in caplog.text


def test_items_are_made_and_closed_inside_the_run_and_handed_out_outside_of_it() -> None:
    """A body that is streamed sees its run; who sends it, between two items, does not."""
    seen: list[str | None] = []

    def note() -> None:
        run = current_run()
        seen.append(run.run_id if run else None)

    def body() -> Iterator[bytes]:
        try:
            for part in (b"a", b"b", b"c"):
                note()
                yield part
        finally:
            note()

    items = Items(body(), Inside(Run("run-1")))
    iterator = iter(items)
    handed = [next(iterator)]
    note()
    handed.append(next(iterator))
    items.close()

    assert handed == [b"a", b"b"]
    assert seen == ["run-1", None, "run-1", "run-1"]
    assert current_run() is None


def test_items_that_cannot_be_closed_are_left_to_end() -> None:
    """`close()` of a body without one does nothing."""
    items = Items([b"a"], Inside(Run("run-1")))

    items.close()

    assert list(items) == [b"a"]
