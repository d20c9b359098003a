"""The kinds that are found on request: telephones, social security, accounts, IP, credentials."""

from __future__ import annotations

import pytest

from watchllm import RedactionConfig, redact

CONFIGS = {kind: RedactionConfig(kinds=[kind]) for kind in ("PHONE", "SSN", "IBAN", "IP", "SECRET")}


def check(kind: str, text: str, found: str | None) -> None:
    """Compare what is redacted with what should be."""
    expected = text if found is None else text.replace(found, f"[REDACTED_{kind}]")

    assert redact(text, CONFIGS[kind]) == expected
    assert found is None or found in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+1 (555) 234-5678", "+1 (555) 234-5678"),
        ("+1-555-234-5678x42, office", "+1-555-234-5678x42"),
        ("ring +44 20 7946 0018 now", "+44 20 7946 0018"),
        ("+41 (0)44 668 18 00", "+41 (0)44 668 18 00"),
        ("+33623456789", "+33623456789"),
        ("0049 30 1234567", "0049 30 1234567"),
        ("(555) 234-5678", "(555) 234-5678"),
        ("at 555-234-5678.", "555-234-5678"),
        ("555.234.5678 ext. 9", "555.234.5678 ext. 9"),
        ("17;555 234 5678;x", "555 234 5678"),
        ("(030) 1234-567", "(030) 1234-567"),
        ("01 42 68 53 00", "01 42 68 53 00"),
        ("0961-7596216", "0961-7596216"),
        ("030/9005432", "030/9005432"),
        ("phone: 467 3395", "467 3395"),
        ("Call me on 9472 7916?", "9472 7916"),
        ("fax 5551234567", "5551234567"),
        ("60-56-85-91-Office", "60-56-85-91"),
        ("55 62 34 90 (mobile)", "55 62 34 90"),
        ("on 2024-05-01 5 555-234-5678", "555-234-5678"),
        ("call +81 3-5159-1234 or else", "+81 3-5159-1234"),
        ("\uff0b44 20 7946 0018", "\uff0b44 20 7946 0018"),
    ],
)
def test_a_telephone_number_is_found(text: str, found: str) -> None:
    """A number counts by its form, or after or before words that announce one."""
    check("PHONE", text, found)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01 12:30:45",
        "01.02.2024",
        "078-05-1120",
        "order 9472 7916",
        "part 555-234-5678-A",
        "pi 3.14159265358979",
        "mean 004.1942552530684",
        "v1.234.567.8901",
        "$1 234 567 890",
        "id 12345678901234567890",
        "DE89 3704 0044 0532 0130 00",
        "call me at 3",
        "phone x@y.z 467 3395 00",
        "call 12 people, then 467 3395",
        "+1 2",
        "+35236450.6",
        "+9223372036854775807",
        "0.1 0.2 0.3",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
        "abc555-234-5678",
        "12-555.234.5678",
        "17 555 234 5678",
        "0000000000000",
        "",
    ],
)
def test_what_is_no_telephone_number_stays(text: str) -> None:
    """Dates, fractions, prices, parts, ids and rows of numbers are left alone."""
    check("PHONE", text, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("078-05-1120", "078-05-1120"),
        ("ssn=078-05-1120;", "078-05-1120"),
        ("078\u201305\u20131120", "078\u201305\u20131120"),
        ("SSN: 078051120", "078051120"),
        ("social security number is 078 05 1120", "078 05 1120"),
        ("tax id 078.05.1120", "078.05.1120"),
        ("x@y.com078-05-1120", "078-05-1120"),
        ("078051120 is his SSN", None),
        ("000-05-1120 666-05-1120 078-00-1120 078-05-0000", None),
        ("1078-05-1120 078-05-11203 5-078-05-1120 078-05-1120-x", None),
        ("order 078 05 1120", None),
        ("ssn 000051120", None),
    ],
)
def test_a_social_security_number_is_found(text: str, found: str | None) -> None:
    """With dashes anywhere, without them after its name; what was never given out stays."""
    check("SSN", text, found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DE89370400440532013000", "DE89370400440532013000"),
        ("DE89 3704 0044 0532 0130 00 is mine", "DE89 3704 0044 0532 0130 00"),
        ("iban gb29-nwbk-6016-1331-9268-19.", "gb29-nwbk-6016-1331-9268-19"),
        ("NO93 8601 1117 947", "NO93 8601 1117 947"),
        ("MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
        ("DE89 3704 0044 0532 0130 01", None),
        ("DE89 3704 0044 0532 0130 0", None),
        ("DE89370400440532013000X", None),
        ("XDE89370400440532013000", None),
        ("DE89  3704 0044 0532 0130 00", None),
        ("DE89;370400440532013000", None),
        ("ZZ89 3704 0044 0532 0130 00", None),
        ("DE89é370400440532013000", None),
        ("DE89 3704;0044 0532 0130 00", None),
        ("DE89 3704  0044 0532 0130 00", None),
    ],
)
def test_an_account_number_is_found(text: str, found: str | None) -> None:
    """Length by country and check digits decide."""
    check("IBAN", text, found)


