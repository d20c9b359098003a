"""No key reaches another project: every route of the application is tried."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from starlette.routing import Route
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.metadata import SCOPES
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

MARK = "marked-as-the-property-of-another"
# What anyone may ask, because it tells nothing of a project. A route that is neither here nor a
# page must ask for a key, or the tests below fail.
OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/static/{name:path}"}
# The pages have no keys: a session sees all projects (test_access.py).
PAGES = ("/", "/login", "/logout", "/projects/{project_id}")


def routes_of(app: ASGIApp) -> list[tuple[str, str]]:
    """Return method and path of every route, however the application is wrapped."""
    found: Any = app
    while not hasattr(found, "routes"):
        found = vars(found).get("app") or vars(found)["_app"]
    listed = []
    for route in found.routes:
        assert isinstance(route, Route)
        methods = sorted((route.methods or set()) - {"HEAD"})
        listed += [(method, route.path) for method in methods]
    return listed


def is_keyed(path: str) -> bool:
    """Return whether a route must ask for a key."""
    is_page = path in PAGES or path.startswith("/projects/{project_id}/")
    return path not in OPEN and not is_page


@dataclass(frozen=True)
class Crossing:
    """A victim's account, another's, and what both may try it with."""

    victim: Account
    event_id: str
    key_id: int

    def path(self, template: str) -> str:
        """Return an address of a route that names what is the victim's."""
        values = {
            "project_id": self.victim.project,
            "key_id": str(self.key_id),
            "event_id": self.event_id,
            "run_id": f"run-{MARK}",
        }
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda hit: values.get(hit[1], MARK), template)

    def questions(self) -> Iterator[tuple[str, bytes]]:
        """Return query strings and bodies that ask for what is the victim's."""
        project, run = self.victim.project, f"run-{MARK}"
        strings = ["", f"project_id={project}", f"project={project}", f"run_id={run}"]
        stolen = prompt_call(project_id=project, prompt=MARK)
        bodies: list[dict[str, Any]] = [
            {},
            {"project_id": project},
            {"run_id": run},
            {"user_id": f"user-{MARK}"},
            {"text_search": MARK},
            {"retention_days": 1, "redact": "off"},
            {"events": [stolen]},
        ]
        for string, body in itertools.product(strings, bodies):
            yield string, json.dumps(body).encode()


@pytest.fixture
def crossing(new_account: Callable[[], Account], metadata: Metadata) -> Crossing:
    """Return a victim whose every value carries a mark."""
    victim = new_account()
    event = prompt_call(
        prompt=f"prompt {MARK}", response=MARK, run_id=f"run-{MARK}", user_id=f"user-{MARK}",
        tags=[MARK], release=MARK, model=MARK,
    )  # fmt: skip
    victim.send(event)
    metadata.change_project(victim.project, retention_days=4_321)
    key, _ = metadata.create_key(victim.project, name=f"key {MARK}")
    return Crossing(victim, event["event_id"], key.id)


@pytest.fixture(scope="module")
def guarded(store: EmbeddedStore, metadata: Metadata, prices: Prices) -> Iterator[TestClient]:
    """Serve the application to others, who have to show a password or a key."""
    settings = load_settings({"WATCHLLM_ADMIN_PASSWORD": "correct horse battery"})
    app = create_app(settings, store=store, metadata=metadata, prices=prices)
    with TestClient(
        app, base_url="http://10.1.2.3:8787", client=("10.9.8.7", 5), raise_server_exceptions=False
    ) as client:
        yield client


def test_no_key_reads_or_changes_another_project(
    guarded: TestClient, crossing: Crossing, new_account: Callable[[], Account], metadata: Metadata
) -> None:
    """A key of every scope, tried on every route with all that names another project, gets nothing.

    No answer holds a marked value, and the other project is afterwards as it was.
    """
    thief = new_account()
    _, secret = metadata.create_key(thief.project, scopes=SCOPES)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    tried = 0

    for method, template in routes_of(guarded.app):
        if not is_keyed(template):
            continue
        for string, body in crossing.questions():
            answer = guarded.request(
                method, f"{crossing.path(template)}?{string}", content=body, headers=headers
            )
            # What was asked may be repeated; what is stored must not be shown.
            shown = answer.text.replace(f"run-{MARK}", "").replace(f"user-{MARK}", "")
            assert MARK not in shown, (method, template, string, body)
            assert answer.status_code < 500, (method, template, answer.text)
            tried += 1

    assert tried > 100
    assert crossing.victim.ids() == [crossing.event_id]
    project = metadata.project(crossing.victim.project)
    assert project is not None
    assert (project.retention_days, project.redact) == (4_321, None)
    assert [key.revoked_at for key, _ in metadata.all_keys(project.id)] == [None, None]


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wllm_of-nobody-0123456789abcdef", "Basic x"]
)
def test_without_a_key_no_route_of_a_project_answers(
    guarded: TestClient, crossing: Crossing, authorization: str | None
) -> None:
    """Every route that is not open answers 401 without a key, or with one that nobody has.

    A new route that forgets to ask for a key fails here.
    """
    headers = {"Content-Type": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization

    for method, template in routes_of(guarded.app):
        if not is_keyed(template):
            continue
        string, body = next(crossing.questions())
        address = f"{crossing.path(template)}?{string}"
        answer = guarded.request(method, address, content=body, headers=headers)
        refused = {403} if template == "/v1/admin/backup" else {401, 429}
        assert answer.status_code in refused, (method, template, answer.text)


def test_a_revoked_key_and_one_without_scopes_open_nothing(
    guarded: TestClient, crossing: Crossing, metadata: Metadata
) -> None:
    """A project's own key that was revoked is refused everywhere; one scope opens only its own."""
    project = crossing.victim.project
    revoked, dead = metadata.create_key(project, scopes=SCOPES)
    metadata.revoke_key(revoked.id)
    _, only_gateway = metadata.create_key(project, scopes=["gateway"])
    keyed = [route for route in routes_of(guarded.app) if is_keyed(route[1])]
    events = json.dumps({"events": [prompt_call()]}).encode()

    for method, template in keyed:
        answers = {}
        for name, secret in (("dead", dead), ("narrow", only_gateway)):
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
            answers[name] = guarded.request(
                method, crossing.path(template), content=events, headers=headers
            )
        assert answers["dead"].status_code in {401, 403, 429}, (method, template)
        assert MARK not in answers["dead"].text
        if is_of_the_store(template):
            assert answers["narrow"].status_code == 403, (method, template)


def is_of_the_store(template: str) -> bool:
    """Return whether a route takes or shows events, as opposed to calling a model."""
    parts = ("/v1/events", "/v1/runs", "/v1/traces", "/v1/analytics", "/v1/export", "/v1/admin")
    return template.startswith(parts)


def test_the_pages_need_a_session(guarded: TestClient, crossing: Crossing) -> None:
    """Every page leads to the login, and shows nothing, without a session."""
    for method, template in routes_of(guarded.app):
        if is_keyed(template) or template in OPEN or template in {"/login", "/logout"}:
            continue
        answer = guarded.request(method, crossing.path(template), follow_redirects=False)
        assert answer.status_code in {303, 403}, (method, template)
        assert MARK not in answer.text
