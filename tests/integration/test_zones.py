"""A client is told the addresses of its own network zone, from the console's door to the relay's answer."""

import asyncio
import re

from hub.media.peer.server import PeerServer
from hub.settings import Settings
from tests.bench.light_client import offer
from tests.integration.media_kit import feeding
from tests.integration.test_conference_media import SDP, media_rig
from tests.integration.test_whep import PATIENCE, h264

RELAY = Settings.load({"SHARPEYES_ANNOUNCE": "video=10.1.2.3;gov=172.16.3.4,fd00::4;internet=203.0.113.7;192.0.2.9"})


def addresses(sdp: str) -> set[str]:
    return set(re.findall(r"candidate:\S+ 1 \w+ \d+ (\S+)", sdp))


async def test_an_answer_holds_the_addresses_of_the_clients_zone_or_all_of_them() -> None:
    zones = RELAY.addresses
    server = await PeerServer.open("127.0.0.1", 0, announce=zones.pop(""), zones=zones)
    try:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            for zone, told in {
                "video": {"192.0.2.9", "10.1.2.3"},
                "gov": {"192.0.2.9", "172.16.3.4", "fd00::4"},
                "": {"192.0.2.9", "10.1.2.3", "172.16.3.4", "fd00::4", "203.0.113.7"},
                "elsewhere": {"192.0.2.9", "10.1.2.3", "172.16.3.4", "fd00::4", "203.0.113.7"},
            }.items():
                answer = await server.whep(stream, offer("abcd", "x" * 24), owner="u", zone=zone)
                assert addresses(answer.sdp) == told, zone
                again = server.patch(answer.session_id, "a=ice-ufrag:efgh\r\na=ice-pwd:" + "y" * 24 + "\r\n")
                assert addresses(again) == told, zone
    finally:
        await server.close()


async def test_the_door_names_the_zone_of_who_asks_behind_a_trusted_proxy() -> None:
    zones = ("video=10.0.0.0/8", "gov=172.16.0.0/12")
    async with media_rig(zones=zones, trusted_proxies=("127.0.0.0/8",)) as rig, asyncio.timeout(PATIENCE):
        await rig.relay(announce=("video=10.1.2.3", "gov=172.16.3.4"))
        camera = await rig.camera()
        told = {}
        for came_from in ("10.9.9.9", "1.2.3.4, 172.16.9.9", "8.8.8.8"):
            answer = await rig.hub.call(
                "commander", "POST", f"/whep/cameras/{camera}", 201,
                content=offer("abcd", "x" * 24), headers=SDP | {"X-Forwarded-For": came_from},
            )  # fmt: skip
            told[came_from] = addresses(answer.text)
        assert told == {
            "10.9.9.9": {"10.1.2.3"}, "1.2.3.4, 172.16.9.9": {"172.16.3.4"}, "8.8.8.8": {"10.1.2.3", "172.16.3.4"}
        }  # fmt: skip
