"""What pages say when the store is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.errors import StoreError
from watchllm_server.pages.routes import PAGES
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Account
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

SHOWN = [page.path for page in PAGES if page.name and page.name != "Settings"]


class Lost:
    """A store that can be lost, and found again; what `erased` asks for is there no more."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.is_away = False
        self.erased = ""

    def query(self, name: str, *given: Any) -> Any:
        """Ask a question."""
        return [] if name == self.erased else self.__getattr__("query")(name, *given)

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise StoreError("Code: 210: the host 'secret' is away. (NETWORK_ERROR)")
        return getattr(self._store, name)


@pytest.fixture(scope="module")
def lost(store: EmbeddedStore) -> Lost:
    """Return the store, which is there."""
    return Lost(store)


@pytest.fixture(scope="module")
def browser(lost: Lost, metadata: Metadata, prices: Prices) -> Iterator[TestClient]:
    """Serve the application on that store."""
    store: Any = lost
    app: Any = create_app(load_settings({}), store=store, metadata=metadata, prices=prices)
    client = ("127.0.0.1", 50_000)
    with TestClient(app, base_url="http://127.0.0.1:8787", client=client) as opened:
        yield opened


@pytest.mark.parametrize("path", SHOWN)
def test_a_lost_store_is_said_and_the_page_comes_back(
    browser: TestClient,
    lost: Lost,
    account: Account,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the store is away a page says so and loads itself again; the log says why."""
    address = f"/projects/{account.project}{path}"

    lost.is_away = True
    away = browser.get(address)
    lost.is_away = False
    back = browser.get(address)

    assert away.status_code == 503
    assert "cannot be read now" in away.text
    assert "did not answer a question: NETWORK_ERROR" in caplog.text
    assert "secret" not in away.text + caplog.text
    assert '<meta http-equiv="refresh" content="5">' in away.text
    assert f'href="/projects/{account.project}/runs' in away.text
    assert back.status_code == 200


def test_a_run_that_is_erased_while_it_is_read_is_not_there(
    browser: TestClient, lost: Lost, account: Account
) -> None:
    """Between the questions that a page asks its run may go: it is then said to be none."""
    account.send(prompt_call(run_id="r"))

    lost.erased = "run_outline"
    answer = browser.get(f"/projects/{account.project}/runs/r")
    lost.erased = ""

    assert answer.status_code == 404
    assert "There is no run of this id" in answer.text


def test_the_settings_say_that_the_store_is_away(
    browser: TestClient, lost: Lost, account: Account
) -> None:
    """Settings need no store, and show under health that it does not answer."""
    lost.is_away = True
    page = browser.get(f"/projects/{account.project}/settings")
    lost.is_away = False

    assert page.status_code == 200
    assert "does not answer" in page.text
