"""What a server is told of providers, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from watchllm_server.errors import StartError
from watchllm_server.gateway.providers.known import KNOWN, providers_of
from watchllm_server.provider_settings import (
    PROVIDER_SETTINGS,
    ProviderSettings,
    load_providers,
    variable_of,
)
from watchllm_server.settings import read_config

if TYPE_CHECKING:
    from pathlib import Path

_KEY = "sk-planted-0123456789"
_URL = {"WATCHLLM_PROVIDER_MINE_BASE_URL": "http://127.0.0.1:9/v1"}


def config(folder: Path, text: str) -> Path:
    """Write a config file and return its path."""
    path = folder / "watchllm.toml"
    path.write_text(text)
    return path


def test_a_variable_adds_a_key_to_a_known_provider() -> None:
    """One variable is enough for a provider that the gateway knows."""
    providers = providers_of(load_providers({"WATCHLLM_PROVIDER_OPENAI_API_KEY": f" {_KEY} "}))

    openai = providers.by_name["openai"]
    assert (openai.key, openai.base_url, openai.configured) == (
        _KEY,
        "https://api.openai.com/v1",
        True,
    )
    assert not providers.by_name["anthropic"].configured


def test_any_compatible_server_is_a_provider_by_its_address() -> None:
    """A name of one's own and an address make a provider, which is asked without a key."""
    environment = {
        "WATCHLLM_PROVIDER_MY_LLAMA_BASE_URL": "http://10.0.0.5:8000/v1/",
        "WATCHLLM_PROVIDER_MY_LLAMA_MODELS": "llama-*, qwen-*",
        "WATCHLLM_PROVIDER_MY_LLAMA_RETRIES": "3",
        "WATCHLLM_PROVIDER_MY_LLAMA_STREAM_USAGE": "False",
        "WATCHLLM_PROVIDER_MY_LLAMA_TIMEOUT_SECONDS": "2.5",
        "WATCHLLM_PROVIDER_EMPTY_BASE_URL": "",
    }

    providers = providers_of(load_providers(environment))

    mine = providers.by_name["my-llama"]
    assert (mine.base_url, mine.models) == ("http://10.0.0.5:8000/v1", ("llama-*", "qwen-*"))
    assert (mine.key, mine.configured, mine.stream_usage) == ("", True, False)
    assert (mine.retries, mine.timeout_seconds) == (3, 2.5)
    assert "empty" not in providers.by_name


