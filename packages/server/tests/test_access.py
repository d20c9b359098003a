"""Who may look at the pages and administer: with a password, and without one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Account
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

PASSWORD = "correct horse battery"
HOST = "watchllm.example.com"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return the time of day of the machine."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds that it was moved by."""
        return self.seconds


@dataclass
class Site:
    """A server with a password, and browsers that look at it from elsewhere."""

    app: Any
    clock: Clock = field(default_factory=Clock)

    def browser(self, address: str = "203.0.113.9", scheme: str = "https") -> TestClient:
        """Return a new browser without cookies."""
        return TestClient(
            self.app,
            base_url=f"{scheme}://{HOST}",
            client=(address, 50_000),
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def logged_in(self) -> TestClient:
        """Return a browser that has logged in."""
        browser = self.browser()
        assert browser.post("/login", data={"password": PASSWORD}).status_code == 303
        return browser


@pytest.fixture(scope="module")
def opened(store: EmbeddedStore, metadata: Metadata, prices: Prices) -> Iterator[Site]:
    """Start the application with a password, once for this file."""
    settings = load_settings(
        {"WATCHLLM_ADMIN_PASSWORD": PASSWORD, "WATCHLLM_PUBLIC_URL": f"https://{HOST}"}
    )
    clock = Clock()
    app = create_app(
        settings, store=store, metadata=metadata, prices=prices, clock=clock, control_token="c" * 43
    )
    with TestClient(app):
        yield Site(app, clock)


@pytest.fixture
def site(opened: Site) -> Site:
    """Return the server with all wrong guesses forgiven."""
    opened.clock.seconds += 600
    return opened


def test_a_page_leads_to_the_login_and_the_login_back(site: Site, account: Account) -> None:
    """Without a session every page leads to the login, which leads to the page that was wanted."""
    browser = site.browser()
    page = f"/projects/{account.project}/runs?before=x%2By"

    asked = browser.get(page)
    form = browser.get(asked.headers["location"])
    wanted = re.findall(r'name="next" value="([^"]*)"', form.text)[0]
    answer = browser.post("/login", data={"password": PASSWORD, "next": wanted})

    assert (asked.status_code, form.status_code, answer.status_code) == (303, 200, 303)
    assert answer.headers["location"] == page
    assert browser.get(f"/projects/{account.project}/runs").status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "",
        "/projects/\r\nSet-Cookie: a=b", "/projects/a\\b",
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(site: Site, wanted: str) -> None:
    """A link that would carry the browser off to another site leads to the first page instead."""
    answer = site.browser().post("/login", data={"password": PASSWORD, "next": wanted})

    assert answer.headers["location"] == "/"


def test_the_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    """The cookie of a session is HttpOnly, SameSite, Secure under https, and bound to the host."""
    cookie = site.browser().post("/login", data={"password": PASSWORD}).headers["set-cookie"]

    assert cookie.startswith("__Host-watchllm=")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)


def test_ten_wrong_passwords_stop_the_eleventh_even_if_it_is_right(site: Site) -> None:
    """After ten wrong ones in a minute an address must wait; others need not."""
    browser = site.browser("198.51.100.4")

    wrong = [browser.post("/login", data={"password": f"guess {n}"}) for n in range(10)]
    right = browser.post("/login", data={"password": PASSWORD})
    api = browser.get("/v1/admin/projects", headers={"Authorization": f"Bearer {PASSWORD}"})

    assert [answer.status_code for answer in wrong] == [401] * 10
    assert (right.status_code, api.status_code) == (429, 429)
    assert int(right.headers["retry-after"]) == 6
    assert "set-cookie" not in right.headers
    assert site.browser("198.51.100.5").post("/login", data={"password": PASSWORD}).is_redirect
    site.clock.seconds += 6
    assert browser.post("/login", data={"password": PASSWORD}).is_redirect


def test_a_network_of_ipv6_counts_as_one(site: Site) -> None:
    """Guesses from one customer's network share their ten a minute, whatever the address."""
    for number in range(10):
        site.browser(f"2001:db8:1:2::{number}").post("/login", data={"password": "guess"})

    same = site.browser("2001:db8:1:2:ffff::1").post("/login", data={"password": PASSWORD})
    other = site.browser("2001:db8:1:3::1").post("/login", data={"password": PASSWORD})

    assert (same.status_code, other.status_code) == (429, 303)


def test_logging_out_ends_the_session_for_good(site: Site, account: Account) -> None:
    """After a log-out neither the browser nor a copy of its cookie sees a page."""
    browser, copy = site.logged_in(), site.browser()
    copy.cookies.update(browser.cookies)
    page = f"/projects/{account.project}/runs"

    answer = browser.post("/logout", data={"csrf": csrf(browser, page)}, headers=from_here())

    assert answer.status_code == 303
    assert browser.get(page).status_code == 303
    assert copy.get(page).status_code == 303


def csrf(browser: TestClient, page: str) -> str:
    """Return what the forms of a page carry."""
    found: list[str] = re.findall(r'name="csrf" value="([^"]+)"', browser.get(page).text)
    return found[0]


