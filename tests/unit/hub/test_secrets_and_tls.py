"""Secrets are random per installation and private; certificates name the hosts that they serve."""

import os
import stat
from pathlib import Path

import pytest

from hub import tls
from hub.bus.connection import connect
from hub.domain.errors import Invalid, Unavailable
from hub.logs import mask
from hub.secrets import internal_token, prepare_data_folder, write_private
from hub.settings import Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_internal_token_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    first = internal_token(settings)
    assert len(first) >= 43
    assert internal_token(settings) == first
    assert mode(tmp_path / "data/secrets/internal-token") == 0o600
    assert internal_token(Settings(data=tmp_path / "other")) != first


def test_a_private_file_replaced_keeps_its_mode_and_leaves_no_part_behind(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"two", 0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_a_data_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("I am a file")
    with pytest.raises(Unavailable) as caught:
        prepare_data_folder(Settings(data=tmp_path / "data"))
    assert "can't be written" in caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_written_after_the_folder_is_prepared_is_its_owners_alone(tmp_path: Path) -> None:
    """Database, logs and pictures are made by libraries that know nothing of modes."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)  # made by hand, whatever the umask was
    before = os.umask(0o022)
    try:
        prepare_data_folder(Settings(data=data))
        (data / "hub.sqlite3").write_bytes(b"")
        (data / "pictures").mkdir()
    finally:
        os.umask(before)
    assert mode(data / "hub.sqlite3") == 0o600
    assert {mode(folder) for folder in (data, data / "pictures", data / "logs", data / "secrets")} == {0o700}


@pytest.mark.parametrize("part", ["logs", "secrets"])
def test_a_file_where_a_folder_belongs_is_said_in_one_line(tmp_path: Path, part: str) -> None:
    (tmp_path / part).write_text("I am a file")
    with pytest.raises(Unavailable, match=f"{part} can't be written: a file has this name"):
        prepare_data_folder(Settings(data=tmp_path))


def test_an_empty_token_is_said_and_never_used(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets" / "internal-token", b"\n")
    with pytest.raises(Unavailable, match="is empty"):
        internal_token(Settings(data=tmp_path))


@pytest.mark.parametrize("url", ["nonsense", "http://u:geheim@h/", "", "redis://h:x/"])
def test_a_redis_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Invalid, match="SHARPEYES_REDIS_URL") as caught:
        connect(url, name="test")
    assert "geheim" not in caught.value.message


def test_a_self_signed_certificate_is_kept_until_the_names_change(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, host="192.0.2.7")
    first = tls.self_signed(settings)
    assert tls.self_signed(settings) == first
    assert mode(first.key) == 0o600
    assert len(first.fingerprint.split(":")) == 32
    assert tls.load(first.certificate, first.key).fingerprint == first.fingerprint
    assert tls.self_signed(Settings(data=tmp_path, host="192.0.2.8")).fingerprint != first.fingerprint


def test_certificate_and_key_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    one = tls.self_signed(Settings(data=tmp_path / "one"))
    two = tls.self_signed(Settings(data=tmp_path / "two"))
    with pytest.raises(Invalid, match="no pair"):
        tls.load(one.certificate, two.key)
    with pytest.raises(Invalid, match="not there"):
        tls.load(tmp_path / "none.pem", one.key)


def test_values_whose_names_say_secret_are_masked_in_logs() -> None:
    event = mask(None, "info", {"event": "x", "Password": "p", "token": "t", "url": "rtsp://u:p@h/", "camera": "c"})
    assert event == {"event": "x", "Password": "***", "token": "***", "url": "***", "camera": "c"}
