"""The settings: one row each, checked together, frozen."""

from __future__ import annotations

import math
import os

from watchllm._late import importing
from watchllm._redaction import RedactionConfig
from watchllm.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

ENVIRONMENT_PREFIX = "WATCHLLM_"
LARGEST_BATCH = 500
DAY_SECONDS = 86_400
LONGEST_SHOWN = 100
FEWEST_MEGABYTES, MOST_MEGABYTES = 16, 1_000_000
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class Setting:
    """One setting: its name, default, help, and the check that returns the value to use.

    `check` raises ValueError with what is allowed. `parse` makes a value from an environment
    variable's text. A variable that cannot be used is ignored with a warning, but is an error where
    the setting is `strict`.
    """

    __slots__ = ("check", "default", "help", "name", "parse", "required", "strict")

    def __init__(
        self,
        name: str,
        default: Any,
        help_text: str,
        check: Callable[[Any], Any],
        parse: Callable[[str], Any] = str,
        *,
        required: bool = False,
        strict: bool = False,
    ) -> None:
        self.name = name
        self.default = default
        self.help = help_text
        self.check = check
        self.parse = parse
        self.required = required
        self.strict = strict

    @property
    def env(self) -> str:
        """The environment variable that gives it."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty is allowed")
    return value.strip()


def _key(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty is allowed")
    key = value.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("printable ASCII without spaces is allowed")
    return key


def _url(value: Any) -> str:
    with importing:
        from urllib.parse import urlsplit

    allowed = "an address such as https://proxy.watchllm.dev/v1 or http://127.0.0.1:8787/v1"
    if not isinstance(value, str):
        raise ValueError(f"{allowed} is allowed")  # noqa: TRY004 - all misfits are ValueErrors
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"{allowed} is allowed") from None
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(f"{allowed} is allowed")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{allowed} is allowed, without a user or password in it")
    if parts.query or parts.fragment or not _is_printable(value.strip()):
        raise ValueError(f"{allowed} is allowed, without spaces, `?` or `#`")
    return f"{parts.scheme.lower()}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def _is_printable(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _number(value: Any) -> float | int | None:
    # A bool is an int to Python, and never meant as one here.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    number: float | int = value
    return number


def _rate(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError("a number from 0.0 to 1.0 is allowed")
    return float(number)


def _seconds(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 < number <= DAY_SECONDS:
        raise ValueError("a number of seconds above 0, up to 86400, is allowed")
    return float(number)


def _batch(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_BATCH:
        raise ValueError(f"an integer from 1 to {LARGEST_BATCH} is allowed")
    return int(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False is allowed")  # noqa: TRY004 - all misfits are ValueErrors
    return value


def _redaction(value: Any) -> bool | RedactionConfig:
    if not isinstance(value, (bool, RedactionConfig)):
        raise ValueError("True, False or a RedactionConfig is allowed")  # noqa: TRY004 - as above
    return value


def _durability(value: Any) -> str:
    if value not in {"disk", "memory"}:
        raise ValueError('"disk" or "memory" is allowed')
    return str(value)


def _directory(value: Any) -> str:
    try:
        path = os.path.abspath(os.path.expanduser(os.fspath(value)))
    except TypeError:
        path = None
    if not isinstance(path, str) or not os.fspath(value) or "\0" in path:
        raise ValueError("the path of a directory is allowed")
    return path


def _megabytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("an integer of megabytes is allowed")  # noqa: TRY004 - like the others
    if not FEWEST_MEGABYTES <= value <= MOST_MEGABYTES:
        raise ValueError(f"{FEWEST_MEGABYTES} to {MOST_MEGABYTES} megabytes are allowed")
    return int(value)


def _parse_flag(text: str) -> bool | str:
    word = text.strip().lower()
    return True if word in _YES else False if word in _NO else text


def _parse_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parse_integer(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


SETTINGS = (
    Setting("api_key", None, "The key of your project.", _key, required=True),
    Setting("project_id", None, "The id of your project.", _text, required=True),
    Setting(
        "base_url",
        "https://proxy.watchllm.dev/v1",
        "The address of the collector. An address without a path gets /v1.",
        _url,
        strict=True,  # the default would have prompts and key sent to another collector
    ),
    Setting(
        "environment",
        "development",
        "production, staging, development, or a word of your own.",
        _text,
    ),
    Setting(
        "sample_rate",
        1.0,
        "The share of runs to keep, from 0.0 to 1.0. Failures are kept at any rate above 0.",
        _rate,
        _parse_number,
    ),
    Setting(
        "redact_pii",
        True,
        "Replace e-mail addresses and card numbers before anything is queued or sent; a"
        " `RedactionConfig` chooses more.",
        _redaction,
        _parse_flag,
    ),
    Setting(
        "batch_size",
        10,
        "Send as soon as this many events wait, from 1 to 500, ten times a second at most. Larger"
        " batches go under backlog.",
        _batch,
        _parse_integer,
    ),
    Setting(
        "flush_interval_seconds",
        5,
        "Send at the latest after this many seconds.",
        _seconds,
        _parse_number,
    ),
    Setting("timeout", 30, "Seconds that one request may take.", _seconds, _parse_number),
    Setting("release", None, "The version of your app, for events that name none.", _text),
    Setting(
        "enabled",
        True,
        "False logs nothing and needs neither key nor project.",
        _flag,
        _parse_flag,
    ),
    Setting(
        "durability",
        "disk",
        "disk: an event survives the death of the process as soon as it is logged; memory: it does"
        " not.",
        _durability,
    ),
    Setting(
        "spool_dir",
        None,
        "The directory of the spool. Default: watchllm/spool in the user's state directory.",
        _directory,
    ),
    Setting(
        "spool_max_mb",
        256,
        "Megabytes of disk for what waits for one collector; beyond, the oldest is dropped.",
        _megabytes,
        _parse_integer,
    ),
    Setting("debug", False, "Show what the SDK does on stderr.", _flag, _parse_flag),
)


class Config:
    """The settings of one client; they never change."""

    __slots__ = tuple(setting.name for setting in SETTINGS)

    api_key: str
    project_id: str
    base_url: str
    environment: str
    sample_rate: float
    redact_pii: bool | RedactionConfig
    batch_size: int
    flush_interval_seconds: float
    timeout: float
    release: str | None
    enabled: bool
    durability: str
    spool_dir: str | None
    spool_max_mb: int
    debug: bool

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings never change: make a client with {name}=... instead")

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__slots__}
        if shown["api_key"]:
            shown["api_key"] = "***"
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def load(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Config, list[str]]:
    """Return the settings, and a warning for each environment variable that cannot be used.

    An option that is not None wins over WATCHLLM_<NAME>, which wins over the default. Raises
    ConfigurationError with all that is wrong with the options or missing, and unless logging is off
    with an address in the environment that cannot be used.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    unusable: list[str] = []
    warnings: list[str] = []
    for setting in SETTINGS:
        given = options.get(setting.name)
        from_env = environ.get(setting.env, "").strip()
        values[setting.name] = setting.default
        if given is not None:
            try:
                values[setting.name] = setting.check(given)
            except ValueError as allowed:
                problems.append(f"{setting.name}={_shown(setting.name, given)}: {allowed}")
        elif from_env:
            try:
                values[setting.name] = setting.check(setting.parse(from_env))
            except ValueError as allowed:
                said = f"{setting.env}={_shown(setting.name, from_env)}"
                instead = "nothing" if setting.default is None else repr(setting.default)
                ignored = f"{said} is ignored: {allowed}. Used: {instead}."
                kind = unusable if setting.strict else warnings
                kind.append(f"{said}: {allowed}" if setting.strict else ignored)
    for setting in SETTINGS:
        missing = values[setting.name] is None and options.get(setting.name) is None
        if setting.required and values["enabled"] and missing:
            problems.append(f"{setting.name} is missing: pass it or set {setting.env}")
    if values["enabled"]:
        problems += unusable
    if problems:
        raise ConfigurationError("\n".join(["WatchLLM cannot start:", *problems]))
    return Config(values), warnings


def _shown(name: str, value: Any) -> str:
    """Return a value for a message: never a key, never a password, never long."""
    if name == "api_key":
        return "*** (not shown)"
    if name == "base_url" and isinstance(value, str) and "@" in value:
        value = "***@" + value.rpartition("@")[2]
    try:
        shown = repr(value)
    except Exception:
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "..."
