"""What a server is told of the providers of models, in its environment and its config file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PREFIX: Final = "WATCHLLM_PROVIDER_"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_MAX_SECONDS = 86_400


class ProviderSetting(NamedTuple):
    """One thing that can be said of a provider; `read` raises ValueError with what is allowed."""

    name: str
    default: str
    help: str
    read: Callable[[Any], Any]


def _url(value: Any) -> str:
    try:
        url = urlsplit(value if isinstance(value, str) else "")
        fits = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        fits = fits and url.username is None and not url.query and not url.fragment
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("an address with its version, as in https://api.openai.com/v1")
    return str(value).rstrip("/")


def _key(value: Any) -> str:
    # A header has to carry it.
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise ValueError("a key of printable ASCII characters, without a line break")
    return value.strip()


def _auth(value: Any) -> str:
    allowed = ("bearer", "x-api-key", "api-key")
    if value not in allowed:
        raise ValueError(f"one of {', '.join(allowed)}")
    return str(value)


def _patterns(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ValueError("a list of patterns, as in gpt-*")
    return tuple(each.strip() for each in listed if each.strip())


def _price_id(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("a name of the price lists, as in openai")
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in {"true", "false"}:
        raise ValueError("true or false")
    return value.lower() == "true"


def _number(low: float, high: float, *, whole: bool = False) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = None
        if isinstance(value, str) and re.fullmatch(r"\d{1,10}(\.\d{1,10})?", value, re.ASCII):
            number = float(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            number = value
        if number is None or not low <= number <= high or (whole and number != int(number)):
            raise ValueError(f"{'an integer' if whole else 'a number'} from {low:g} to {high:g}")
        return int(number) if whole else float(number)

    return read


PROVIDER_SETTINGS: Final = (
    ProviderSetting(
        "base_url",
        "",
        "Where its API is, with the version: https://api.openai.com/v1.",
        _url,
    ),
    ProviderSetting(
        "api_key",
        "",
        "The server's key for it; a project's own key and one sent with a request win over it.",
        _key,
    ),
    ProviderSetting(
        "auth",
        "bearer",
        "How the key is sent: bearer, or in a header x-api-key or api-key.",
        _auth,
    ),
    ProviderSetting(
        "models",
        "",
        "Patterns of the models that go to it when a request names no provider, as in gpt-*.",
        _patterns,
    ),
    ProviderSetting(
        "price_id",
        "",
        "Its name in the price lists (`watchllm prices list`), if it differs from its own.",
        _price_id,
    ),
    ProviderSetting(
        "stream_usage",
        "true",
        "Whether its streams can be asked for their usage (stream_options.include_usage).",
        _flag,
    ),
    ProviderSetting(
        "connect_seconds",
        "10",
        "Longest wait for a connection.",
        _number(0.1, _MAX_SECONDS),
    ),
    ProviderSetting(
        "timeout_seconds",
        "600",
        "Longest wait for the first byte of an answer, and for each one after it.",
        _number(0.1, _MAX_SECONDS),
    ),
    ProviderSetting(
        "retries",
        "1",
        "How often a request is repeated that failed before the first byte of its answer.",
        _number(0, 10, whole=True),
    ),
    ProviderSetting(
        "max_concurrency",
        "0",
        "Requests that may be under way at once; 0 does not limit them.",
        _number(0, 1_000_000, whole=True),
    ),
)
_BY_NAME: Final = {setting.name: setting for setting in PROVIDER_SETTINGS}


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What was said of providers: by their names, the values of the settings that were given.

    `fallbacks` has for a model, or for a provider's name with a slash at its end, what is asked
    next when it fails: models with the prefix of their provider. The repr names providers alone.
    """

    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProviderSettings({', '.join(sorted(self.given))})"


def load_providers(environment: Mapping[str, str], config: Path | None = None) -> ProviderSettings:
    """Read the variables WATCHLLM_PROVIDER_..., and [providers] and [gateway] of a config file.

    The environment wins, setting by setting. Raises StartError with a sentence for what is wrong;
    it never quotes a key.
    """
    tables: dict[str, Any] = {}
    fallbacks: dict[str, tuple[str, ...]] = {}
    if config is not None:
        tables, fallbacks = _read_file(config)
    given: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        check_name(name, f"[providers.{name}] of {config}")
        if not isinstance(table, dict):
            raise StartError(f"The file {config} must have a table [providers.{name}].")
        for key, value in table.items():
            source = f"{key} in [providers.{name}] of {config}"
            setting = _setting(key, source)
            given.setdefault(name, {})[key] = _value(setting, value, source)
    for variable, text in sorted(environment.items()):
        if variable.startswith(PREFIX) and text:
            name, setting = _of_variable(variable)
            given.setdefault(name, {})[setting.name] = _value(setting, text, variable)
    return ProviderSettings(given, fallbacks)


def check_name(name: str, source: str) -> None:
    """Raise StartError for a name that no address, header and variable could carry."""
    if not _NAME.fullmatch(name):
        raise StartError(
            f"{source}: a provider's name has 1 to 40 small letters, digits and inner hyphens."
        )


def variable_of(provider: str, setting: str) -> str:
    """Return the variable of a provider's setting, as in WATCHLLM_PROVIDER_OPENAI_API_KEY."""
    return f"{PREFIX}{provider.upper().replace('-', '_')}_{setting.upper()}"


def _of_variable(variable: str) -> tuple[str, ProviderSetting]:
    rest = variable.removeprefix(PREFIX)
    for setting in PROVIDER_SETTINGS:
        suffix = f"_{setting.name.upper()}"
        if rest.endswith(suffix) and len(rest) > len(suffix):
            name = rest.removesuffix(suffix).lower().replace("_", "-")
            check_name(name, variable)
            return name, setting
    endings = ", ".join(f"_{setting.name.upper()}" for setting in PROVIDER_SETTINGS)
    raise StartError(f"{variable} is no setting of a provider: it must end in one of {endings}.")


def _setting(name: str, source: str) -> ProviderSetting:
    if name not in _BY_NAME:
        near = get_close_matches(name, _BY_NAME, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise StartError(f"{source} is no setting of a provider.{meant}")
    return _BY_NAME[name]


def _value(setting: ProviderSetting, value: Any, source: str) -> Any:
    try:
        return setting.read(value)
    except ValueError as error:
        raise StartError(f"{source} must be {error}.") from None


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise StartError(f"The file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"The file {path} is not valid TOML: {error}.") from None
    providers, gateway = found.get("providers", {}), found.get("gateway", {})
    _check_tables(path, ("providers", providers), ("gateway", gateway))
    if unknown := sorted(gateway.keys() - {"fallbacks"}):
        raise StartError(f"The file {path} has {unknown[0]!r} in [gateway], which has fallbacks.")
    chains = gateway.get("fallbacks", {})
    _check_tables(path, ("gateway.fallbacks", chains))
    for name, chain in chains.items():
        if not isinstance(chain, list) or not all(isinstance(each, str) for each in chain):
            raise StartError(f"{name!r} in [gateway.fallbacks] of {path} must be a list of models.")
    return providers, {name: tuple(chain) for name, chain in chains.items()}


def _check_tables(path: Path, *tables: tuple[str, Any]) -> None:
    for name, table in tables:
        if not isinstance(table, dict):
            raise StartError(f"The file {path} must have a table [{name}].")
