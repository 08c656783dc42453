"""The embedded Redis: its configuration as text."""

from pathlib import Path

import pytest

from hub.bus.connection import Outage
from hub.bus.redis_server import CONFIG, quoted


@pytest.mark.parametrize(
    "name", ["plain", "with space", 'quo"te', "line\nbreak", "back\\slash", "数据", "$HOME", "a;b"]
)
def test_no_folder_name_breaks_out_of_its_argument(name: str) -> None:
    text = quoted(Path("/data") / name)
    assert "\n" not in text
    assert text.count('"') == 2
    body = text[1:-1].replace("\\x", "%")
    assert " " not in body
    assert "\\" not in body


def test_scripts_and_disk_and_tcp_are_off() -> None:
    lines = CONFIG.splitlines()
    for line in ("port 0", 'save ""', "appendonly no", "user default on nopass ~* &* +@all -@scripting"):
        assert line in lines


def test_an_outage_backs_off_to_its_most_and_starts_anew_once_it_is_over() -> None:
    outage = Outage("test", first=0.1, most=0.5)
    assert [outage.failed(OSError()) for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    assert outage.worked()
    assert not outage.worked()
    assert outage.failed(OSError()) == 0.1
