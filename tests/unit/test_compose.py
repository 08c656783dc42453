"""What docker-compose.yml says, held against the settings and the roles that its containers will meet."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.settings import Settings

ROOT = Path(__file__).parents[2]
ENV = {"REDIS_PASSWORD": "r", "POSTGRES_PASSWORD": "p", "SHARPEYES_ANNOUNCE": "10.1.2.3"}
GB = {"GB_ID": "34020000002000000001", "GB_ADDRESS": "10.1.2.3"}
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")


def filled(node: Any, env: dict[str, str]) -> Any:
    """Variables put in after parsing, as Compose does."""
    if isinstance(node, dict):
        return {key: filled(value, env) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, env) for value in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda found: env.get(found[1]) or (found[2] or ""), node)
    return node


def services(env: dict[str, str]) -> dict[str, Any]:
    """Ours, with these variables."""
    found = filled(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), env)["services"]
    return {name: service for name, service in found.items() if "build" in service}


def ports(service: dict[str, Any]) -> set[str]:
    """Published ports as the machine sees them; inside they are the same."""
    result = set()
    for line in service.get("ports", ()):
        outside, _, inside = line.rpartition(":")
        number, _, protocol = inside.partition("/")
        assert outside == number, line
        result.add(f"{number}/{protocol}")
    return result


@pytest.mark.parametrize("name", services(ENV))
@pytest.mark.parametrize("env", [ENV, ENV | GB], ids=["plain", "GB/T 28181"])
def test_every_container_starts_with_settings_that_hold(name: str, env: dict[str, str]) -> None:
    service = services(env)[name]
    settings = Settings.load(service["environment"])
    assert service["command"][:2] == ["sharpeyes", "role"]
    assert settings.gb_id == env.get("GB_ID", "")


def test_every_role_of_a_site_has_a_container() -> None:
    assert {service["command"][2] for service in services(ENV).values()} == {"api", "relay", "gateway", "vision"}


def test_a_relay_publishes_the_ports_it_announces() -> None:
    for name in ("relay", "relay-2"):
        service = services(ENV | GB)[name]
        settings = Settings.load(service["environment"])
        gb = "-".join(map(str, settings.gb_port_range))
        media = str(settings.udp_port)
        assert ports(service) == {f"{each}/{protocol}" for each in (media, gb) for protocol in ("udp", "tcp")}
        assert settings.gb_media_host == "10.1.2.3"


def test_two_relays_share_no_port() -> None:
    found = services(ENV)
    ranges = [Settings.load(found[name]["environment"]).gb_port_range for name in ("relay", "relay-2")]
    assert ranges[0][1] < ranges[1][0]
    assert not ports(found["relay"]) & ports(found["relay-2"])


def test_the_gateway_publishes_sip_and_says_where_it_is_reached() -> None:
    service = services(ENV | GB)["gateway"]
    settings = Settings.load(service["environment"])
    assert ports(service) == {f"{settings.sip_port}/{protocol}" for protocol in ("udp", "tcp")}
    assert settings.sip_address == "10.1.2.3"
