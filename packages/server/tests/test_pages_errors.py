"""The pages of errors, failed assertions and hallucinations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from reading import ATTACKS, show_page
from stored_events import failed_check

if TYPE_CHECKING:
    from conftest import Account


def boom(message: str, **fields: Any) -> dict[str, Any]:
    """Return an error event of now."""
    error = {"type": "ValueError", "message": message, "stack": "Traceback: line 7"}
    return failed_check("error", error=error, **now(), **fields)


def now() -> dict[str, str]:
    """Return the time of an event that every range has."""
    return {"timestamp": datetime.now(UTC).isoformat()}


def test_errors_are_listed_by_kind(account: Account) -> None:
    """Errors that differ in numbers are a row, with how often, whom and what they hit."""
    account.send(
        boom("Order 1", release="2.0"), boom("Order 2", user_id="ada"),
        prompt_call(status="timeout", **now()),
    )  # fmt: skip

    page = show_page(account, f"/projects/{account.project}/errors")

    for text in ("ValueError", "Order", "timeout", "2.0", "gpt-4o"):
        assert text in page.text
    assert len([link for link in page.links() if "fingerprint=" in link]) == 2


def test_one_kind_has_its_page(account: Account) -> None:
    """The page of a kind has its pattern, whom it hits, the newest in full, and their runs."""
    account.send(boom("Order 1", user_id="ada", run_id="run-a"), boom("Order 2", run_id="run-b"))
    listed = show_page(account, f"/projects/{account.project}/errors?env=development")

    page = show_page(account, next(link for link in listed.links() if "fingerprint=" in link))

    for text in ("Order #", "Traceback: line 7", "ada", "run-a", "run-b", "By environment"):
        assert text in page.text
    run = f"/projects/{account.project}/runs/run-a?event="
    assert any(link.startswith(run) for link in page.links())
    assert any("user=ada" in link and "fingerprint=" in link for link in page.links())


@pytest.mark.parametrize(
    ("what", "text"),
    [("assertion", "answer is JSON"), ("hallucination", "The Eiffel Tower is in Rome.")],
)
def test_checks_are_listed_alike(account: Account, what: str, text: str) -> None:
    """Failed assertions and hallucinations have lists, and pages of one kind, of their own."""
    account.send(
        failed_check(
            "assertion_failed", assertion_name="answer is JSON", assertion_type="response_format",
            expected={}, actual="-", severity="high", **now(),
        ),
        failed_check(
            "hallucination_detected", detection_method="heuristic", confidence_score=0.9,
            flagged_content="The Eiffel Tower is in Rome.", recommendations=[], **now(),
        ),
    )  # fmt: skip

    listed = show_page(account, f"/projects/{account.project}/errors?what={what}")
    one = show_page(account, next(link for link in listed.links() if "fingerprint=" in link))

    assert text in listed.text
    assert text in one.text


@pytest.mark.parametrize("what", ["error", "assertion", "hallucination"])
def test_an_empty_list_says_what_fills_it(account: Account, what: str) -> None:
    """Where there is nothing, the page has the line of code that logs the first one."""
    page = show_page(account, f"/projects/{account.project}/errors?what={what}")

    assert "watchllm.log_" in page.text


def test_filters_that_leave_nothing_are_told(account: Account) -> None:
    """Where filters leave nothing the page says that it is they, and how to take them away."""
    account.send(boom("Order 1"))

    page = show_page(account, f"/projects/{account.project}/errors?user=nobody")

    assert "Nothing matches" in page.text
    assert f"/projects/{account.project}/errors" in page.links()


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("errors?what=weather", 400, "`what` must be one of error, assertion, hallucination"),
        ("errors/one", 404, "no error of this kind"),
        ("errors/one?fingerprint=0", 404, "no error of this kind"),
        ("errors?range=2y", 400, "`range` must be one of"),
    ],
)
def test_a_wrong_address_is_told(account: Account, address: str, status: int, text: str) -> None:
    """An address that is none gives a page that says what is wrong."""
    answer = account.client.get(f"/projects/{account.project}/{address}")

    assert answer.status_code == status
    assert text in answer.text


def test_what_senders_wrote_is_inert(account: Account) -> None:
    """Types, messages, stacks, users and releases are shown as text, whatever is in them."""
    for text in ATTACKS:
        error = {"type": text, "message": text, "stack": text}
        event = failed_check("error", error=error, user_id=text, release=text, run_id=text, **now())
        account.send(event)

    listed = show_page(account, f"/projects/{account.project}/errors")
    pages = [show_page(account, link) for link in listed.links() if "fingerprint=" in link]

    assert len(pages) == len(ATTACKS)
    for text in ATTACKS:
        assert text in listed.text
        assert any(text in page.text for page in pages)
