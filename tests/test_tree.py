"""The tree stays one in which a newcomer finds any behaviour."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from watchllm._cli import OF_THE_SERVER
from watchllm_server.cli import COMMANDS

ROOT = Path(__file__).parent.parent
SDK = ROOT / "packages" / "sdk-python" / "src" / "watchllm"
SERVER = ROOT / "packages" / "server" / "src" / "watchllm_server"


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks and that are there."""
    names = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_of_code_is_longer_than_500_lines() -> None:
    """Every Python, SQL, HTML and CSS file fits into 500 lines."""
    files = tracked("*.py", "*.sql", "*.html", "*.css")

    long = {
        str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text().splitlines())) > 500
    }

    assert files
    assert long == {}


@pytest.mark.parametrize(
    "name",
    [
        "__init__.py", "_client.py", "_config.py", "_enums.py", "_events.py", "_sampling.py",
        "_redaction", "_encoding.py", "_spool", "_delivery.py", "_worker.py", "_transport.py",
        "_retry.py",
        "_stats.py", "_runtime.py", "_context.py", "errors.py", "testing.py", "py.typed",
    ],
)  # fmt: skip
def test_each_step_of_the_sdk_has_its_file(name: str) -> None:
    """The steps that the architecture page draws for the SDK are files of those names."""
    assert (SDK / name).exists()


@pytest.mark.parametrize(
    "name",
    [
        "cli.py", "settings.py", "app.py", "auth.py", "errors.py", "clock.py", "events.py",
        "pricing.py", "redaction.py", "metadata", "ingest/batch.py", "ingest/commit.py",
        "store/base.py",
        "store/embedded.py", "store/schema", "store/queries", "query/events.py", "query/runs.py",
        "pages/routes.py", "pages/site.py", "pages/filters.py", "pages/templates", "pages/static",
        "api", "py.typed",
    ],
)  # fmt: skip
def test_each_step_of_the_server_has_its_file(name: str) -> None:
    """The steps that the architecture page draws for the server are files of those names."""
    assert (SERVER / name).exists()


def test_the_packages_share_one_function_and_no_other_code() -> None:
    """The server's redaction uses the SDK's public names; all else that they share is data."""
    crossing = [
        str(path.relative_to(ROOT))
        for folder, other in ((SDK, "watchllm_server"), (SERVER, "watchllm"))
        for path in folder.rglob("*.py")
        if re.search(rf"^\s*(from|import) {other}\b", path.read_text(), re.MULTILINE)
    ]

    assert crossing == ["packages/server/src/watchllm_server/redaction.py"]
    assert "watchllm." not in (SERVER / "redaction.py").read_text()


def test_both_packages_carry_the_same_version() -> None:
    """One version stands in the SDK's `_version.py` and in the server's pyproject."""
    server = tomllib.loads((ROOT / "packages" / "server" / "pyproject.toml").read_text())

    assert f'__version__ = "{server["project"]["version"]}"\n' in (SDK / "_version.py").read_text()


def test_every_dependency_has_its_reason_beside_it() -> None:
    """Each line of a dependency list ends in a comment that says why."""
    for name in ("sdk-python", "server"):
        text = (ROOT / "packages" / name / "pyproject.toml").read_text()
        block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)

        assert block is not None
        assert [line for line in block[1].splitlines() if "#" not in line] == []


def test_the_contract_has_at_least_twenty_bodies_of_each_kind() -> None:
    """The contract holds 20 or more bodies of each kind, each with its story."""
    for kind in ("accepted", "rejected"):
        cases = [json.loads(path.read_text()) for path in (ROOT / "contract" / kind).glob("*.json")]

        assert len(cases) >= 20
        assert all(case["what"] for case in cases)


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of every Markdown page points at a file that is there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked("*.md")
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target
        and not target.startswith("mailto:")
        and not (page.parent / target).exists()
    ]

    assert broken == []


def test_nothing_in_the_tree_names_a_path_of_one_machine() -> None:
    """No tracked text names a home directory, which would be true for one machine only."""
    named = re.compile(r"/(root|home/\w+|Users/\w+)/")
    hits = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py", "*.md", "*.toml", "*.json", "*.lock", "*.in", "Makefile")
        if path != Path(__file__) and named.search(path.read_text())
    ]

    assert hits == []


def test_make_runs_what_nox_runs() -> None:
    """The sessions that `make test` names are those that nox runs when none is named."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\ntest:")[2].partition("\n\n")[0]
    noxfile = (ROOT / "noxfile.py").read_text()
    by_default = noxfile.partition("options.sessions = [")[2].partition("]")[0]

    lists = re.findall(r"-s (.+)", recipe) + re.findall(r"^ABREAST := (.+)", makefile, re.MULTILINE)

    named = {name.partition("-3.")[0] for names in lists for name in names.split()}
    assert named == set(re.findall(r"[\w-]+", by_default))


def test_the_sdk_knows_the_commands_of_the_server() -> None:
    """Without the server installed, each of its commands is told to be the server's."""
    assert set(COMMANDS) == OF_THE_SERVER
