"""Several relays on one machine: ports, logs, and how they are shown."""

from hub.bus.registry import DRAINING, ZONE
from hub.bus.relay_wire import NodeInfo
from hub.main import children
from hub.relay_commands import line
from hub.settings import Settings


def test_each_relay_has_a_media_port_and_a_log_of_its_own() -> None:
    relays = [child for child in children(Settings(port=8_800, relays=3), None) if "relay" in child.command]
    assert [child.name for child in relays] == ["relay", "relay-2", "relay-3"]
    assert [child.environment["SHARPEYES_MEDIA_PORT"] for child in relays] == ["8801", "8811", "8821"]
    assert [child.command[-1] for child in relays] == ["relay", "relay-2", "relay-3"]


def test_one_relay_is_the_usual_and_keeps_its_port() -> None:
    (relay,) = [child for child in children(Settings(media_port=9_000), None) if "relay" in child.command]
    assert relay.environment["SHARPEYES_MEDIA_PORT"] == "9000"


def test_zones_that_a_relay_dials_come_from_the_environment_by_commas() -> None:
    settings = Settings.load({"SHARPEYES_RELAY_DIALS": "inner, outer", "SHARPEYES_RELAY_ZONE": "outer"})
    assert (settings.relay_zone, settings.relay_dials) == ("outer", ("inner", "outer"))
    assert Settings.load(settings.environ()).relay_dials == ("inner", "outer")


def test_a_relay_is_one_line() -> None:
    facts = {DRAINING: "1", ZONE: "inner", "udp_port": "8801", "streams": "2", "sessions": "7"}
    node = NodeInfo(id="relay-1", role="relay", url="http://r", since=1, seen_at=1, load=0.25, facts=facts)
    assert line(node) == "relay-1  draining  zone inner  udp 8801  load 0.25  streams 2  sessions 7"
