"""How long answers are kept, as the server, a project and its routes say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.lifetimes import Lifetimes
from watchllm_server.cache_ttl import LONGEST, ROUTES, checked_routes
from watchllm_server.cli import main
from watchllm_server.errors import MetadataError
from watchllm_server.gateway.shapes import SHAPES
from watchllm_server.metadata.models import Project

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Account
    from watchllm_server.metadata import Metadata

_SECONDS = st.integers(0, LONGEST)
_EMBEDDINGS = "/v1/embeddings"


def test_the_routes_are_those_whose_answers_are_kept() -> None:
    """Each API that the gateway knows can have a time of its own, and nothing else can."""
    assert sorted(ROUTES) == sorted(shape.path for shape in SHAPES)


class Projects:
    """A database of projects that says what it is told."""

    def __init__(self, *projects: Project) -> None:
        self.found = projects

    def projects(self) -> list[Project]:
        return list(self.found)


@given(
    _SECONDS,
    st.none() | _SECONDS,
    st.none() | st.dictionaries(st.sampled_from(ROUTES), _SECONDS),
    st.sampled_from(ROUTES),
)
def test_the_route_wins_over_the_project_and_that_over_the_server(
    server: int, whole: int | None, routes: dict[str, int] | None, route: str
) -> None:
    """Zero is a setting like any other, and what one project says holds for no other."""
    known: Any = Projects(
        Project(id="p", name="p", cache_ttl=whole, cache_ttl_routes=routes),
        Project(id="q", name="q"),
    )
    lifetimes = Lifetimes(known, server)
    before = lifetimes.seconds("p", route)

    lifetimes.refresh()

    assert before == server
    given_by_project = server if whole is None else whole
    assert lifetimes.seconds("p", route) == (routes or {}).get(route, given_by_project)
    assert lifetimes.seconds("q", route) == lifetimes.seconds("unknown", route) == server


def test_what_a_project_says_is_stored_and_taken_back(metadata: Metadata, tmp_path: Path) -> None:
    """Settings that are left out stay; null and no routes take the next one's again."""
    project = metadata.create_project(f"kept {tmp_path.name}")
    lifetimes = Lifetimes(metadata, 60)

    def seconds(**change: Any) -> tuple[float, float]:
        metadata.change_project(project.id, **change)
        lifetimes.refresh()
        return (
            lifetimes.seconds(project.id, _EMBEDDINGS),
            lifetimes.seconds(project.id, "/v1/messages"),
        )

    assert seconds() == (60, 60)
    assert seconds(cache_ttl=0) == (0, 0)
    assert seconds(cache_ttl_routes={_EMBEDDINGS: 604_800}) == (604_800, 0)
    assert seconds(cache_ttl=None) == (604_800, 60)
    assert seconds(redact="off") == (604_800, 60)
    assert seconds(cache_ttl_routes=None) == (60, 60)
    assert seconds(cache_ttl_routes={}) == (60, 60)


@pytest.mark.parametrize(
    "wrong", [{"/v1/models": 1}, {"embeddings": 1}, {_EMBEDDINGS: -1}, {_EMBEDDINGS: LONGEST + 1}]
)
def test_a_route_that_keeps_nothing_is_none(wrong: dict[str, int]) -> None:
    """A name that is no route of the gateway, or a time that is none, is refused."""
    with pytest.raises(MetadataError):
        checked_routes(wrong)


def test_the_admin_api_sets_shows_and_refuses(account: Account) -> None:
    """PATCH changes a project's times, and a wrong one changes nothing beside it either."""
    path = f"/v1/admin/projects/{account.project}"
    times = {"cache_ttl": 3_600, "cache_ttl_routes": {_EMBEDDINGS: 0}}

    answer = account.client.patch(path, json=times)

    assert answer.json() | times == answer.json()
    for wrong in ({"cache_ttl": -1}, {"cache_ttl": "1"}, {"cache_ttl_routes": {"/v1/x": 1}}):
        answer = account.client.patch(path, json={"retention_days": 5, **wrong})
        assert answer.status_code == 400, wrong
    listed = account.client.get("/v1/admin/projects").json()["projects"]
    (shown,) = [each for each in listed if each["id"] == account.project]
    assert shown | times == shown
    assert shown["retention_days"] is None


def test_the_command_sets_and_shows_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`projects set --cache-ttl` takes times for the project and for routes, one by one."""
    place = ["--data-dir", str(tmp_path)]
    assert main(["projects", "create", "shop", *place]) == 0

    def said(*times: str, code: int = 0) -> str:
        capfd.readouterr()
        given = [part for time in times for part in ("--cache-ttl", time)]
        assert main(["projects", "set", "shop", *given, *place]) == code
        output = capfd.readouterr()
        return output.out.strip().rpartition("are kept: ")[2] or output.err

    assert said("3600", "/v1/embeddings=604800") == "3600 s, /v1/embeddings 604800 s."
    assert said("/v1/messages=0") == "3600 s, /v1/embeddings 604800 s, /v1/messages 0 s."
    assert said("/v1/embeddings=default", "default") == "as the server is set, /v1/messages 0 s."
    assert "a number of seconds" in said("an hour", code=2)
    assert "A route is one of" in said("/v1/models=5", code=2)
    assert "Give what to change" in said(code=2)
    assert said("/v1/messages=default") == "as the server is set."
