"""The HTTP transport turns every answer of a network into an outcome."""

from __future__ import annotations

import email.utils
import os
import socket
import ssl
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from collector import Reply
from conftest import log_call

from watchllm import WatchLLMClient
from watchllm._runtime import Clock
from watchllm._transport import HttpTransport, Transport
from watchllm.testing import Delivered, Outcome, Refused, Retry, TooLarge, Unauthorised

if TYPE_CHECKING:
    from typing import Iterator

    from collector import Collector

KEY = "key-of-the-test"
BODY = b'{"events":[{"event_id":"e"}]}'
LARGE = b'{"events":[{"prompt":"' + b"x" * 5_000 + b'"}]}'


@pytest.fixture
def transport(collector: Collector) -> Iterator[HttpTransport]:
    """Return a transport to the collector."""
    made = HttpTransport(collector.base_url, KEY, "9.9.9", Clock())
    yield made
    made.close()


@pytest.fixture
def far(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpTransport]:
    """Return a transport to another machine, whose proxy is the collector."""
    monkeypatch.setenv("HTTP_PROXY", collector.base_url[: -len("/v1")])
    made = HttpTransport("http://collector.example/v1", KEY, "9.9.9", Clock())
    yield made
    made.close()


def reason(outcome: Outcome) -> str:
    """Return the reason of a failure, which never holds the key."""
    assert isinstance(outcome, (Retry, Refused, Unauthorised))
    assert KEY not in outcome.reason
    return outcome.reason


def error(status: int, code: str = "", message: str = "", **headers: str) -> Reply:
    """Return an answer with the wire's error body."""
    content = {"error": {"type": "t", "code": code, "message": message}}
    return Reply(status, content, {name.replace("_", "-"): v for name, v in headers.items()})


def test_a_batch_is_posted_as_the_wire_says(collector: Collector, transport: HttpTransport) -> None:
    """Path, key, content type and sender are those of the wire, and the body is as given."""
    outcome = transport.send(BODY, 5)
    (request,) = collector.requests

    assert isinstance(outcome, Delivered)
    assert (outcome.refused, outcome.max_batch) == ([], None)
    assert request.path == "/v1/events/batch"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "watchllm-python/9.9.9"
    assert "Content-Encoding" not in request.headers
    assert request.body == BODY


def test_an_answer_names_refused_events_and_the_largest_batch(
    collector: Collector, transport: HttpTransport
) -> None:
    """Errors of single events come with index, id, code and message; other things do not."""
    collector.replies.append(
        Reply(
            content={
                "success": True,
                "errors": [
                    {"index": 3, "event_id": "e", "code": "invalid_field", "message": "no"},
                    {"index": True},
                    {"event_id": "x"},
                    "nonsense",
                ],
            },
            headers={"X-WatchLLM-Max-Batch": "500"},
        )
    )
    outcome = transport.send(BODY, 5)

    assert isinstance(outcome, Delivered)
    assert outcome.max_batch == 500
    (refusal,) = outcome.refused
    assert (refusal.index, refusal.event_id) == (3, "e")
    assert (refusal.code, refusal.message) == ("invalid_field", "no")


@pytest.mark.parametrize("advertised", ["0", "many", "-5", "99999999", "²"])
def test_a_senseless_limit_is_ignored(
    collector: Collector, transport: HttpTransport, advertised: str
) -> None:
    """A limit that is no number of events is as if it were absent."""
    collector.replies.append(
        Reply(content={"errors": None}, headers={"X-WatchLLM-Max-Batch": advertised})
        if advertised.isascii()
        else Reply(content={"errors": None})
    )
    outcome = transport.send(BODY, 5)

    assert isinstance(outcome, Delivered)
    assert outcome.max_batch is None


def test_compression_starts_when_it_is_advertised_and_ends_when_it_is_not(
    collector: Collector, transport: HttpTransport, far: HttpTransport
) -> None:
    """Bodies are gzipped only after an answer said so, small ones never, nor on this machine."""
    gzip = Reply(content={"success": True}, headers={"Accept-Encoding": "gzip, zstd"})
    collector.replies += [gzip, gzip, gzip]
    for body in (LARGE, LARGE, BODY, LARGE):
        far.send(body, 5)
    packed = [request.headers.get("Content-Encoding") for request in collector.requests]

    assert packed == [None, "gzip", None, "gzip"]
    assert len(collector.requests[1].body) < len(LARGE) / 10
    assert collector.requests[1].content() == collector.requests[0].content()
    far.send(LARGE, 5)
    assert "Content-Encoding" not in collector.requests[-1].headers
    collector.replies += [gzip]
    transport.send(LARGE, 5)
    transport.send(LARGE, 5)
    assert "Content-Encoding" not in collector.requests[-1].headers


