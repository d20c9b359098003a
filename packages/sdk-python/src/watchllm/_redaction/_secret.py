"""Find credentials by the forms in which their issuers give them out.

Only what is told from other text by a prefix of its own counts; a password is like any word, and is
found by the key that it stands under (`deny_keys`).
"""

from __future__ import annotations

import re

from watchllm._redaction._marks import Marks

_CHAR = r"[A-Za-z0-9_\-]"
# What must be in a text, so that the expression after it is tried at all.
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (sign, re.compile(expression))
    for sign, expression in (
        # OpenAI, Anthropic, OpenRouter and others: sk-..., sk-proj-..., sk-ant-api03-...
        ("sk-", rf"sk-(?:[a-z0-9]{{2,12}}-)*{_CHAR}{{16,256}}"),
        ("wllm_", r"wllm_[A-Za-z0-9_\-]{16,128}"),
        ("AKIA", r"AKIA[A-Z0-9]{16}"),  # AWS, for long and for a session
        ("ASIA", r"ASIA[A-Z0-9]{16}"),
        ("gh", r"gh[pousr]_[A-Za-z0-9]{30,255}"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
        ("glpat-", rf"glpat-{_CHAR}{{20,64}}"),  # GitLab
        ("AIza", rf"AIza{_CHAR}{{35}}"),  # Google
        ("ya29.", rf"ya29\.{_CHAR}{{20,512}}"),
        ("GOCSPX-", rf"GOCSPX-{_CHAR}{{20,64}}"),
        ("xox", r"xox[abeoprs]-[A-Za-z0-9\-]{10,255}"),  # Slack
        ("xapp-", r"xapp-[A-Za-z0-9\-]{10,255}"),
        ("hooks.slack.com/", r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,128}"),
        ("k_live_", r"[prs]k_live_[A-Za-z0-9]{16,255}"),  # Stripe
        ("k_test_", r"[prs]k_test_[A-Za-z0-9]{16,255}"),
        ("whsec_", r"whsec_[A-Za-z0-9+/=]{16,128}"),
        ("SG.", rf"SG\.{_CHAR}{{16,32}}\.{_CHAR}{{16,64}}"),  # SendGrid
        ("hf_", r"hf_[A-Za-z0-9]{30,64}"),  # Hugging Face
        ("gsk_", r"gsk_[A-Za-z0-9]{32,128}"),  # Groq
        ("r8_", r"r8_[A-Za-z0-9]{32,64}"),  # Replicate
        ("npm_", r"npm_[A-Za-z0-9]{36}"),
        ("pypi-", rf"pypi-{_CHAR}{{50,512}}"),
        ("dop_v1_", r"dop_v1_[a-f0-9]{64}"),  # DigitalOcean
        ("eyJ", rf"eyJ{_CHAR}{{8,2048}}\.{_CHAR}{{8,8192}}\.{_CHAR}{{0,2048}}"),  # JWT
    )
)
_BEARER = re.compile(r"\b(?:bearer|basic|token) +([A-Za-z0-9_\-.=+/~]{16,4096})", re.IGNORECASE)
_BEFORE = ("earer ", "EARER ", "asic ", "ASIC ", "oken ", "OKEN ")
_BEGIN, _END = "-----BEGIN ", "-----END "
_PRIVATE = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_BLOCK = 16_384
_IN_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_WORD_SET = frozenset(_IN_WORD)
_SHORTEST = 16  # of what is searched at all; words are shorter
_MARKS = Marks({"t": _IN_WORD + "-+/=~"}, ("t" * _SHORTEST,))


class SecretDetector:
    """Find credentials. Linear in the length of the text."""

    kind = "secret"
    placeholder = "[REDACTED_SECRET]"
    in_labels = True

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of credentials in a folded text, in order and apart."""
        found = _blocks(text) if _BEGIN in text else []
        if not _MARKS.in_text(text):
            return found
        for sign, form in _FORMS:
            if sign in text:
                found += [
                    match.span()
                    for match in form.finditer(text)
                    if text[match.start() - 1 : match.start()] not in _WORD_SET
                ]
        for word in _BEFORE:
            if word in text:
                found += [
                    match.span(1)
                    for match in _BEARER.finditer(text)
                    if any(char.isdigit() for char in match.group(1))
                ]
                break
        return _apart(found)


def _blocks(text: str) -> list[tuple[int, int]]:
    """Return private keys from their first line to their last, or as far as a key may be long."""
    found: list[tuple[int, int]] = []
    for begin in _PRIVATE.finditer(text):
        if found and begin.start() < found[-1][1]:
            continue
        end = text.find(_END, begin.end(), begin.end() + _LONGEST_BLOCK)
        close = text.find("-----", end + len(_END), end + 64) if end >= 0 else -1
        stop = close + 5 if close >= 0 else min(len(text), begin.end() + _LONGEST_BLOCK)
        found.append((begin.start(), stop))
    return found


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    apart: list[tuple[int, int]] = []
    for start, end in spans:
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return apart
