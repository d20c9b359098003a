"""Settings come from arguments, the environment and defaults, and are checked together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from watchllm import ConfigurationError, WatchLLMError
from watchllm._config import SETTINGS, Config, load

REQUIRED = {"api_key": "key-1", "project_id": "proj-1"}


def config(**options: Any) -> Config:
    """Return the settings from options, with key and project given."""
    return load({**REQUIRED, **options}, {})[0]


def complaint(options: dict[str, Any], environ: dict[str, str] | None = None) -> str:
    """Return what ConfigurationError says."""
    with pytest.raises(ConfigurationError) as caught:
        load(options, environ or {})
    return str(caught.value)


def test_defaults_are_those_of_the_documentation() -> None:
    """Without arguments every setting has its documented default."""
    found = config()

    assert found.base_url == "https://proxy.watchllm.dev/v1"
    assert found.environment == "development"
    assert found.sample_rate == 1.0
    assert found.redact_pii is True
    assert found.batch_size == 10
    assert found.flush_interval_seconds == 5
    assert found.timeout == 30
    assert found.release is None
    assert found.enabled is True
    assert found.debug is False
    assert found.durability == "disk"
    assert found.spool_dir is None
    assert found.spool_max_mb == 256


def test_an_argument_wins_over_the_environment_and_it_over_the_default() -> None:
    """Each setting is taken from the first place that gives it; None and "" give nothing."""
    environ = {
        "WATCHLLM_API_KEY": "key-env",
        "WATCHLLM_PROJECT_ID": "proj-env",
        "WATCHLLM_BATCH_SIZE": " 50 ",
        "WATCHLLM_TIMEOUT": "2.5",
        "WATCHLLM_ENVIRONMENT": "",
        "WATCHLLM_REDACT_PII": "off",
        "WATCHLLM_DEBUG": "YES",
    }
    found, warnings = load({"api_key": "key-arg", "project_id": None, "timeout": 7}, environ)

    assert warnings == []
    assert found.api_key == "key-arg"
    assert found.project_id == "proj-env"
    assert found.batch_size == 50
    assert found.timeout == 7
    assert found.environment == "development"
    assert found.redact_pii is False
    assert found.debug is True


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("sample_rate", 2.0, "a number from 0.0 to 1.0"),
        ("sample_rate", -0.1, "a number from 0.0 to 1.0"),
        ("sample_rate", float("nan"), "a number from 0.0 to 1.0"),
        ("sample_rate", True, "a number from 0.0 to 1.0"),
        ("sample_rate", "0.5", "a number from 0.0 to 1.0"),
        ("batch_size", 0, "an integer from 1 to 500"),
        ("batch_size", 501, "an integer from 1 to 500"),
        ("batch_size", True, "an integer from 1 to 500"),
        ("batch_size", 1.5, "an integer from 1 to 500"),
        ("durability", "none", '"disk" or "memory"'),
        ("spool_dir", 5, "the path of a directory"),
        ("spool_dir", "", "the path of a directory"),
        ("spool_dir", "a\0b", "the path of a directory"),
        ("spool_max_mb", 1.5, "an integer of megabytes"),
        ("spool_max_mb", 15, "16 to 1000000 megabytes"),
        ("flush_interval_seconds", 0, "above 0"),
        ("flush_interval_seconds", float("inf"), "above 0"),
        ("timeout", -1, "above 0"),
        ("timeout", False, "above 0"),
        ("project_id", " ", "a text that is not empty"),
        ("project_id", 7, "a text that is not empty"),
        ("environment", "", "a text that is not empty"),
        ("release", 3, "a text that is not empty"),
        ("redact_pii", 1, "True, False or a RedactionConfig"),
        ("enabled", "no", "True or False"),
        ("base_url", "localhost:8787", "http://127.0.0.1:8787/v1"),
        ("base_url", "ftp://host/v1", "http://127.0.0.1:8787/v1"),
        ("base_url", "http://", "http://127.0.0.1:8787/v1"),
        ("base_url", "http://host:99999/v1", "http://127.0.0.1:8787/v1"),
        ("base_url", "http://host:0/v1", "http://127.0.0.1:8787/v1"),
        ("base_url", "http://[::1", "http://127.0.0.1:8787/v1"),
        ("base_url", "http://host/v1?x=1", "without spaces"),
        ("base_url", "http://ho st/v1", "without spaces"),
        ("base_url", 8787, "http://127.0.0.1:8787/v1"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value_and_what_is_allowed(
    name: str, value: object, allowed: str
) -> None:
    """The error says which argument, which value and what would be right."""
    message = complaint({**REQUIRED, name: value})

    assert f"{name}={value!r}: " in message
    assert allowed in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Several wrong arguments make one error that names each."""
    message = complaint({**REQUIRED, "sample_rate": 2.0, "batch_size": 0, "base_url": "nowhere"})

    assert len(message.splitlines()) == 4
    assert all(name in message for name in ("sample_rate=2.0", "batch_size=0", "'nowhere'"))