def from_here() -> dict[str, str]:
    """Return what a browser says of a form of the same site."""
    return {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        (True, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
        (True, {"Origin": "https://evil.example"}),
        (True, {"Origin": "null"}),
        (True, {"Origin": "http://["}),
        (True, {"Sec-Fetch-Site": "same-site"}),
        (True, {}),
        (False, from_here()),
    ],
)
def test_a_form_of_another_site_does_nothing(
    site: Site, account: Account, token: bool, headers: dict[str, str]
) -> None:
    """A form without its token, or whose browser names another origin, is refused."""
    browser = site.logged_in()
    page = f"/projects/{account.project}/runs"
    known = csrf(browser, page)

    answer = browser.post("/logout", data={"csrf": known if token else "0" * 64}, headers=headers)

    assert answer.status_code == 403
    assert browser.get(page).status_code == 200


def test_another_site_cannot_log_a_browser_in(site: Site) -> None:
    """A login that another site sends is refused although its password is right."""
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    answer = site.browser().post("/login", data={"password": PASSWORD}, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_large_form_is_refused(site: Site) -> None:
    """A form beyond 10 kB is answered 413 without being read to its end."""
    assert site.browser().post("/login", data={"password": "x" * 20_000}).status_code == 413


def test_every_page_carries_the_headers_that_bind_a_browser(site: Site, account: Account) -> None:
    """Pages, login and refusals forbid foreign scripts, frames, foreign forms and caching."""
    browser = site.logged_in()

    for path in (f"/projects/{account.project}/runs", "/login", "/projects/none/runs"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["strict-transport-security"].startswith("max-age=")


def test_no_page_has_inline_script_or_style(site: Site, account: Account) -> None:
    """What the policy forbids is not in the pages either."""
    browser = site.logged_in()

    for path in (f"/projects/{account.project}/runs", "/login"):
        inline = r"<script(?! src=\"/static/[\w.]+\" defer></script>)|<style|\sstyle=|\son\w+="
        assert not re.search(inline, browser.get(path).text)


ADMIN = ("GET", "/v1/admin/projects")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {PASSWORD}", 200),
        (f"Bearer {'c' * 43}", 200),
        ("Bearer wrong", 401),
        ("Basic Og==", 401),
        (f"Basic {PASSWORD}", 401),
        ("", 401),
        (None, 401),
    ],
)
def test_the_admin_api_takes_the_password_and_the_control_token(
    site: Site, authorization: str | None, status: int
) -> None:
    """With a password set nobody administers without a secret; a session's cookie is none."""
    browser = site.logged_in()
    headers = {} if authorization is None else {"Authorization": authorization}

    assert browser.request(*ADMIN, headers=headers).status_code == status


def test_on_this_machine_too_the_password_is_needed(site: Site, account: Account) -> None:
    """Where there is a password, it is asked for on the same machine as well."""
    local = TestClient(site.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1))

    assert local.request(*ADMIN).status_code == 401
    page = local.get(f"/projects/{account.project}/runs", follow_redirects=False)
    assert page.status_code == 303


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
)
def test_without_a_password_a_proxy_on_this_machine_opens_nothing(
    account: Account, header: str
) -> None:
    """A request that was forwarded is not from here, even if it comes from this machine."""
    page = f"/projects/{account.project}/runs"

    assert account.client.get(page, headers={header: "203.0.113.9"}).status_code == 403
    assert account.client.request(*ADMIN, headers={header: "203.0.113.9"}).status_code == 403
    assert account.client.get(page).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ],
)
def test_without_a_password_a_browser_on_this_machine_is_not_led_astray(
    account: Account, headers: dict[str, str]
) -> None:
    """A page of another site that a browser here shows cannot use the open admin API."""
    answer = account.client.post(
        f"/v1/admin/projects/{account.project}/keys", json={}, headers=headers
    )

    assert answer.status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_can_send_is_no_admin_request(account: Account, kind: str) -> None:
    """A body must say that it is JSON, which the form of another site cannot."""
    answer = account.client.post(
        f"/v1/admin/projects/{account.project}/keys",
        content=b"{}",
        headers={"Content-Type": kind},
    )

    assert answer.status_code == 415


def test_the_login_leads_home_where_there_is_no_password(account: Account) -> None:
    """Without a password there is nothing to log in to."""
    assert account.client.get("/login").headers["location"] == "/"
    answer = account.client.post(
        "/login", data={"password": "x"}, headers={"Origin": "http://127.0.0.1:8787"}
    )
    assert answer.status_code == 401


def test_a_key_that_is_revoked_counts_at_once_in_this_process(
    new_account: Callable[[], Account],
) -> None:
    """What is revoked through the API is refused by the next request, not a second later."""
    account = new_account()
    assert account.get("/v1/runs")[0] == 200
    base = f"/v1/admin/projects/{account.project}/keys"
    (key,) = account.client.get(base).json()["keys"]

    assert account.client.delete(f"{base}/{key['id']}").json()["revoked_at"] is not None

    assert account.get("/v1/runs")[0] == 401
