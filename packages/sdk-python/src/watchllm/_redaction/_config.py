"""What a user can choose about redaction."""

from __future__ import annotations

from watchllm.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any, Callable, Iterable, Mapping, NoReturn, Tuple, Union

    Spans = Iterable[Tuple[int, int]]
    Redactor = Callable[[str], Union[str, Spans]]

KINDS = ("EMAIL", "CC", "PHONE", "SSN", "IBAN", "IP", "SECRET")
_DEFAULT_KINDS = ("EMAIL", "CC")
_ALIASES = {"CREDIT_CARD": "CC"}
_MOST_KEY = 64
_LEAST_HASH_KEY = 16

# Compared without case, and without the dashes, dots, spaces and underscores between the words.
DEFAULT_DENY_KEYS: tuple[str, ...] = (
    "access_key",
    "access_token",
    "api_key",
    "api_secret",
    "api_token",
    "auth_token",
    "authorization",
    "aws_secret_access_key",
    "aws_session_token",
    "bearer_token",
    "card_cvc",
    "card_cvv",
    "client_secret",
    "connection_string",
    "cookie",
    "csrf_token",
    "cvc",
    "cvv",
    "encryption_key",
    "id_token",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxy_authorization",
    "refresh_token",
    "secret",
    "secret_access_key",
    "secret_key",
    "session_token",
    "set_cookie",
    "signing_key",
    "webhook_secret",
    "x_api_key",
    "x_auth_token",
)


def normal_key(key: str) -> str:
    """Return a key as it is compared: `API-Key` and `apiKey` are `apikey`."""
    return "".join(char for char in key[:_MOST_KEY].casefold() if char not in "-_. ")


class RedactionConfig:
    """Choose what is replaced in events, and how. Never changes; safe to share between threads.

    kinds: which detectors run, of EMAIL, CC, PHONE, SSN, IBAN, IP and SECRET; EMAIL and CC by
        default. A finding becomes `[REDACTED_<KIND>]`.
    patterns: more kinds, by name: a regular expression as text or compiled. A match becomes
        `[REDACTED_<NAME>]`.
    callables: functions that get a text, after all else was replaced in it, and return another
        text, or the (start, end) spans to be replaced by `[REDACTED_CUSTOM]`. They are called on
        the thread that logs. One that raises, or returns anything else, costs the whole text: it
        becomes `[REDACTION_FAILED]`.
    skip_fields: dotted paths that are sent as they are, such as `response_metadata.order`. A path
        leads through lists without a name for their items.
    deny_keys: keys of dicts whose values are always replaced, by `[REDACTED_FIELD]`, whatever case
        and whichever of `-`, `_`, `.` and spaces they are written with.
    hash_key: a secret of 16 characters or more, to tell findings apart: those of kinds and patterns
        become `[REDACTED_EMAIL:abcdefabcdef]`, the same for the same finding wherever the key is
        the same. Whoever has the key can find out whether an address is the one that stood there.

    Raises ConfigurationError with all that is wrong.
    """

    __slots__ = ("callables", "deny_keys", "hash_key", "kinds", "patterns", "skip_fields")

    kinds: tuple[str, ...]
    patterns: Mapping[str, re.Pattern[str]]
    callables: tuple[Redactor, ...]
    skip_fields: tuple[str, ...]
    deny_keys: tuple[str, ...]
    hash_key: str | None

    def __init__(
        self,
        kinds: Iterable[str] = _DEFAULT_KINDS,
        patterns: Mapping[str, str | re.Pattern[str]] | None = None,
        callables: Iterable[Redactor] = (),
        skip_fields: Iterable[str] = (),
        deny_keys: Iterable[str] = DEFAULT_DENY_KEYS,
        hash_key: str | None = None,
    ) -> None:
        problems: list[str] = []
        self._set("kinds", _kinds(kinds, problems))
        self._set("patterns", _patterns(patterns, problems))
        self._set("callables", _callables(callables, problems))
        self._set("skip_fields", _skip_fields(skip_fields, problems))
        self._set("deny_keys", _deny_keys(deny_keys, problems))
        self._set("hash_key", _hash_key(hash_key, problems))
        if problems:
            raise ConfigurationError("\n".join(["RedactionConfig cannot be used:", *problems]))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a RedactionConfig never changes: make one with {name}=... instead")

    def __repr__(self) -> str:
        """Return the call that makes it, without what is as by default and without the key."""
        default = RedactionConfig()
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name in ("kinds", "patterns", "callables", "skip_fields", "deny_keys")
            if getattr(self, name) != getattr(default, name)
        ]
        shown += ["hash_key=..."] if self.hash_key else []
        return f"RedactionConfig({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RedactionConfig):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.kinds, tuple(self.patterns), self.skip_fields, self.deny_keys))