@pytest.mark.parametrize("key", ["secret-key\n\u00e9", "secret key", " ", 12345678, b"secret-key"])
def test_a_wrong_key_is_never_shown(key: object) -> None:
    """The error names api_key, but its value does not stand in it."""
    message = complaint({"api_key": key, "project_id": "proj-1"})

    assert "api_key" in message
    assert "secret" not in message
    assert "12345678" not in message


def test_a_password_in_the_address_is_refused_and_never_shown() -> None:
    """Credentials in base_url are refused without being repeated."""
    message = complaint({**REQUIRED, "base_url": "https://user:hunter2@host/v1"})

    assert "without a user or password" in message
    assert "hunter2" not in message


def test_what_is_missing_is_said_with_both_ways_to_give_it() -> None:
    """Key and project are required: the error names the argument and the variable."""
    message = complaint({"api_key": None})

    assert "api_key is missing: pass it or set WATCHLLM_API_KEY" in message
    assert "project_id is missing: pass it or set WATCHLLM_PROJECT_ID" in message


def test_nothing_is_required_when_disabled() -> None:
    """A disabled client needs neither key nor project, from an argument or the environment."""
    assert load({"enabled": False}, {})[0].enabled is False
    assert load({}, {"WATCHLLM_ENABLED": "0"})[0].enabled is False


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WATCHLLM_SAMPLE_RATE", "lots"),
        ("WATCHLLM_SAMPLE_RATE", "7"),
        ("WATCHLLM_BATCH_SIZE", "ten"),
        ("WATCHLLM_REDACT_PII", "perhaps"),
    ],
)
def test_a_wrong_variable_is_warned_of_and_the_default_used(variable: str, value: str) -> None:
    """A bad value is ignored and named in a warning, where its default does no harm."""
    found, warnings = load(REQUIRED, {variable: value})
    default = {setting.env: setting.default for setting in SETTINGS}[variable]

    assert getattr(found, variable[len("WATCHLLM_") :].lower()) == default
    assert len(warnings) == 1
    assert f"{variable}={value!r} is ignored" in warnings[0]


def test_a_wrong_address_in_the_environment_sends_nothing_elsewhere() -> None:
    """An app that has an address of its own never sends to the default's; off, it needs none."""
    wrong = {"WATCHLLM_BASE_URL": "127.0.0.1:8787/v1"}

    message = complaint(REQUIRED, wrong)
    given, _ = load({**REQUIRED, "base_url": "http://host/v1"}, wrong)
    off, _ = load({}, {**wrong, "WATCHLLM_ENABLED": "0"})

    assert "WATCHLLM_BASE_URL='127.0.0.1:8787/v1': an address such as" in message
    assert given.base_url == "http://host/v1"
    assert not off.enabled


def test_a_wrong_key_in_the_environment_is_not_shown_and_then_missing() -> None:
    """A key that cannot be used is as good as none."""
    message = complaint({"project_id": "p"}, {"WATCHLLM_API_KEY": "se cret"})
    found, warnings = load(REQUIRED, {"WATCHLLM_RELEASE": " "})

    assert "api_key is missing" in message
    assert "se cret" not in message
    assert (found.release, warnings) == (None, [])


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787/v1"),
        ("http://127.0.0.1:8787/", "http://127.0.0.1:8787/v1"),
        ("HTTPS://host/watch/v1/", "https://host/watch/v1"),
        (" https://host/v1 ", "https://host/v1"),
        ("http://[::1]:8787", "http://[::1]:8787/v1"),
    ],
)
def test_an_address_is_completed(given: str, used: str) -> None:
    """An address without a path gets /v1, and no slash at its end."""
    assert config(base_url=given).base_url == used


def test_settings_are_frozen_and_their_repr_hides_the_key() -> None:
    """A Config cannot be changed, and printing it does not show the key."""
    found = config()

    with pytest.raises(AttributeError, match="never change"):
        found.timeout = 3
    assert "key-1" not in repr(found)
    assert "api_key='***'" in repr(found)
    assert "api_key=None" in repr(load({"enabled": False}, {})[0])


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    """A value whose repr() raises, or is long, still makes a readable error."""

    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "timeout=<Rude>: " in complaint({**REQUIRED, "timeout": Rude()})
    assert len(complaint({**REQUIRED, "timeout": "x" * 10_000})) < 300


def test_every_setting_is_documented() -> None:
    """Each row has a sentence of help, a variable after its name, and a default that it allows."""
    for setting in SETTINGS:
        assert setting.help.endswith(".")
        assert setting.env == f"WATCHLLM_{setting.name.upper()}"
        assert setting.default is None or setting.check(setting.default) == setting.default


def test_the_error_is_a_watchllm_error_and_a_value_error() -> None:
    """An app can catch it by either name."""
    assert issubclass(ConfigurationError, WatchLLMError)
    assert issubclass(ConfigurationError, ValueError)


def test_the_directory_of_the_spool_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may be relative, or begin with the home directory, or be an object."""
    monkeypatch.setenv("HOME", "/place/u")
    here = Path.cwd()

    assert config(spool_dir="~/spool").spool_dir == "/place/u/spool"
    assert config(spool_dir="spool").spool_dir == str(here / "spool")
    assert config(spool_dir=Path("spool")).spool_dir == str(here / "spool")
    assert config(durability="memory", spool_max_mb=16).spool_max_mb == 16
