"""Find e-mail addresses: look for an at-sign, then read to both sides of it."""

from __future__ import annotations

import re

LONGEST_LOCAL = 256  # RFC 5321 allows 64; what is longer is cut, not read for ever
LONGEST_DOMAIN = 255  # RFC 1035

# atext of RFC 5322 and the dot, with letters and digits of every script (RFC 6531), backwards.
_local = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]*")
_label = re.compile(r"[^\W_](?:[^\W_]|-)*")
_top = re.compile(r"[^\W\d_]{2,63}")
# What stands before an address without being part of it: a bracket, an escaped delimiter, the way
# to it in a URL or a path, a name and an equals sign, an opening quote. All of these are allowed in
# a local part, but this is what they mean.
_lead_in = re.compile(
    r".*[{|}`]|.*%(?:2[0267CFcf]|3[ACDFacdf])|.*[?&](?:[^=]*=)?|/(?:.*/)?|[A-Za-z_][\w.-]*=|'",
    re.DOTALL,
)
# Endings of file names that are no top-level domains: `icon@2x.png`, `pkg@1.2.tar`.
_FILES = re.compile(
    r"(?:bmp|css|csv|gif|html?|ico|jpe?g|jsx?|json|lock|log|pdf|png|svg|tar|tgz|toml|tsx?|txt|webp"
    r"|xml|ya?ml)",
    re.IGNORECASE,
)


class EmailDetector:
    """Replace e-mail addresses in text. Linear in the length of the text."""

    kind = "email"
    placeholder = "[REDACTED_EMAIL]"
    in_labels = True

    def replace(self, text: str) -> tuple[str, int]:
        """Return the text with every address replaced, and how many there were."""
        at = text.find("@")
        if at < 0:
            return text, 0
        pieces: list[str] = []
        done = 0
        while at >= 0:
            start = self._start(text, done, at)
            end = self._end(text, at + 1) if start < at else 0
            if end:
                pieces += (text[done:start], self.placeholder)
                done = end
            at = text.find("@", max(at + 1, done))
        return ("".join((*pieces, text[done:])), len(pieces) // 2) if pieces else (text, 0)

    def _start(self, text: str, least: int, at: int) -> int:
        """Return where the local part that ends at `at` starts; `at` if there is none."""
        before = text[max(least, at - LONGEST_LOCAL) : at]
        found = _local.match(before[::-1])
        length = found.end() if found else 0
        local = before[len(before) - length :]
        lead_in = _lead_in.match(local)
        # Only where something is left: `a=b@example.com` loses its `a=`, `=@example.com` nothing.
        if lead_in and lead_in.end() < length:
            length -= lead_in.end()
        return at - length

    def _end(self, text: str, start: int) -> int:
        """Return where the domain that starts here ends; 0 if it is none."""
        window = text[start : start + LONGEST_DOMAIN]
        end = at = 0
        labels = 0
        while True:
            label = _label.match(window, at)
            if label is None:
                break
            top = _top.match(window, at)
            if labels and window[at : at + 4].lower() == "xn--":
                end = label.end()
            elif labels and top:
                end = top.end()
            labels += 1
            if window[label.end() : label.end() + 1] != ".":
                break
            at = label.end() + 1
        domain = window[:end]
        if domain[:1].isdigit() and _FILES.fullmatch(domain.rpartition(".")[2]):
            return 0
        return start + end if end else 0
