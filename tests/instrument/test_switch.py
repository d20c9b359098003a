"""Switching instrumentation on and off, beside others who wrap, and when it fails itself."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from watchllm import ConfigurationError
from watchllm.instrumentation import _call, _switch

from conftest import APIS, NAME, library, made_to_fail, method
from upstream import ANSWER

if TYPE_CHECKING:
    from conftest import Clients

API = APIS[NAME][0]


def call(clients: Clients, **options: Any) -> Any:
    """Make a call."""
    return method(clients.sync(), API)(model="gpt-4o", **options)


def methods() -> list[Any]:
    """Return the methods that instrumentation replaces, as they are now."""
    sync, async_ = _switch.LIBRARIES[NAME].clients
    owners = [getattr(library, sync), getattr(library, async_)]
    owners += [library.Stream, library.AsyncStream]
    names = ["request", "request", "close", "close"]
    return [getattr(owner, name) for owner, name in zip(owners, names)]


def test_disabling_gives_back_the_originals(watchllm_events: Any) -> None:
    """The methods are the same objects as before, however often it was switched."""
    before = methods()
    for _ in range(2):
        assert watchllm.auto_instrument() == [NAME]
        assert watchllm.auto_instrument(NAME) == [NAME]
        assert watchllm.is_instrumented()
        assert watchllm.is_instrumented(NAME)
        assert not watchllm.is_instrumented("another")
        assert all(now is not then for now, then in zip(methods(), before))
        watchllm.disable_instrumentation()
        watchllm.disable_instrumentation()
        assert not watchllm.is_instrumented()
        assert methods() == before


def test_twice_is_logged_once(clients: Clients, events: Any) -> None:
    """Instrumenting again changes nothing."""
    watchllm.auto_instrument(providers=[NAME])
    call(clients)

    assert len(events) == 1


def test_a_provider_that_is_not_installed_is_left_out(
    clients: Clients, events: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for by name, it costs one warning; an unknown name is an error."""
    other = "anthropic" if NAME == "openai" else "openai"
    with caplog.at_level(logging.WARNING, "watchllm"):
        assert watchllm.auto_instrument([other, NAME]) == [NAME]
        assert watchllm.auto_instrument([other]) == []

    assert [record.getMessage() for record in caplog.records] == [
        f"The library {other} is not installed, so its calls are not logged."
    ]
    with pytest.raises(ConfigurationError, match="no provider 'openia'"):
        watchllm.auto_instrument(["openia"])


def test_options_make_the_client(watchllm_events: Any) -> None:
    """With options the default client is made from them; wrong ones raise before any change."""
    with pytest.raises(ConfigurationError):
        watchllm.auto_instrument(sample_rate=2)
    assert not watchllm.is_instrumented()
    watchllm.auto_instrument(environment="staging", project_id="p7")
    try:
        watchllm.get_client().log_error("run-1", "an error")
    finally:
        watchllm.disable_instrumentation()

    assert (watchllm_events[0]["env"], watchllm_events[0]["project_id"]) == ("staging", "p7")