def test_the_environment_wins_over_the_file_setting_by_setting(tmp_path: Path) -> None:
    """What the file says of a provider stays, where no variable says otherwise."""
    path = config(
        tmp_path,
        """
        port = 9000
        [providers.azure]
        base_url = "https://mine.openai.azure.com/openai/v1"
        api_key = "from-the-file"
        models = ["my-deployment"]
        max_concurrency = 8
        [gateway.fallbacks]
        "gpt-4o" = ["azure/my-deployment", "anthropic/claude-sonnet-4-5"]
        """,
    )

    told = load_providers({"WATCHLLM_PROVIDER_AZURE_API_KEY": _KEY}, path)
    providers = providers_of(told, "azure")

    azure = providers.by_name["azure"]
    assert (azure.key, azure.auth, azure.max_concurrency) == (_KEY, "api-key", 8)
    assert azure.models == ("my-deployment",)
    assert providers.fallbacks == {"gpt-4o": ("azure/my-deployment", "anthropic/claude-sonnet-4-5")}
    assert providers.default == "azure"
    assert read_config(path) == {"port": "9000"}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"WATCHLLM_PROVIDER_OPENAI_APIKEY": _KEY}, "must end in one of _BASE_URL, _API_KEY"),
        ({"WATCHLLM_PROVIDER_API_KEY": _KEY}, "no setting of a provider"),
        ({"WATCHLLM_PROVIDER_X_BASE_URL": "ftp://a/v1"}, "must be an address"),
        ({"WATCHLLM_PROVIDER_X_BASE_URL": "https://me:pw@a/v1"}, "must be an address"),
        ({"WATCHLLM_PROVIDER_X_BASE_URL": "http://a:99999/v1"}, "must be an address"),
        ({"WATCHLLM_PROVIDER_X_BASE_URL": "http://["}, "must be an address"),
        ({"WATCHLLM_PROVIDER_OPENAI_API_KEY": f"{_KEY}\nX-Evil: 1"}, "must be a key of printable"),
        ({"WATCHLLM_PROVIDER_OPENAI_AUTH": "basic"}, "must be one of bearer"),
        ({"WATCHLLM_PROVIDER_OPENAI_RETRIES": "1.5"}, "must be an integer from 0 to 10"),
        ({"WATCHLLM_PROVIDER_OPENAI_CONNECT_SECONDS": "0"}, "must be a number from 0.1 to 86400"),
        ({"WATCHLLM_PROVIDER_OPENAI_STREAM_USAGE": "maybe"}, "must be true or false"),
        ({"WATCHLLM_PROVIDER_OPENAI_PRICE_ID": "not an id"}, "must be a name of the price lists"),
        ({"WATCHLLM_PROVIDER__X_BASE_URL": "http://a/v1"}, "small letters, digits"),
    ],
)
def test_a_wrong_variable_is_one_sentence(environment: dict[str, str], sentence: str) -> None:
    """The start ends with a sentence that names the variable and never quotes a key."""
    with pytest.raises(StartError, match=sentence) as refused:
        load_providers(environment)

    assert next(iter(environment)) in str(refused.value)
    assert _KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[providers.openai]\napikey = "x"', "Did you mean 'api_key'"),
        ("[providers.openai]\napi_key = 7", "api_key in .* must be a key"),
        ("[providers.openai]\nmodels = [1]", "models in .* must be a list of patterns"),
        ("[providers.openai]\nretries = true", "retries in .* must be an integer"),
        ('[providers."My Own"]\nbase_url = "http://a/v1"', "a provider's name has"),
        ("[providers]\nopenai = 1", r"must have a table \[providers.openai\]"),
        ("providers = 1", r"must have a table \[providers\]"),
        ("[gateway]\nfallback = 1", "which has fallbacks"),
        ("[gateway]\nfallbacks = 1", r"must have a table \[gateway.fallbacks\]"),
        ('[gateway.fallbacks]\nm = "openai/x"', "must be a list of models"),
        ("[providers.openai", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """The start ends with a sentence that says where in the file and what is allowed."""
    with pytest.raises(StartError, match=sentence):
        load_providers({}, config(tmp_path, text))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """A missing file stops the start."""
    with pytest.raises(StartError, match="cannot be read"):
        load_providers({}, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("told", "default", "sentence"),
    [
        (ProviderSettings({"mine": {"retries": 2}}), "", "WATCHLLM_PROVIDER_MINE_BASE_URL"),
        (ProviderSettings(), "nobody", "The default provider 'nobody' is none of anthropic"),
        (ProviderSettings({}, {"m": ("claude",)}), "", "must be PROVIDER/MODEL"),
        (ProviderSettings({}, {"m": ("nobody/x",)}), "", "must be PROVIDER/MODEL"),
    ],
)
def test_what_names_no_provider_stops_the_start(
    told: ProviderSettings, default: str, sentence: str
) -> None:
    """An address that is missing, a default or a fallback to nobody is found at the start."""
    with pytest.raises(StartError, match=sentence):
        providers_of(told, default)


def test_a_setting_beside_the_key_does_not_make_a_provider_usable() -> None:
    """A longer timeout alone does not send requests to a provider without its key."""
    told = load_providers({"WATCHLLM_PROVIDER_GROQ_TIMEOUT_SECONDS": "900"})

    assert not providers_of(told).by_name["groq"].configured


def test_keys_are_in_no_representation() -> None:
    """Printing what was told, or the providers made of it, does not print a key."""
    told = load_providers({"WATCHLLM_PROVIDER_OPENAI_API_KEY": _KEY, **_URL})

    shown = f"{told!r} {providers_of(told)!r}"
    assert _KEY not in shown
    assert "openai" in shown


def test_every_setting_has_help_and_is_understood_as_shown() -> None:
    """Each row has its sentence, and its default is a value that it takes itself."""
    assert all(setting.help.endswith(".") for setting in PROVIDER_SETTINGS)
    assert variable_of("my-own", "base_url") == "WATCHLLM_PROVIDER_MY_OWN_BASE_URL"
    defaults = {s.name: s.read(s.default) for s in PROVIDER_SETTINGS if s.default}
    openai = next(provider for provider in KNOWN if provider.name == "openai")
    assert defaults == {name: getattr(openai, name) for name in defaults}


def test_no_two_known_providers_claim_the_same_pattern() -> None:
    """A model's name leads to one provider."""
    patterns = [pattern for provider in KNOWN for pattern in provider.models]

    assert len(patterns) == len(set(patterns))
