"""Settings come from defaults, the environment and the command line, in that order."""

from pathlib import Path

import pytest

from hub.domain.errors import Invalid
from hub.settings import Settings


def test_the_environment_overrides_a_default_and_an_argument_overrides_the_environment() -> None:
    environ = {"SHARPEYES_PORT": "9000", "SHARPEYES_NAME": "某中心"}
    assert Settings.load(environ).port == 9000
    assert Settings.load(environ, port=9100).port == 9100
    assert Settings.load(environ, port=None).name == "某中心"


def test_addresses_to_announce_are_a_list_with_commas() -> None:
    assert Settings.load({"SHARPEYES_ANNOUNCE": "10.0.0.1, 10.1.0.1"}).announce == ("10.0.0.1", "10.1.0.1")


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("PORT", "http"), ("FANOUT", "rust"), ("LOG_LEVEL", "loud"), ("LINGER_S", "-1"),
     ("ANNOUNCE", "video=10.1.2.999"), ("ZONES", "10.0.0.0/8"), ("TRUSTED_PROXIES", "proxy.example")],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        Settings.load({f"SHARPEYES_{name}": value})
    assert f"SHARPEYES_{name}" in caught.value.message


def test_what_is_wrong_with_a_zone_is_said_in_one_plain_line() -> None:
    with pytest.raises(Invalid) as caught:
        Settings.load({"SHARPEYES_ANNOUNCE": "video=10.1.2.999"})
    assert caught.value.message == "SHARPEYES_ANNOUNCE: '10.1.2.999' is no IP address"


def test_variables_of_other_programs_and_empty_ones_are_ignored() -> None:
    assert Settings.load({"PORT": "1", "SHARPEYES_PORT": ""}).port == 8800


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = Settings.load(
        {}, data=Path("/somewhere/data"), announce=("10.0.0.1", "video=fd00::1"), demo=True, linger_s=0.5,
        zones=("video=10.0.0.0/8", "gov=fd00::/8"), trusted_proxies=("10.0.0.1",), media_tcp=False,
    )  # fmt: skip
    assert Settings.load(settings.environ()) == settings


def test_the_other_ports_follow_the_port_unless_they_are_given() -> None:
    assert (Settings(port=9000).udp_port, Settings(port=9000).rtsp_port) == (9001, 9002)
    assert Settings(port=9000, media_port=7000).udp_port == 7000
