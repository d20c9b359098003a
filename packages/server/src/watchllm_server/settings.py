"""The server's settings: one row each, from which its help, its docs and its checks come."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from watchllm_server.address import Address, parse_address
from watchllm_server.cache_settings import Matching, read_matching
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_PORT = 65_535
_MIN_MEMORY_MB = 200
_MIN_PASSWORD = 12
_MIN_DIFFERENT = 5
_MIN_SECRET = 32


class Setting(NamedTuple):
    """One setting. `read` turns text into a value, or raises ValueError with what is allowed."""

    name: str
    env: str
    default: str
    help: str
    read: Callable[[str], Any]


def _text(text: str) -> str:
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not low <= int(text[:20]) <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return int(text)

    return read


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text.lower()

    return read


def _password(text: str) -> str:
    if text and (len(text) < _MIN_PASSWORD or len(set(text)) < _MIN_DIFFERENT):
        raise ValueError(f"{_MIN_PASSWORD} characters or more, not the same few")
    return text


def _secret_key(text: str) -> str:
    if text and (len(text) < _MIN_SECRET or len(set(text)) < _MIN_DIFFERENT):
        raise ValueError(f"{_MIN_SECRET} random characters or more, as `openssl rand -base64 32`")
    return text


def _url(text: str) -> str:
    allowed = "an address as in https://watchllm.example.com"
    try:
        url = urlsplit(text)
    except ValueError:  # half of an address in brackets
        raise ValueError(allowed) from None
    if text and (url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/")):
        raise ValueError(allowed)
    return text.rstrip("/")


def _directory(text: str) -> Path:
    if text:
        return Path(text).expanduser()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "watchllm"


def _model(text: str) -> str:
    provider, slash, model = text.partition("/")
    if text and not (provider and slash and model):
        raise ValueError("PROVIDER/MODEL, as in openai/gpt-4o-mini")
    return text


def _embedder(text: str) -> str:
    if text.lower() in {"minilm", "none"}:
        return text.lower()
    try:
        return _model(text)
    except ValueError:
        raise ValueError(
            "minilm, none, or PROVIDER/MODEL, as in openai/text-embedding-3-small"
        ) from None


def _store(text: str) -> Address | None:
    return parse_address(text) if text else None


SETTINGS = (
    Setting("host", "WATCHLLM_HOST", "127.0.0.1", "Address to listen on.", _text),
    Setting(
        "port",
        "WATCHLLM_PORT",
        "8787",
        "Port to listen on; 0 takes a free one.",
        _number(0, _MAX_PORT),
    ),
    Setting(
        "data_dir",
        "WATCHLLM_DATA_DIR",
        "",
        "Directory of the data. Default: $XDG_STATE_HOME/watchllm or ~/.local/state/watchllm.",
        _directory,
    ),
    Setting(
        "store",
        "WATCHLLM_STORE",
        "",
        "Where events are kept: clickhouse://user:password@host:port/database (clickhouses:// for "
        "TLS). Default: an embedded engine in the data directory.",
        _store,
    ),
    Setting(
        "admin_password",
        "WATCHLLM_ADMIN_PASSWORD",
        "",
        "Password of the pages and the admin API, of 12 characters or more. Without one they "
        "answer only on this machine, and the server listens nowhere else.",
        _password,
    ),
    Setting(
        "secret_key",
        "WATCHLLM_SECRET_KEY",
        "",
        "Key under which provider keys and cached answers are encrypted, of 32 random characters "
        "or more. Default: a file secret.key that is made in the data directory.",
        _secret_key,
    ),
    Setting(
        "public_url",
        "WATCHLLM_PUBLIC_URL",
        "",
        "Where browsers reach the pages, as in https://watchllm.example.com, if a proxy is in "
        "between. With https the cookie of a session is sent over nothing else.",
        _url,
    ),
    Setting(
        "database_url",
        "WATCHLLM_DATABASE_URL",
        "",
        "PostgreSQL for projects and keys: postgresql://user:password@host:port/database. "
        "Default: a SQLite file in the data directory.",
        _text,
    ),
    Setting(
        "rate_limit",
        "WATCHLLM_RATE_LIMIT",
        "0",
        "Requests a minute that a key may make if it has no limit of its own; 0 does not limit.",
        _number(0, 10_000_000),
    ),
    Setting(
        "retention_days",
        "WATCHLLM_RETENTION_DAYS",
        "90",
        "Days that events are kept in projects that do not say otherwise; 0 keeps them for ever.",
        _number(0, 36_500),
    ),
    Setting(
        "log_format",
        "WATCHLLM_LOG_FORMAT",
        "text",
        "How the server logs to stderr: text, or json for one object a line.",
        _one_of("text", "json"),
    ),
    Setting(
        "log_level",
        "WATCHLLM_LOG_LEVEL",
        "warning",
        "What it logs: debug, info (each request, without content), warning or error.",
        _one_of("debug", "info", "warning", "error"),
    ),
    Setting(
        "init_project_id",
        "WATCHLLM_INIT_PROJECT_ID",
        "",
        "Id of the project that the first start creates.",
        _text,
    ),
    Setting(
        "init_api_key",
        "WATCHLLM_INIT_API_KEY",
        "",
        "Key of that project, of 16 characters or more; it is not printed.",
        _text,
    ),
    Setting(
        "memory_mb",
        "WATCHLLM_MEMORY_MB",
        "1000",
        "Memory in MB that the embedded engine may take.",
        _number(_MIN_MEMORY_MB, 1_000_000),
    ),
    Setting(
        "group_events",
        "WATCHLLM_GROUP_EVENTS",
        "2000",
        "Most events that one insert carries.",
        _number(1, 100_000),
    ),
    Setting(
        "group_mb",
        "WATCHLLM_GROUP_MB",
        "8",
        "Most MB of events that one insert carries.",
        _number(1, 100),
    ),
    Setting(
        "group_ms",
        "WATCHLLM_GROUP_MS",
        "120",
        "Most milliseconds from one insert to the next under load; a full group does not wait.",
        _number(0, 10_000),
    ),
    Setting(
        "body_seconds",
        "WATCHLLM_BODY_SECONDS",
        "60",
        "Seconds in which a body must have arrived; what is slower is answered 408.",
        _number(1, 3_600),
    ),
    Setting(
        "queue_mb",
        "WATCHLLM_QUEUE_MB",
        "64",
        "MB of batches in hand beyond which senders are told to come back (429).",
        _number(11, 100_000),
    ),
    Setting(
        "default_provider",
        "WATCHLLM_DEFAULT_PROVIDER",
        "",
        "Provider of the gateway's requests whose model no other is known for. Default: the one "
        "that is configured, if it is the only one, else openai.",
        _text,
    ),
    Setting(
        "gateway_body_mb",
        "WATCHLLM_GATEWAY_BODY_MB",
        "50",
        "MB that the body of a request to the gateway may have.",
        _number(1, 1_000),
    ),
    Setting(
        "gateway_memory_mb",
        "WATCHLLM_GATEWAY_MEMORY_MB",
        "200",
        "MB of requests to the gateway in hand beyond which callers are told to come back (503); "
        "one body fits in any case.",
        _number(1, 100_000),
    ),
    Setting(
        "cache_ttl",
        "WATCHLLM_CACHE_TTL",
        "86400",
        "Seconds that the gateway serves an answer again, where neither its request nor its "
        "project says so; 0 keeps none.",
        _number(0, 31_622_400),
    ),
    Setting(
        "cache_mb",
        "WATCHLLM_CACHE_MB",
        "1000",
        "MB on disk that the answers of the gateway's cache may take.",
        _number(1, 1_000_000),
    ),
    Setting(
        "cache_semantic",
        "WATCHLLM_CACHE_SEMANTIC",
        "shadow",
        "What the gateway does with a question whose answer is known in other words: off, shadow "
        "(look up and measure, never answer) or serve, where its project does not say so. With the "
        "share of hits that may be wrong, 0.01 if there is none: serve:0.02.",
        read_matching,
    ),
    Setting(
        "embedder",
        "WATCHLLM_EMBEDDER",
        "minilm",
        "What turns questions into vectors: minilm (on this machine), none, or a model of a "
        "provider that has OpenAI's embeddings API: PROVIDER/MODEL, as in "
        "openai/text-embedding-3-small.",
        _embedder,
    ),
    Setting(
        "cache_reviewer",
        "WATCHLLM_CACHE_REVIEWER",
        "",
        "A chat model that is asked about doubtful questions in other words, and can refuse to "
        "have them answered: PROVIDER/MODEL, as in openai/gpt-4o-mini. Default: none.",
        _model,
    ),
    Setting(
        "cache_questions_url",
        "WATCHLLM_CACHE_QUESTIONS_URL",
        "",
        "PostgreSQL with pgvector in which several nodes share their questions and answers: "
        "postgresql://user:password@host:port/database. Default: each node has its own on disk.",
        _text,
    ),
    Setting(
        "cache_compared_percent",
        "WATCHLLM_CACHE_COMPARED_PERCENT",
        "5",
        "Percent of the questions answered in other words that are asked upstream all the same, "
        "after the client has its answer, to measure the error.",
        _number(1, 100),
    ),
    Setting(
        "journal_mb",
        "WATCHLLM_JOURNAL_MB",
        "1000",
        "MB on disk that calls through the gateway may take that wait for the event store.",
        _number(1, 1_000_000),
    ),
)

_SECRET = {"admin_password", "init_api_key", "secret_key"}


# Tables of the config file, which provider_settings reads.
_TABLES = {"providers", "gateway"}


def _shown(text: str) -> str:
    """Return a wrong value without the password that an address may hold."""
    return re.sub(r"//[^/@]*@", "//***@", text)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of all settings."""

    host: str
    port: int
    data_dir: Path
    store: Address | None
    admin_password: str
    secret_key: str
    public_url: str
    database_url: str
    rate_limit: int
    retention_days: int
    log_format: str
    log_level: str
    init_project_id: str
    init_api_key: str
    memory_mb: int
    group_events: int
    group_mb: int
    group_ms: int
    body_seconds: int
    queue_mb: int
    default_provider: str
    gateway_body_mb: int
    gateway_memory_mb: int
    cache_ttl: int
    cache_mb: int
    cache_semantic: Matching
    embedder: str
    cache_reviewer: str
    cache_questions_url: str
    cache_compared_percent: int
    journal_mb: int

    @property
    def metadata_place(self) -> Path | str:
        """Return where projects and keys are: a path or a URL. The data directory must exist."""
        return self.database_url or self.data_dir.resolve() / "metadata.db"

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, data_dir={str(self.data_dir)!r})"