@pytest.mark.parametrize(
    "refusal", [error(415, "unsupported_encoding"), error(400, "invalid_encoding"), error(415)]
)
def test_a_server_that_no_longer_takes_gzip_gets_plain_bodies(
    collector: Collector, far: HttpTransport, refusal: Reply
) -> None:
    """When a compressed body is refused as such, it is sent again at once, plain."""
    collector.replies += [
        Reply(content={"success": True}, headers={"Accept-Encoding": "gzip"}),
        refusal,
    ]
    far.send(LARGE, 5)
    outcome = far.send(LARGE, 5)
    far.send(LARGE, 5)

    assert isinstance(outcome, Retry)
    assert outcome.after == 0.0
    assert "Content-Encoding" not in collector.requests[2].headers


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (error(400, "invalid_json", "no JSON"), Refused, "answered 400 invalid_json no JSON."),
        (error(415), Refused, "answered 415"),
        (error(422), Refused, "answered 422"),
        (error(401, "unknown_key"), Unauthorised, "does not know the key (401)"),
        (error(403, "wrong_project"), Unauthorised, "refused the key for this project (403)"),
        (error(404, "not_found"), Retry, "Is base_url right?"),
        (error(405), Retry, "Is base_url right?"),
        (error(408), Retry, "answered 408"),
        (error(429, "busy"), Retry, "answered 429 busy"),
        (error(500), Retry, "answered 500"),
        (error(503, "shutting_down"), Retry, "answered 503 shutting_down"),
        (Reply(302, headers={"Location": "https://elsewhere/v1"}), Retry, "https://elsewhere/v1"),
        (Reply(304), Retry, "another address"),
        (Reply(200, b"<html>"), Retry, "something else than the collector's JSON"),
        (Reply(200, b"[1]"), Retry, "something else than the collector's JSON"),
        (Reply(200, b"[" * 100_000), Retry, "something else than the collector's JSON"),
        (Reply(500, b'{"error": "text"}'), Retry, "answered 500."),
    ],
)
def test_each_status_has_its_outcome(
    collector: Collector, transport: HttpTransport, reply: Reply, kind: type[Outcome], said: str
) -> None:
    """What can succeed later is tried again, what cannot is not, and the reason says what to do."""
    collector.replies.append(reply)
    outcome = transport.send(BODY, 5)

    assert type(outcome) is kind
    assert said in reason(outcome)


def test_too_large_is_an_outcome_of_its_own(collector: Collector, transport: HttpTransport) -> None:
    """413 lets the worker split."""
    collector.replies.append(error(413, "body_too_large"))

    assert isinstance(transport.send(BODY, 5), TooLarge)


def test_retry_after_is_passed_on(collector: Collector, transport: HttpTransport) -> None:
    """Both forms of the header become seconds."""
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    collector.replies += [error(429, Retry_After="7"), error(503, Retry_After=date), error(503)]
    outcomes = [transport.send(BODY, 5) for _ in range(3)]

    first, second, third = (one.after for one in outcomes if isinstance(one, Retry))
    assert first == 7.0
    assert second is not None
    assert 50 < second <= 60
    assert third is None


def test_a_redirect_is_not_followed(collector: Collector, transport: HttpTransport) -> None:
    """The key is sent to no other place than the one that was configured."""
    collector.replies.append(Reply(307, headers={"Location": f"{collector.base_url}/other"}))
    transport.send(BODY, 5)

    assert [request.path for request in collector.requests] == ["/v1/events/batch"]


def test_one_connection_is_kept(collector: Collector, transport: HttpTransport) -> None:
    """Batches after each other, failures among them, use one connection until it is closed."""
    collector.replies += [Reply(content={}), error(503), Reply(content={})]
    for _ in range(4):
        transport.send(BODY, 5)

    assert len(collector.connections) == 1
    transport.close()
    transport.close()
    assert isinstance(transport.send(BODY, 5), Delivered)


def test_an_answer_without_end_is_cut_and_its_connection_closed(
    collector: Collector, transport: HttpTransport
) -> None:
    """No more than 1 MB of an answer is read, and the rest is not taken for the next answer."""
    collector.replies.append(Reply(503, b"x" * 3_000_000))
    outcome = transport.send(BODY, 5)

    assert isinstance(outcome, Retry)
    assert isinstance(transport.send(BODY, 5), Delivered)


def test_a_connection_that_is_reset_is_a_failed_attempt(
    collector: Collector, transport: HttpTransport
) -> None:
    """A server that hangs up without an answer has not taken the batch."""
    collector.replies.append(Reply(hang_up=True))

    assert "could not be reached" in reason(transport.send(BODY, 5))
    assert isinstance(transport.send(BODY, 5), Delivered)


