"""The page of settings and its forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from reading import show_page
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Account
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

OURS = {"Origin": "http://127.0.0.1:8787"}
LIMIT = {"scope": "user", "subject": "*", "unit": "usd", "per": "day", "action": "refuse"}


def act(account: Account, do: str, **fields: str) -> Any:
    """Send a form of the page as a browser on it does."""
    path = f"/projects/{account.project}/settings"
    return account.client.post(path, data={"do": do, **fields}, headers=OURS)


def text_of(account: Account) -> str:
    """Return the page's text with single blanks."""
    return " ".join(show_page(account, f"/projects/{account.project}/settings").text.split())


def test_what_is_kept_and_redacted_is_changed(account: Account, metadata: Metadata) -> None:
    """Days, seconds and kinds of personal data are stored, and the page shows them."""
    answer = act(
        account, "change-project", retention_days="7", cache_ttl="60", redact="kinds",
        **{"kind-EMAIL": "1", "kind-IP": "1"},
    )  # fmt: skip

    project = metadata.project(account.project)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/projects/{account.project}/settings#project",
    )
    assert project is not None
    assert (project.retention_days, project.cache_ttl, project.redact) == (7, 60, "EMAIL,IP")


def test_an_empty_field_takes_a_setting_back(account: Account, metadata: Metadata) -> None:
    """What is left empty is as the server has it."""
    act(account, "change-project", retention_days="7", cache_ttl="60", redact="off")

    act(account, "change-project", retention_days="", cache_ttl="", redact="")

    project = metadata.project(account.project)
    assert project is not None
    assert (project.retention_days, project.cache_ttl, project.redact) == (None, None, None)


def test_a_new_keys_secret_is_shown_once_and_opens_the_project(account: Account) -> None:
    """The answer to the form has the secret among the lines to paste; no later page has it."""
    answer = act(account, "make-key", name="bot", rate_limit="", **{"scope-read": "1"})
    [secret] = set(re.findall(r"wllm_[\w-]{32}", answer.text))

    asked = account.client.get("/v1/runs", headers={"Authorization": f"Bearer {secret}"})

    assert asked.status_code == 200
    assert f"export WATCHLLM_API_KEY={secret}" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert secret not in text_of(account)
    assert "bot" in text_of(account)


def test_a_revoked_key_is_refused_at_once(account: Account, metadata: Metadata) -> None:
    """After the form the key opens nothing, and the page says since when."""
    assert account.get("/v1/runs")[0] == 200
    [(key, _)] = metadata.all_keys(account.project)

    answer = act(account, "revoke-key", key=str(key.id))

    assert answer.status_code == 303
    assert account.get("/v1/runs")[0] == 401
    assert "revoked" in text_of(account)


def test_a_key_of_another_project_stays(
    account: Account, new_account: Callable[[], Account], metadata: Metadata
) -> None:
    """The form of one project reaches no key of another."""
    other = new_account()
    [(key, _)] = metadata.all_keys(other.project)

    answer = act(account, "revoke-key", key=str(key.id))

    assert answer.status_code == 400
    assert "no key of this number" in answer.text
    assert other.get("/v1/runs")[0] == 200


def test_a_providers_key_is_stored_and_never_shown(account: Account) -> None:
    """The page names the provider and the key's last characters alone."""
    secret = "sk-provider-0123456789abcdefWXYZ"

    stored = act(account, "put-provider", provider="OpenAI", api_key=secret)
    text = text_of(account)
    removed = act(account, "remove-provider", provider="openai")

    assert stored.headers["location"].endswith("#providers")
    assert "openai WXYZ" in text
    assert secret not in text
    assert removed.status_code == 303
    assert "WXYZ" not in text_of(account)


def test_a_limit_is_set_and_removed(account: Account) -> None:
    """A limit reads as a person says it, and is gone after its button."""
    act(account, "put-limit", amount="2.50", **LIMIT)
    text = text_of(account)

    act(account, "remove-limit", **LIMIT)

    assert "user each apart $2.5 a day refuse" in text
    assert "There is no limit." in text_of(account)


