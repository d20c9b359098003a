"""The server's own key, and what is encrypted under it."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.errors import SealError, StartError
from watchllm_server.secrets import FILE_NAME, Secret, load_secret
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

_SEAL = Secret(b"k" * 32).seal("tests")
_MADE_UP = "made-up-provider-key-0123456789abcdef"


@given(st.binary(max_size=2_000), st.binary(max_size=100))
def test_what_is_closed_opens_with_the_same_context(plain: bytes, context: bytes) -> None:
    """Any bytes come back, and are 29 longer while they are closed."""
    sealed = _SEAL.close(plain, context)

    assert _SEAL.open(sealed, context) == plain
    assert len(sealed) == len(plain) + 29


@given(st.binary(min_size=1, max_size=200), st.data())
def test_one_changed_or_missing_bit_is_found_out(plain: bytes, data: st.DataObject) -> None:
    """Bytes with a bit turned, or cut anywhere, do not open."""
    sealed = _SEAL.close(plain)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    cut = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8

    for broken in (bytes(changed), sealed[:cut]):
        with pytest.raises(SealError):
            _SEAL.open(broken)


def test_another_key_purpose_or_context_opens_nothing() -> None:
    """What one project's seal closed, no other purpose, context or server opens."""
    sealed = _SEAL.close(b"text", b"project-1")

    for seal, context in (
        (_SEAL, b"project-2"),
        (Secret(b"k" * 32).seal("other"), b"project-1"),
        (Secret(b"l" * 32).seal("tests"), b"project-1"),
    ):
        with pytest.raises(SealError, match="another secret key"):
            seal.open(sealed, context)


def test_the_same_text_is_never_encrypted_alike() -> None:
    """Equal texts do not show as equal."""
    assert len({_SEAL.close(b"same") for _ in range(100)}) == 100


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """The file is made with mode 0600; the next start opens what this one closed."""
    sealed = load_secret(tmp_path).seal("tests").close(b"text")

    assert load_secret(tmp_path).seal("tests").open(sealed) == b"text"
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_starts_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    """Whoever comes first makes the key, and all others take it."""
    ready = threading.Barrier(8)
    found: list[Secret] = []

    def load() -> None:
        ready.wait()
        found.append(load_secret(tmp_path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sealed = found[0].seal("tests").close(b"text")
    assert [secret.seal("tests").open(sealed) for secret in found] == [b"text"] * 8


def test_a_given_key_makes_no_file(tmp_path: Path) -> None:
    """With WATCHLLM_SECRET_KEY nothing is written, and the same text is the same key."""
    given_key = secrets.token_urlsafe(32)
    sealed = load_secret(tmp_path, given_key).seal("tests").close(b"text")

    assert load_secret(tmp_path, given_key).seal("tests").open(sealed) == b"text"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"AAAA", b"not base64!", b"\xff" * 44])
def test_a_damaged_key_stops_the_start_and_stays(tmp_path: Path, content: bytes) -> None:
    """A new key would open nothing: the file is left for its owner to put back."""
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(StartError, match="damaged"):
        load_secret(tmp_path)
    assert path.read_bytes() == content


def test_a_key_that_others_may_read_stops_the_start(tmp_path: Path) -> None:
    """The owner is told the command that mends it."""
    load_secret(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)

    with pytest.raises(StartError, match="chmod 600"):
        load_secret(tmp_path)


def test_nothing_shows_the_key(tmp_path: Path) -> None:
    """Neither the settings nor the secret have the key in what they print."""
    settings = load_settings({"WATCHLLM_SECRET_KEY": _MADE_UP, "WATCHLLM_DATA_DIR": str(tmp_path)})
    secret = load_secret(tmp_path, settings.secret_key)

    assert _MADE_UP not in f"{settings!r} {secret!r} {secret.seal('tests')!r}"


def test_a_weak_key_is_refused_without_being_shown() -> None:
    """A short or repeated text is no key, and the refusal does not quote it."""
    for weak in ("short-key-of-20-chars", "ab" * 20):
        with pytest.raises(StartError, match="32 random characters") as refused:
            load_settings({"WATCHLLM_SECRET_KEY": weak})
        assert weak not in str(refused.value)
