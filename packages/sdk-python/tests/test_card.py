"""Card numbers are found, and numbers that are none are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._redaction import Rules
from watchllm._redaction._card import CardDetector

RULES = Rules([CardDetector()])
MARK = "[REDACTED_CC]"


def found_in(text: str) -> tuple[str, int]:
    """Return the text with what is found replaced, and how often."""
    copy, counts = RULES.redact(text)
    return copy, sum((counts or {}).values())


def redacted(text: str) -> str:
    """Return the text with card numbers replaced."""
    return RULES.redact(text)[0]


@pytest.mark.parametrize(
    "card",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "3056 930902 5904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "6759649826438453",
        "671234567806",
        "2200000000000004",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41 11 11 11 11 11 11 11",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111/1111/1111/1111",
        "4111\u00b71111\u00b71111\u00b71111",
        "4111%201111%201111%201111",
        "4111&nbsp;1111&nbsp;1111&nbsp;1111",
        "4111\\u00a01111\\u00a01111\\u00a01111",
        "37 82 82 24 63 10 00 5",
        "6712 3456 7806",
        "4111  1111  1111  1111",
        "4111 1111\n1111 1111",
        "6200 0000 0000 0000 000",
        "6200 0000 0000 0000 0",
        "620000 0000000000000",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\u20131111\u20131111\u20131111",
        "4111\u200b1111\u200b1111\u200b1111",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
    ],
)
@pytest.mark.parametrize("text", ["{}", "card: {}, exp 12/27", "pan{}x", '"{}"', "\n{}\n", "é{}é"])
def test_a_card_is_replaced_and_its_surroundings_stay(card: str, text: str) -> None:
    """Each issuer's numbers are found in each of the usual groupings and contexts."""
    assert found_in(text.format(card)) == (text.format(MARK), 1)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # check digit
        "1234567890123456",  # no issuer
        "1764000000123456",  # microseconds since 1970
        "41111111111111110000",  # 20 digits
        "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111 1111-1111 1111",  # mixed separators
        "0.4111111111111111",
        "4111111111111111.5",
        "4111111111111111.5 22",
        "1.5 2.4111111111111111",
        "41111111111111111111111 4111",
        "ab1-4111-1111-1111-1111",
        "4111111111111111-ab",
        "1-4111111111111111",
        "4111\n1111\n1111\n1111",  # a column of numbers
        "0000 0000 0000 0000",
        "4111 111 1111 1111 11",
        "ts=1700483827105 level=info",
        "start_time_unix_nano=1785734234473233719",
        "IMEI 490154203237518",
        "ISBN 978-3-16-148410-0",
        "2028-10-15 16:55:33.841113",
        "tokens: [4111, 1111, 1111, 1111]",
        "years 2001 2002 2003 2007 2005 2006",
        "x411111111111111abcdefghijklmnopqrs 4111111111111111abcdefghijklmnopqrs",
        "0x4111111111111111",
        "hash a4111111111111111f9",
        "euCDuEwjP9vxgjl4111111111111111dqL/O/ZzaFCEO6P",
        "41111111-1111-4111-8111-411111111111",
        "a0000000-4111-1111-1111-111100000000",
        "a1b2c3d4-e5f6-4a7b-8c9d-671234567806",
        "4111 1111 1111",
        "EAN 4006381333931 ean-13: 4222222222222 GTIN=4222222222222",
        "41 11 11 11 11 11 11 11 7 3",
        "4111,1111,1111,1111",
        "GB90YNTU67299444055881",
        "DE44 5001 0517 5407 3249 31 is valid",
        "DE44 5001 0517 5407 3249 31 OK",
        "",
    ],
)
def test_what_is_no_card_stays(text: str) -> None:
    """Timestamps, ids, hashes, lists, fractions and account numbers are left alone."""
    assert found_in(text) == (text, 0)


def test_a_uuid_that_holds_a_valid_number_stays() -> None:
    """Groups of a UUID that pass every other test are still a UUID's."""
    assert (
        redacted("12345678-4111-1111-1111-111112345678") == "12345678-4111-1111-1111-111112345678"
    )
    assert redacted("x 4111-1111-1111-1111 y") == f"x {MARK} y"
    beside = "12345678-1234-4123-8123-123456789abc/"
    assert redacted(f"{beside}4111111111111111") == f"{beside}{MARK}"