def test_another_project_is_made_and_opened(account: Account, metadata: Metadata) -> None:
    """The form leads to the settings of the new project, where its first key is made."""
    answer = act(account, "make-project", name=f"made by {account.project}")

    found = metadata.project(f"made by {account.project}")
    assert found is not None
    assert answer.headers["location"] == f"/projects/{found.id}/settings"


@pytest.mark.parametrize(
    ("do", "fields", "words"),
    [
        ("change-project", {"retention_days": "soon"}, "Days must be a whole number"),
        ("change-project", {"retention_days": "9" * 9}, "Events may be kept"),
        ("change-project", {"redact": "kinds"}, "Choose at least one kind"),
        ("make-key", {}, "A key needs a scope"),
        ("make-project", {"name": ""}, "name"),
        ("revoke-key", {"key": ""}, "no key of this number"),
        ("put-provider", {"provider": "a b", "api_key": "sk-123456"}, "small letters"),
        ("put-provider", {"provider": "openai", "api_key": "x"}, "printable ASCII"),
        ("remove-provider", {"provider": "none"}, "no key for this provider"),
        ("put-limit", {**LIMIT, "amount": "much"}, "amount of US dollars"),
        ("put-limit", {**LIMIT, "per": "year", "amount": "1"}, "per is one of"),
        ("remove-limit", LIMIT, "no such limit"),
        ("sell", {}, "names nothing that can be done"),
    ],
)
def test_an_unfit_form_is_answered_with_what_is_wrong(
    account: Account, do: str, fields: dict[str, str], words: str
) -> None:
    """What cannot be carried out changes nothing, and the page says why."""
    answer = act(account, do, **fields)

    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_another_site_can_send_no_form(
    account: Account, metadata: Metadata, headers: dict[str, str]
) -> None:
    """A form that does not come from the page itself is refused, and nothing changes."""
    path = f"/projects/{account.project}/settings"

    answer = account.client.post(path, data={"do": "make-key", "scope-admin": "1"}, headers=headers)

    assert answer.status_code == 403
    assert len(metadata.all_keys(account.project)) == 1


@pytest.fixture
def guarded(store: EmbeddedStore, metadata: Metadata, prices: Prices) -> Iterator[TestClient]:
    """Serve with a password, and without what keeps secrets."""
    settings = load_settings({"WATCHLLM_ADMIN_PASSWORD": "correct horse battery"})
    app: Any = create_app(settings, store=store, metadata=metadata, prices=prices)
    with TestClient(app, base_url="http://watchllm.example", follow_redirects=False) as browser:
        yield browser


def test_with_a_password_a_form_needs_the_sessions_mark(
    guarded: TestClient, account: Account, metadata: Metadata
) -> None:
    """Without a session a form leads to the login; in one, it needs the mark of its pages."""
    path, ours = f"/projects/{account.project}/settings", {"Origin": "http://watchllm.example"}
    form = {"do": "make-key", "scope-admin": "1"}

    outside = guarded.post(path, data=form, headers=ours)
    guarded.post("/login", data={"password": "correct horse battery"}, headers=ours)
    unmarked = guarded.post(path, data=form, headers=ours)
    marks = re.findall(r'name="csrf" value="([^"]+)"', guarded.get(path).text)
    wrong = guarded.post(path, data={**form, "csrf": f"{marks[0]}0"}, headers=ours)
    right = guarded.post(path, data={**form, "csrf": marks[0]}, headers=ours)

    assert outside.headers["location"].startswith("/login?")
    assert (unmarked.status_code, wrong.status_code, right.status_code) == (403, 403, 200)
    assert len(metadata.all_keys(account.project)) == 2


def test_a_server_that_cannot_keep_secrets_says_so(guarded: TestClient, account: Account) -> None:
    """Without a secret key there is no form for providers, and what is sent all the same fails."""
    path, ours = f"/projects/{account.project}/settings", {"Origin": "http://watchllm.example"}
    guarded.post("/login", data={"password": "correct horse battery"}, headers=ours)
    page = guarded.get(path).text
    mark = re.findall(r'name="csrf" value="([^"]+)"', page)[0]

    form = {"do": "put-provider", "provider": "openai", "api_key": "sk-123456", "csrf": mark}
    answer = guarded.post(path, data=form, headers=ours)

    assert "cannot keep keys" in page
    assert answer.status_code == 400