def test_two_account_numbers_are_two_findings() -> None:
    """Numbers that follow each other are found apart."""
    one = "DE89370400440532013000"

    assert redact(f"{one} {one}", CONFIGS["IBAN"]) == "[REDACTED_IBAN] [REDACTED_IBAN]"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("from 203.0.113.9:8080", "203.0.113.9"),
        ("203.0.113.0/24", "203.0.113.0"),
        ("at 203.0.113.9.", "203.0.113.9"),
        ("http://203.0.113.9/x", "203.0.113.9"),
        ("2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::1", "::1"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.9"),
        ("is 2001:db8::1: reset", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:8a2e:0370:7334", "2001:0db8:0000:0000:0000:8a2e:0370:7334"),
        ("203.0.113.256", None),
        ("203.0.113", None),
        ("1.203.0.113.9", None),
        ("203.0.113.9.1", None),
        ("v10.0.0.1 version 10.0.0.1", None),
        ("-203.0.113.9 x203.0.113.9 203.0.113.9x 203.0.113.9_", None),
        ("12:30:45", None),
        ("00:1a:2b:3c:4d:5e", None),
        ("std::dead::beef", None),
        ("xdb8::1 and 2001:db8::1x", None),
        ("a::b:::c", None),
        ("1::2::3", None),
        ("a[::2] = b[2::3]", None),
        ("fe80::1", "fe80::1"),
        ("x::203.0.113.9", None),
        ("", None),
    ],
)
def test_an_ip_address_is_found(text: str, found: str | None) -> None:
    """Both versions in their usual spellings; no versions of programs, times, or names in code."""
    check("IP", text, found)


BODY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("key=", f"sk-{BODY[:32]}", ""),
        ("", f"sk-proj-{BODY}", " here"),
        ("'", f"sk-ant-api03-{BODY}-x_Y", "'"),
        ("", f"wllm_{BODY}", ""),
        ("", "AKIA" + "IOSFODNN7EXAMPLE", ","),
        ("", f"ghp_{BODY[:36]}", ""),
        ("", f"github_pat_{BODY}", ""),
        ("", f"glpat-{BODY[:20]}", ""),
        ("", f"AIza{BODY[:35]}", ""),
        ("", f"xoxb-1234567890-{BODY[:10]}", ""),
        ("https://", f"hooks.slack.com/services/T0/{BODY[:24]}", ""),
        ("", f"sk_live_{BODY[:24]}", ""),
        ("", f"SG.{BODY[:22]}.{BODY[:43]}", ""),
        ("", f"hf_{BODY[:34]}", ""),
        ("", f"npm_{BODY[:36]}", ""),
        ("t=", f"eyJhbGciOiJIUzI1NiJ9.{BODY}.{BODY[:20]}", ";"),
        ("Authorization: Bearer ", BODY, ""),
        ("bearer  ", f"{BODY}==", "\n"),
        ("", f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----", "\nend"),
        ("", f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----", ""),
    ],
)
def test_a_credential_is_found(before: str, secret: str, after: str) -> None:
    """The forms of well-known issuers, our own keys, tokens after Bearer, private keys."""
    found = redact(f"{before}{secret}{after}", CONFIGS["SECRET"])

    assert found == f"{before}[REDACTED_SECRET]{after}"


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-of-the-whole-project",
        f"task-{BODY}",
        "sk-short",
        "Bearer of the ring",
        "bearer authenticationrequired",
        "ghostwriter gh_pages",
        "-----BEGIN PUBLIC KEY-----",
        "eyJ.a.b",
        "",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    """Words that begin alike are left alone."""
    check("SECRET", text, None)


def test_a_private_key_without_an_end_is_cut_at_its_longest() -> None:
    """A key whose last line is missing is replaced as far as a key can reach."""
    begin = "-----BEGIN PRIVATE KEY-----"

    assert redact(f"{begin}\nabc\n{begin}", CONFIGS["SECRET"]) == "[REDACTED_SECRET]"
    found = redact(f"{begin}\n{'A' * 30_000}", CONFIGS["SECRET"])
    assert found.startswith("[REDACTED_SECRET]A")


def test_findings_that_overlap_are_one() -> None:
    """A key in a header is replaced once; in all kinds the first in precedence names it."""
    both = RedactionConfig(kinds=["EMAIL", "CC", "SECRET", "IBAN", "IP", "PHONE", "SSN"])

    assert redact(f"Bearer sk-{BODY}", CONFIGS["SECRET"]) == "Bearer [REDACTED_SECRET]"
    assert redact("root@[203.0.113.9]", both) == "[REDACTED_EMAIL]"
    assert redact("078-05-1120 and 4111-1111-1111-1111", both) == "[REDACTED_SSN] and [REDACTED_CC]"
    assert redact("123-45-6789+44 20 7946 0018", both) == "[REDACTED_SSN][REDACTED_PHONE]"
    assert redact({"run": "phone 467 3395"}, both) == {"run": "phone [REDACTED_PHONE]"}