def test_several_cards_in_one_run_of_digits_are_all_found() -> None:
    """Two cards beside each other, and a card after another number, are each replaced."""
    assert found_in("4111 1111 1111 1111 5555 5555 5555 4444") == (
        f"{MARK} {MARK}",
        2,
    )
    assert redacted("42 4111 1111 1111 1111 12 27") == f"42 {MARK} 12 27"


def test_what_looks_like_an_account_number_but_is_none_does_not_hide_a_card() -> None:
    """An IBAN's form with wrong check digits protects nothing."""
    assert redacted("AB12 4111 1111 1111 1111") != "AB12 4111 1111 1111 1111"


def test_digits_typed_one_by_one_are_found_before_other_numbers() -> None:
    """A row of single digits is a card whatever groups follow it."""
    assert redacted("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 12/27") == f"{MARK} 12/27"


@given(
    st.text(
        st.characters(whitelist_categories=["Zs", "Po", "Lo"], blacklist_characters="."), max_size=9
    ),
    st.text(
        st.characters(whitelist_categories=["Zs", "Po", "Lo"], blacklist_characters="."), max_size=9
    ),
    st.sampled_from(["4111111111111111", "3782 822463 10005", "5555-5555-5555-4444"]),
)
def test_a_card_is_found_between_spaces_marks_and_letters(
    before: str, after: str, card: str
) -> None:
    """A planted card does not come through, whatever space, mark or letter touches it."""
    assert card not in redacted(f"{before}{card}{after}")


@given(st.text("41 -5x\n", max_size=200))
def test_redacting_again_changes_nothing(text: str) -> None:
    """Nothing in the result looks like a card any more."""
    once = redacted(text)

    assert redacted(once) == once


@given(st.text(st.characters(blacklist_categories=["Nd"]), max_size=300))
def test_text_without_digits_is_never_changed(text: str) -> None:
    """The detector leaves alone what holds no digit."""
    assert redacted(text) == text


def test_two_readings_of_a_row_of_groups_are_both_replaced() -> None:
    """Where a number before a card makes another valid card with it, all of it goes."""
    assert redacted("ticket 4021 4441 2625 8562 6321 546 done") == f"ticket {MARK} done"


def test_a_card_is_found_among_many_characters_that_are_folded() -> None:
    """A text with more foreign digits and spaces than are replaced one by one is read as well."""
    others = "".join(map(chr, (*range(0x0660, 0x066A), *range(0x0966, 0x0970)))) + "\u200b"

    assert redacted(f"{others} a \uff14111 1111 1111 1111") == f"{others} a {MARK}"


def test_a_word_before_a_card_does_not_hide_it() -> None:
    """A reference, a label or a currency glued to a card is a word; a hash is not."""
    assert redacted("ref-4111111111111111") == f"ref-{MARK}"
    assert redacted("Thanks.4111111111111111") == f"Thanks.{MARK}"
    assert redacted("4111111111111111USD") == f"{MARK}USD"
    assert redacted("4111 1111 1111 1111.5") == f"{MARK}.5"


def test_digits_of_other_scripts_leave_the_rest_of_the_text_alone() -> None:
    """Only the card is replaced in text whose other characters are folded for reading."""
    text = "\uff21\u3000\u200b\uff14111 1111 1111 1111\u2029\uff1a"

    assert redacted(text) == f"\uff21\u3000\u200b{MARK}\u2029\uff1a"


def test_the_body_of_an_account_number_is_no_card() -> None:
    """Digits that pass for a card are left alone where an IBAN's own check digits are right."""
    body = "4111111111111111"
    check = 98 - int(f"{body}102900") % 97  # A is 10, T is 29
    iban = f"AT{check:02} {body[:4]} {body[4:8]} {body[8:12]} {body[12:]}"

    assert redacted(iban) == iban
    assert redacted(iban.replace("AT", "AX")) != iban.replace("AT", "AX")
