"""How answers are kept and matched, as the server, a project and its routes say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.rules import Rules
from watchllm_server.cache_settings import (
    LONGEST,
    ROUTES,
    Matching,
    checked_routes,
    checked_seconds,
    read_matching,
)
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
    rules = Rules(known, server)
    before = rules.seconds("p", route)

    rules.refresh()

    assert before == server
    given_by_project = server if whole is None else whole
    assert rules.seconds("p", route) == (routes or {}).get(route, given_by_project)
    assert rules.seconds("q", route) == rules.seconds("unknown", route) == server


def test_what_a_project_says_is_stored_and_taken_back(metadata: Metadata, tmp_path: Path) -> None:
    """Settings that are left out stay; null and no routes take the next one's again."""
    project = metadata.create_project(f"kept {tmp_path.name}")
    rules = Rules(metadata, 60)

    def seconds(**change: Any) -> tuple[float, float]:
        metadata.change_project(project.id, **change)
        rules.refresh()
        return (
            rules.seconds(project.id, _EMBEDDINGS),
            rules.seconds(project.id, "/v1/messages"),
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
        checked_routes(wrong, checked_seconds)


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


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("off", Matching("off", 0.01)),
        (" Shadow ", Matching("shadow", 0.01)),
        ("serve:0.02", Matching("serve", 0.02)),
    ],
)
def test_a_mode_may_have_a_share_of_errors(text: str, matching: Matching) -> None:
    """Without one it is one in a hundred, and what is written is read again."""
    assert read_matching(text) == matching
    assert read_matching(matching.text) == matching


@pytest.mark.parametrize("text", ["", "on", "serve:", "serve:0", "serve:0.6", "serve:nan", "2%"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    """The sentence says what there is, and an example."""
    with pytest.raises(ValueError, match=r"off, shadow, serve.* as in serve:0\.02"):
        read_matching(text)


def test_the_route_decides_how_questions_are_matched(metadata: Metadata, tmp_path: Path) -> None:
    """The route wins over the project, and that over the server; another project keeps its own."""
    project, other = (metadata.create_project(f"{name} {tmp_path.name}").id for name in "ab")
    rules = Rules(metadata, 60, Matching("off"))
    metadata.change_project(
        project, cache_semantic="SERVE:0.020", cache_semantic_routes={"/v1/messages": "shadow"}
    )

    rules.refresh()

    assert rules.matching(project, "/v1/messages") == Matching("shadow")
    assert rules.matching(project, "/v1/responses") == Matching("serve", 0.02)
    assert rules.matching(other, "/v1/messages") == Matching("off")
    stored = metadata.project(project)
    assert stored is not None
    assert stored.cache_semantic == "serve:0.02"


def test_the_command_sets_modes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`projects set --cache-semantic` takes modes for the project and for routes."""
    place = ["--data-dir", str(tmp_path)]
    assert main(["projects", "create", "shop", *place]) == 0

    def said(*modes: str, code: int = 0) -> str:
        capfd.readouterr()
        given = [part for mode in modes for part in ("--cache-semantic", mode)]
        assert main(["projects", "set", "shop", *given, *place]) == code
        output = capfd.readouterr()
        return output.out.strip().rpartition("by meaning: ")[2] or output.err

    assert said("serve:0.02", "/v1/messages=off") == "serve:0.02, /v1/messages off."
    assert said("default") == "as the server is set, /v1/messages off."
    assert "as in serve:0.02" in said("always", code=2)
    assert "A route is one of" in said("/v1/models=off", code=2)


def test_the_admin_api_sets_modes(account: Account) -> None:
    """PATCH takes a mode as the command does, shows it, and refuses what is none."""
    path = f"/v1/admin/projects/{account.project}"
    modes = {"cache_semantic": "serve:0.02", "cache_semantic_routes": {"/v1/messages": "off"}}

    answer = account.client.patch(path, json=modes)
    refused = account.client.patch(path, json={"cache_semantic": "always"})

    assert answer.json() | modes == answer.json()
    assert refused.status_code == 400
    assert "as in serve:0.02" in refused.json()["error"]["message"]