def _texts(name: str, given: Any, example: str, problems: list[str]) -> tuple[str, ...]:
    """Return a collection of texts that are not empty, as a tuple without repeats."""
    try:
        values = None if isinstance(given, (str, bytes)) else tuple(given)
    except TypeError:
        values = None
    if values is None:
        problems.append(f"{name}={_shown(given)}: give a list of texts, such as {example}")
        return ()
    wrong = [value for value in values if not isinstance(value, str) or not value.strip()]
    if wrong:
        problems.append(f"{name}: {_shown(wrong[0])} is no text; give names, such as {example}")
        return ()
    return tuple(dict.fromkeys(values))


def _kinds(given: Any, problems: list[str]) -> tuple[str, ...]:
    names = [name.upper() for name in _texts("kinds", given, '["EMAIL", "CC"]', problems)]
    kinds = tuple(dict.fromkeys(_ALIASES.get(name, name) for name in names))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        problems.append(
            f"kinds: there is no {unknown[0]!r}; choose among {', '.join(KINDS)}, or give a regular"
            " expression of your own in patterns"
        )
    return kinds


def _patterns(given: Any, problems: list[str]) -> Mapping[str, Any]:
    from types import MappingProxyType

    if not given:
        if given is not None and given != {}:
            problems.append(f"patterns={_shown(given)}: give a dict of names and expressions")
        return MappingProxyType({})
    from watchllm._redaction._patterns import checked

    return MappingProxyType(checked(given, KINDS, problems))


def _callables(given: Any, problems: list[str]) -> tuple[Any, ...]:
    try:
        values = tuple(given)
    except TypeError:
        problems.append(f"callables={_shown(given)}: give a list of functions, if only of one")
        return ()
    wrong = [value for value in values if not callable(value)]
    if wrong:
        problems.append(f"callables: {_shown(wrong[0])} cannot be called; give functions of a text")
    return values


def _skip_fields(given: Any, problems: list[str]) -> tuple[str, ...]:
    example = '["response_metadata.order"]'
    paths = _texts("skip_fields", given, example, problems)
    wrong = [path for path in paths if not all(part.strip() for part in path.split("."))]
    if wrong:
        problems.append(
            f"skip_fields: {wrong[0]!r} has an empty part; give dotted paths, such as {example}"
        )
    return paths


def _deny_keys(given: Any, problems: list[str]) -> tuple[str, ...]:
    return _texts("deny_keys", given, '["password"]', problems)


def _hash_key(given: Any, problems: list[str]) -> str | None:
    if given is None or (isinstance(given, str) and len(given) >= _LEAST_HASH_KEY):
        return given
    # Never shown: it is a secret, if too short a one.
    problems.append(
        f"hash_key: give a secret text of {_LEAST_HASH_KEY} characters or more, such as one of"
        " secrets.token_urlsafe(), and the same in every process whose events belong together"
    )
    return None


def _shown(value: Any) -> str:
    """Return a value for a message, never long."""
    try:
        shown = repr(value)
    except Exception:
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= _MOST_KEY else f"{shown[:_MOST_KEY]}..."