def read_config(path: Path) -> dict[str, str]:
    """Return the settings of a TOML file, by their names; raise StartError for what is none."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise StartError(f"The file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"The file {path} is not valid TOML: {error}.") from None
    names = [setting.name for setting in SETTINGS]
    settings = {name: value for name, value in found.items() if name not in _TABLES}
    for name, value in settings.items():
        if name not in names:
            near = get_close_matches(name, names, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise StartError(f"The file {path} has {name!r}, which is no setting.{meant}")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise StartError(f"The file {path} has a {name!r} that is neither text nor a number.")
    return {name: str(value) for name, value in settings.items()}


def load_settings(
    environment: Mapping[str, str], config: Mapping[str, str] | None = None, **given: str | None
) -> Settings:
    """Return each setting from what is given, the environment, the config or else its default.

    An empty text counts as not given. Raises StartError with a sentence for a wrong value.
    """
    values = {}
    for setting in SETTINGS:
        sources = {
            f"--{setting.name.replace('_', '-')}": given.get(setting.name),
            setting.env: environment.get(setting.env),
            f"{setting.name} of the config file": (config or {}).get(setting.name),
        }
        found = ((source, text) for source, text in sources.items() if text)
        source, text = next(found, (setting.env, setting.default))
        try:
            values[setting.name] = setting.read(text)
        except ValueError as error:
            shown = "" if setting.name in _SECRET else f", but it is {_shown(text)!r}"
            raise StartError(f"{source} must be {error}{shown}.") from None
    return Settings(**values)