def test_an_answer_that_breaks_off_is_a_failed_attempt() -> None:
    """A connection that ends in the middle of an answer has not answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_half() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

        thread = threading.Thread(target=answer_half)
        thread.start()
        transport = HttpTransport(
            f"http://127.0.0.1:{server.getsockname()[1]}/v1", KEY, "1", Clock()
        )
        outcome = transport.send(BODY, 5)
        thread.join()
        transport.close()

    assert isinstance(outcome, Retry)


def test_a_server_that_is_not_there_is_said(collector: Collector) -> None:
    """A port without a listener, and an impossible name, are failed attempts with a cause."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nobody = HttpTransport(f"http://127.0.0.1:{port}/v1", KEY, "1", Clock())
    nonsense = HttpTransport(f"http://{'a' * 70}..b/v1", KEY, "1", Clock())

    said = reason(nobody.send(BODY, 5))
    assert f"http://127.0.0.1:{port}/v1 could not be reached" in said
    assert "refused" in said
    assert "could not be reached" in reason(nonsense.send(BODY, 5))


def test_a_server_that_does_not_answer_in_time_is_a_failed_attempt(
    collector: Collector, transport: HttpTransport
) -> None:
    """The timeout ends a request whose answer does not come."""
    let_go = threading.Event()
    collector.replies.append(Reply(wait_for=let_go))
    outcome = transport.send(BODY, 0.05)
    let_go.set()

    assert "Timeout" in reason(outcome)


def test_a_child_leaves_the_parents_connection_alone(
    collector: Collector, transport: HttpTransport
) -> None:
    """After a fork another connection is used."""
    transport.send(BODY, 5)
    transport.after_fork()
    outcome = transport.send(BODY, 5)

    assert isinstance(outcome, Delivered)


@pytest.mark.filterwarnings("ignore:Python 3.8 is no longer supported")  # by cryptography
def test_a_server_that_cannot_prove_who_it_is_gets_no_key() -> None:
    """Over https a certificate of an unknown authority ends the attempt before anything is sent."""
    import trustme

    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    received = []

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError), context.wrap_socket(
                connection, server_side=True
            ) as secured:
                received.append(secured.recv(1))

        thread = threading.Thread(target=accept)
        thread.start()
        transport = HttpTransport(
            f"https://127.0.0.1:{server.getsockname()[1]}/v1", KEY, "1", Clock()
        )
        outcome = transport.send(BODY, 5)
        thread.join()
        transport.close()

    assert "certificate" in reason(outcome).lower()
    assert received == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forking_works_while_the_transport_is_in_use(transport: HttpTransport) -> None:
    """A fork between two batches leaves the parent's transport as it was."""
    assert isinstance(transport.send(BODY, 5), Delivered)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: there are threads
        child = os.fork()
    if child == 0:
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert isinstance(transport.send(BODY, 5), Delivered)


def test_a_transport_of_ones_own_needs_only_send() -> None:
    """The base class does nothing on closing and forking, and cannot send."""
    base = Transport()
    base.close()
    base.after_fork()

    with pytest.raises(NotImplementedError):
        base.send(b"", 1)


def client_of(collector: Collector, **options: Any) -> WatchLLMClient:
    """Return a client of the collector."""
    given: dict[str, Any] = {"api_key": KEY, "project_id": "p", "base_url": collector.base_url}
    return WatchLLMClient(**{**given, **options})


def test_a_client_delivers_through_faults(collector: Collector) -> None:
    """503, a reset, 429 and 413 in a row: every event arrives once, in order."""
    collector.replies += [
        error(503, Retry_After="0"),
        error(429, Retry_After="0"),
        error(413),
        error(503, Retry_After="0"),
    ]
    client = client_of(collector, batch_size=10)
    ids = [log_call(client) for _ in range(25)]
    assert client.flush(30)
    client.close()

    accepted = [event["event_id"] for r in collector.requests[4:] for event in r.events()]
    assert accepted == ids
    assert client.stats()["sent"] == 25


def test_a_client_recovers_from_a_reset_connection(collector: Collector) -> None:
    """An event whose connection was reset is sent again with the same id."""
    collector.replies.append(Reply(hang_up=True))
    client = client_of(collector)
    event_id = log_call(client)
    assert client.flush(30)
    client.close()

    assert [event["event_id"] for event in collector.events()] == [event_id, event_id]


def test_a_client_with_an_unknown_key_stops(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """After 401 nothing more is sent, one line says why, and what waited stays on disk."""
    collector.replies += [error(401, "unknown_key")] * 5
    client = client_of(collector, batch_size=1)
    for _ in range(5):
        log_call(client)
    assert not client.flush()
    assert not client.close()

    assert len(collector.requests) == 1
    assert (client.stats()["queued"], client.stats()["dropped"]) == (5, {})
    assert len([r for r in caplog.records if "does not know the key (401)" in r.message]) == 1
    assert KEY not in caplog.text
