"""One row a setting: precedence, checks, and what may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchllm_server.errors import StartError
from watchllm_server.settings import SETTINGS, Settings, load_settings, read_config


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    """The precedence is option, environment, default; an empty text is not given."""
    environment = {"WATCHLLM_PORT": "1000", "WATCHLLM_HOST": "", "WATCHLLM_DATA_DIR": "~/d"}

    settings = load_settings(environment, port="2000", data_dir="")

    assert (settings.port, settings.host) == (2000, "127.0.0.1")
    assert settings.data_dir == Path.home() / "d"
    assert load_settings(environment).port == 1000


@pytest.mark.parametrize("port", ["x", "-1", "65536", "8 787", "٣", "9" * 5_000])
def test_a_wrong_value_is_one_sentence(port: str) -> None:
    """A value that is not allowed stops the start, naming its source and what is allowed."""
    with pytest.raises(StartError, match="--port must be an integer from 0 to 65535"):
        load_settings({}, port=port)
    with pytest.raises(StartError, match="WATCHLLM_PORT must be"):
        load_settings({"WATCHLLM_PORT": port})


def test_every_row_is_a_field_with_help() -> None:
    """Rows and fields are the same, and each row has its help and its variable."""
    assert [row.name for row in SETTINGS] == list(Settings.__dataclass_fields__)
    assert all(row.help.endswith(".") and row.env.startswith("WATCHLLM_") for row in SETTINGS)


def test_the_key_is_in_no_representation() -> None:
    """Printing the settings does not print the key."""
    settings = load_settings({"WATCHLLM_INIT_API_KEY": "very-secret-key-of-mine"})

    assert "secret" not in repr(settings)


def test_a_config_file_wins_over_the_defaults_alone(tmp_path: Path) -> None:
    """What a file says counts where neither an option nor the environment says otherwise."""
    path = tmp_path / "watchllm.toml"
    path.write_text('port = 3000\nhost = "localhost"\nretention_days = 7\nmemory_mb = 500\n')

    settings = load_settings({"WATCHLLM_HOST": "::1"}, read_config(path), port="2000")

    assert (settings.port, settings.host, settings.retention_days) == (2000, "::1", 7)
    assert settings.memory_mb == 500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "Did you mean 'port'?"),
        ("[server]\nport = 1", "no setting"),
        ("port = true", "neither text nor a number"),
        ("port = 1.5", "neither text nor a number"),
        ("port =", "not valid TOML"),
        ("\udcff", "not valid TOML"),
    ],
)
def test_a_config_file_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    """A file that cannot be understood stops the start, naming itself and what is wrong."""
    path = tmp_path / "watchllm.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(StartError, match=words) as stopped:
        read_config(path)
    assert str(path) in str(stopped.value)


def test_a_config_file_that_is_missing_or_has_a_wrong_value_is_named(tmp_path: Path) -> None:
    """A missing file is named, and so is the file as the source of a wrong value."""
    with pytest.raises(StartError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(StartError, match="port of the config file must be an integer"):
        load_settings({}, {"port": "x"})


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "https://", "https://x/path", "http://["])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The public address must be one of a whole host."""
    with pytest.raises(StartError, match="WATCHLLM_PUBLIC_URL must be an address"):
        load_settings({"WATCHLLM_PUBLIC_URL": url})
    assert load_settings({"WATCHLLM_PUBLIC_URL": "https://x.example/"}).public_url
