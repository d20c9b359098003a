"""One row a setting: precedence, checks, and what may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchllm_server.errors import StartError
from watchllm_server.settings import SETTINGS, Settings, load_settings


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
