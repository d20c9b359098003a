"""E-mail addresses are found wherever they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._redaction import Rules
from watchllm._redaction._email import EmailDetector

RULES = Rules([EmailDetector()])
MARK = "[REDACTED_EMAIL]"


def found_in(text: str) -> tuple[str, int]:
    """Return the text with what is found replaced, and how often."""
    copy, counts = RULES.redact(text)
    return copy, sum((counts or {}).values())


def redacted(text: str) -> str:
    """Return the text with addresses replaced."""
    return RULES.redact(text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice@example.com", MARK),
        ("\nalice@example.com\t", f"\n{MARK}\t"),
        ("Write to ALICE.B+tag@mail.example.co.uk.", f"Write to {MARK}."),
        ("<alice@example.com>,bob_1@example.org", f"<{MARK}>,{MARK}"),
        ('{"email": "alice@example.com"}', f'{{"email": "{MARK}"}}'),
        ("mailto:alice@example.com?subject=x", f"mailto:{MARK}?subject=x"),
        ("https://x.test/u/alice@example.com", f"https://x.test/u/{MARK}"),
        ("https://x.test/?to=alice@example.com&x=1", f"https://x.test/?to={MARK}&x=1"),
        ("/home/alice@example.com", f"/home/{MARK}"),
        ("'alice@example.com' o'brien@example.com", f"'{MARK}' {MARK}"),
        ("?alice@example.com", f"?{MARK}"),
        ("email=alice@example.com", f"email={MARK}"),
        ("q=%3Aalice@example.com", f"q=%3A{MARK}"),
        ("${alice@example.com}", f"${{{MARK}}}"),
        ("customer/department=shipping@example.com", MARK),
        ("user%dept@example.org", MARK),
        ("josé@exämple.com 用户@例子.公司", f"{MARK} {MARK}"),
        ("éalice@example.comé", f"{MARK}é"),
        ("a@xn--bcher-kva.xn--p1ai", MARK),
        ("alice@example.com123", f"{MARK}123"),
        ("alice@example.com-", f"{MARK}-"),
        ("alice@example.com..", f"{MARK}.."),
        ("a@b.io a@b.museum", f"{MARK} {MARK}"),
        ("a" * 64 + "@example.com", MARK),
        ("icon@cdn.example.png", MARK),
        ("bob%40example.com bob\\u0040example.com bob&#64;example.com", f"{MARK} {MARK} {MARK}"),
        ("bob [at] example [dot] com, BOB (AT) example.com", f"{MARK}, {MARK}"),
        ("bob at example dot com", MARK),
        ("BOB AT EXAMPLE DOT COM, bob {at} example {dot} com", f"{MARK}, {MARK}"),
        ("bob@eu-1.blue-sky.co.uk", MARK),
        ("bob@example.com123.org", MARK),
        ('write to "john doe"@example.com now', f"write to {MARK} now"),
        ("postmaster@[192.168.2.1] root@[IPv6:2001:db8::1]", f"{MARK} {MARK}"),
        ("bob\uff20example.com", MARK),
        ("bob\u200b@example.com", MARK),
        ("\u8054\u7cfbbob@example.com\u8c22\u8c22", f"\u8054\u7cfb{MARK}\u8c22\u8c22"),
        ("\u8054\u7cfb@example.com", MARK),
        ("a@b.co.1 a@b.com.-x", f"{MARK}.1 {MARK}.-x"),
        ("a@b.com%40c.org", f"{MARK}"),
    ],
)
def test_an_address_is_replaced_and_its_surroundings_stay(text: str, expected: str) -> None:
    """Each form of address is replaced whole, and nothing else is."""
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no address",
        "@decorator",
        "a @ b",
        "me@localhost",
        "pkg@1.2.3",
        "icon@2x.png",
        "W@x.T",
        "image@sha256:0123",
        "@example.com",
        "a@",
        "a@-b.com",
        "a@.com",
        "claude-3-5-sonnet@20240620",
        "pkg@1.2.3-beta.one",
        "h = self.q@self.k.T",
        "a@b.shape",
        "a@[nowhere] a@[abc] a@[1",
        "a@b.xn--x",
        '"@example.com ""@example.com',
        "look [at] this (at) [dot]",
        "%40example.com",
        "?@example.com =@example.com `@app.route` ``@dataclasses.dataclass``",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    """An at-sign alone makes no address."""
    assert found_in(text) == (text, 0)


def test_all_addresses_are_counted() -> None:
    """The number of findings is returned."""
    assert found_in("a@b.co, c@d.org; e@f.net x@y")[1] == 3


@given(st.text(), st.text())
def test_an_address_is_found_in_any_surroundings(before: str, after: str) -> None:
    """Whatever stands around it, a planted address does not come through."""
    assert "zoe.planted@example.com" not in redacted(f"{before}zoe.planted@example.com{after}")


@given(st.text(st.characters(blacklist_characters="@"), max_size=500))
def test_text_without_an_at_sign_is_never_changed(text: str) -> None:
    """The detector leaves alone what holds no at-sign."""
    assert redacted(text) == text


@given(st.text("ab@.-%=&?/{ 1é\n", max_size=300))
def test_redacting_again_changes_nothing(text: str) -> None:
    """Nothing in the result looks like an address any more."""
    once = redacted(text)

    assert redacted(once) == once
