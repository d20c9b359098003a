"""Proxies and authorities of the environment are used; nobody is trusted without one."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from watchllm._network import is_loopback
from watchllm._runtime import Clock
from watchllm._transport import HttpTransport
from watchllm.testing import Delivered, Outcome, Retry

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Iterator

    from collector import Collector

BODY = b'{"events":[{"event_id":"e"}]}'
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}'


@pytest.fixture(autouse=True)
def _no_authorities_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


def send(base_url: str) -> Outcome:
    """Send one body over a transport of its own."""
    transport = HttpTransport(base_url, "key", "1", Clock())
    try:
        return transport.send(BODY, 5)
    finally:
        transport.close()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A request to another machine goes through it, with its user and password, the key within."""
    address = collector.base_url[len("http://") : -len("/v1")]
    monkeypatch.setenv(name, f"http://me:p%40ss@{address}")
    outcome = send("http://collector.example/v1")
    (request,) = collector.requests

    assert isinstance(outcome, Delivered)
    assert request.path == "http://collector.example/v1/events/batch"
    assert request.headers["Authorization"] == "Bearer key"
    expected = base64.b64encode(b"me:p@ss").decode()
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["proxy-authorization"] == f"Basic {expected}"


def test_a_proxy_may_be_named_without_a_scheme_and_passed_by(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """host:port is a proxy too; addresses in NO_PROXY are reached without any."""
    address = collector.base_url[len("http://") : -len("/v1")]
    monkeypatch.setenv("HTTP_PROXY", address)
    assert isinstance(send("http://collector.example/v1"), Delivered)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert isinstance(send(collector.base_url), Retry)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    assert isinstance(send(collector.base_url), Delivered)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://user:secret@proxy.example:1080", "pip install pysocks"),
        ("ftp://user:secret@proxy.example", "the proxy ftp://proxy.example of the environment"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    """The reason says what to do, and holds no password."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    outcome = send("http://collector.example/v1")

    assert isinstance(outcome, Retry)
    assert said in outcome.reason
    assert "secret" not in outcome.reason


def test_a_socks_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its package installed a SOCKS proxy is asked for the collector by name."""
    asked = []

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"\5\0")
                asked.append(connection.recv(300))
                connection.sendall(b"\5\0\0\1" + bytes(6))
                while BODY not in connection.recv(65_536):
                    pass
                connection.sendall(ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{server.getsockname()[1]}")
        outcome = send("http://collector.example/v1")
        thread.join()

    assert isinstance(outcome, Delivered)
    assert b"collector.example" in asked[0]


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run a server over https; return its address and the certificate of its authority."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError), context.wrap_socket(
                connection, server_side=True
            ) as inside:
                received = b""
                while BODY not in received:
                    received += inside.recv(65_536) or BODY
                inside.sendall(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{server.getsockname()[1]}/v1", bundle
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.filterwarnings("ignore:Python 3.8 is no longer supported")  # by cryptography
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_of_the_environment_is_trusted(
    secured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each of the usual variables names a bundle; without it the server is not trusted."""
    address, bundle = secured

    assert isinstance(send(address), Retry)
    monkeypatch.setenv(name, str(bundle))
    assert isinstance(send(address), Delivered)


@pytest.mark.filterwarnings("ignore:Python 3.8 is no longer supported")  # by cryptography
def test_a_directory_of_authorities_is_taken_and_one_that_is_not_there_passed_over(
    secured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory without the authority trusts nobody; a path that leads nowhere says nothing."""
    address, bundle = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle.parent))
    assert isinstance(send(address), Retry)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle.parent / "none"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    assert isinstance(send(address), Delivered)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:8787/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:80/v1", True),
        ("https://127.example/v1", True),
        ("https://proxy.watchllm.dev/v1", False),
    ],
)
def test_this_machine_is_known(address: str, here: bool) -> None:
    """Loopback addresses are on this machine, others may not be."""
    assert is_loopback(address) is here