@pytest.mark.parametrize("tells", [True, False])
def test_somebody_who_wraps_our_wrapper_keeps_working(
    tells: bool, clients: Clients, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disabled below another's wrapper ours passes on; enabled again it logs each call once."""
    monkeypatch.setattr(_switch, "_patches", {})
    seen = []
    watchllm.auto_instrument()
    owner = next(cls for cls in type(clients.sync()).__mro__ if "request" in vars(cls))
    ours = owner.request

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append("theirs")
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(owner, "request", functools.wraps(ours)(theirs) if tells else theirs)
    call(clients)
    watchllm.disable_instrumentation()
    call(clients)
    watchllm.auto_instrument()
    call(clients)
    watchllm.disable_instrumentation()
    monkeypatch.undo()
    owner.request = ours.__wrapped__

    assert seen == ["theirs"] * 3
    assert len(watchllm_events) == 2


def test_calls_inside_of_a_step_are_below_it(clients: Clients, events: Any) -> None:
    """A call has the step around it as its parent, and inherits the run's user and tags."""

    @watchllm.step("ask")
    def ask() -> None:
        call(clients)

    with watchllm.trace("run-t", user_id="ada", tags=["beta"], release="1"):
        ask()
    call(clients)

    inside, step, outside = events.all()
    assert inside["parent_event_id"] == step["event_id"]
    assert (inside["user_id"], inside["tags"], inside["release"]) == ("ada", ["beta"], "1")
    assert outside["run_id"].startswith("run-")
    assert "invalid_fields" not in outside


def test_a_stream_belongs_to_the_run_in_which_it_was_asked_for(
    clients: Clients, events: Any
) -> None:
    """Read in another run, and dropped there, it is in the first one."""
    if API == "messages":
        options: dict[str, Any] = {}
    else:
        options = {"stream_options": {"include_usage": True}}
    with watchllm.trace("asked", user_id="ada"):
        stream = call(clients, stream=True, **options)
    with watchllm.trace("read", user_id="bob", tags=["late"]):
        list(stream)

    (event,) = events.all()
    assert (event["run_id"], event["user_id"], event["tags"]) == ("asked", "ada", [])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (_call.Call, "__init__"),
        (_call.Call, "_fields"),
        (_call.Answer, "metadata"),
        (_call.Answer, "head"),
        (_call.Answer, "add"),
        (_call, "get_client"),
    ],
)
def test_our_own_failures_do_not_reach_the_app(
    where: Any,
    name: str,
    stream: bool,
    clients: Clients,
    events: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Made to fail on purpose, the app gets its answer, and one warning says what happened."""
    monkeypatch.setattr(_call.problems, "_counts", {})
    monkeypatch.setattr(where, name, made_to_fail)
    with caplog.at_level(logging.WARNING, "watchllm"):
        result = call(clients, stream=stream)
        chunks = list(result) if stream else []
        del result

    assert (len(chunks) > 4) is stream
    assert ["made to fail" in record.getMessage() for record in caplog.records] == [True]


def test_switched_off_while_a_stream_is_read(clients: Clients, events: Any) -> None:
    """A call that was begun is logged."""
    stream = call(clients, stream=True)
    watchllm.disable_instrumentation()
    list(stream)

    assert events[0]["response"] == ANSWER


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_is_no_json_is_the_apps(
    is_async: bool, clients: Clients, events: Any
) -> None:
    """The app gets the raw answer as it came; the event says that it could not be read."""
    if is_async:

        async def ask() -> Any:
            return await method(clients.asynchronous(), API, form="with_raw_response")(
                model="plain"
            )

        raw = clients.run(ask())
    else:
        raw = method(clients.sync(), API, form="with_raw_response")(model="plain")

    assert raw.http_response.text == ANSWER
    (event,) = events.all()
    assert (event["model"], event["response"]) == ("plain", "")
    assert event["response_metadata"]["unreadable"].startswith("JSONDecodeError")


def test_an_async_request_that_is_no_call_of_a_model_is_passed_on(
    clients: Clients, events: Any
) -> None:
    """The list of models is asked for as before, and not logged."""

    async def models() -> None:
        await clients.asynchronous().models.list()

    with pytest.raises(library.APIStatusError):
        clients.run(models())
    assert events.all() == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_from_before_is_closed_as_before(
    is_async: bool, clients: Clients, watchllm_events: Any
) -> None:
    """A stream that was asked for before instrumentation is not logged, and can be closed."""

    async def asynchronous() -> Any:
        stream = await method(clients.asynchronous(), API)(model="gpt-4o", stream=True)
        watchllm.auto_instrument()
        await stream.close()
        return stream

    if is_async:
        stream = clients.run(asynchronous())
    else:
        stream = call(clients, stream=True)
        watchllm.auto_instrument()
        stream.close()
    watchllm.disable_instrumentation()

    assert stream.response.is_closed
    assert watchllm_events.all() == []


def test_a_library_that_is_made_otherwise_is_left_alone(
    watchllm_events: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A version without the methods that we know costs a warning, no more."""
    monkeypatch.setattr(_switch, "_patches", {})
    monkeypatch.setattr(_call.problems, "_counts", {})
    known = _switch.LIBRARIES[NAME]
    for clients in (("Nothing", "Nothing"), ("Timeout", "Timeout")):
        changed = {NAME: type(known)(clients, known.streams, known.apis)}
        monkeypatch.setattr(_switch, "LIBRARIES", changed)
        with caplog.at_level(logging.WARNING, "watchllm"):
            assert watchllm.auto_instrument() == []

    assert not watchllm.is_instrumented()
    assert len(caplog.records) == 1
    assert f"Calls of {NAME} are not logged" in caplog.records[0].getMessage()


def test_importing_watchllm_loads_nothing_of_this() -> None:
    """Instrumentation is loaded when its names are used: `import watchllm` stays as quick."""
    program = (
        "import sys, watchllm\n"
        "assert not any('instrumentation' in name for name in sys.modules)\n"
        f"assert {NAME!r} not in sys.modules\n"
        "watchllm.auto_instrument\n"
        "assert 'watchllm.instrumentation' in sys.modules\n"
        f"assert {NAME!r} not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
