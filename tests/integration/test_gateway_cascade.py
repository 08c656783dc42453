"""What a platform above us gets of what is shared with it, and what it does not get of anything else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hub.bus.gateway_wire import DeviceConfig, GatewayConfig, SharedChannel, UpperConfig
from signaling.gb28181 import invite, manscdp, ptz
from signaling.gb28181 import messages as m
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Response, make_request
from signaling.transport.sip import CallRefused, NodeConfig, SipNode
from tests.integration.test_gateway import CAM, DOMAIN, NVR, SECRET, SERVER, GatewayRig, online, rig, until

__all__ = ["rig"]  # the fixture
UPPER, UP_DOMAIN = "32010000002000000001", "3201000000"
SHARED, OTHER = "32010000001310000001", "32010000001310000002"
OTHER_CAM = "34020000001320000077"


@dataclass
class Above:
    """A platform that asks whatever it likes."""

    rig: GatewayRig
    node: SipNode
    heard: list[m.Message | m.Unknown] = field(default_factory=list)

    async def say(self, message: m.Message) -> Response:
        request = self._request("MESSAGE", SERVER, manscdp.write(message), manscdp.CONTENT_TYPE)
        return await self.node.request(request, self.flow)

    async def answer(self, kind: type[m.Message], count: int = 1) -> list[Any]:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def of(self, kind: type[m.Message]) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]

    async def calls(self, channel: str) -> int:
        """The status with which an INVITE is refused."""
        offer = invite.write(invite.Media(owner=UPPER, host="127.0.0.1", port=40_000, ssrc=1))
        request = self._request("INVITE", channel, offer, invite.CONTENT_TYPE)
        request.headers.add("Contact", f"<sip:{UPPER}@127.0.0.1:{self.node.port}>")
        try:
            await self.node.invite(request, self.flow, timeout=20)
        except CallRefused as refused:
            return refused.response.status
        return 200

    @property
    def flow(self) -> Flow:
        return Flow("udp", "127.0.0.1", self.rig.sip_port)

    def _request(self, method: str, to: str, body: bytes, content: str) -> Any:
        return make_request(
            method, f"sip:{to}@{DOMAIN}", from_=f"sip:{UPPER}@{UP_DOMAIN}", to=f"sip:{to}@{DOMAIN}", body=body,
            content_type=content,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def above(rig: GatewayRig, host: str = "127.0.0.1") -> AsyncIterator[Above]:
    """One that we have registered with, and that sees one camera of the device below."""
    heard: list[m.Message | m.Unknown] = []

    def take(tx: ServerTransaction) -> None:
        tx.respond(200)
        if tx.method == "MESSAGE":
            heard.append(manscdp.parse(tx.request.body))

    shared = SharedChannel(id=SHARED, camera="cam-1", name="东门", device=NVR, channel=CAM, online=True)
    async with SipNode(take, NodeConfig(host="127.0.0.1")) as node:
        upper = UpperConfig(
            id=UPPER, domain=UP_DOMAIN, host=host, port=node.port, local_id=SERVER, channels=(shared,)
        )  # fmt: skip
        config = GatewayConfig(version="2", devices=(DeviceConfig(id=NVR, password=SECRET),), uppers=(upper,))
        await rig.call("PUT", "/config", 204, content=config.model_dump_json())

        async def up() -> bool:
            return bool((await rig.call("GET", "/devices"))["uppers"][0]["state"] == "online")

        await until(up)
        yield Above(rig, node, heard)


async def test_what_is_not_shared_is_not_there_whatever_is_asked_of_it(rig: GatewayRig) -> None:
    """By the identifier that another platform may have for it, and by the one that it has below."""
    async with online(rig) as nvr, above(rig) as platform:
        nvr.asked.clear()
        for name, channel in enumerate((OTHER, OTHER_CAM, CAM, NVR), 1):
            assert (await platform.say(m.RecordQuery(sn=name, device=channel, start=100, end=900))).status == 200
            assert (await platform.answer(m.RecordInfo, name))[-1].total == 0
            await platform.say(m.PresetQuery(sn=name, device=channel))
            assert (await platform.answer(m.Presets, name))[-1].items == ()
            await platform.say(m.DeviceControl(sn=name, device=channel, ptz=ptz.encode(ptz.move(1, 0, 0))))
            assert (await platform.answer(m.ControlResponse, name))[-1].result is False
            await platform.say(m.BroadcastNotify(sn=name, source=UPPER, target=channel))
            assert (await platform.answer(m.BroadcastResponse, name))[-1].result is False
            assert await platform.calls(channel) == 404
        await platform.say(m.CatalogQuery(sn=9, device=SERVER))
        (catalogue,) = await platform.answer(m.Catalog)
        assert [item.id for item in catalogue.items] == [SHARED]
        assert nvr.asked == []  # nothing of all that reached the device
        assert nvr.invites == []


async def test_what_is_shared_is_turned_but_neither_rebooted_nor_formatted(rig: GatewayRig) -> None:
    async with online(rig) as nvr, above(rig) as platform:
        nvr.asked.clear()
        order = ptz.encode(ptz.move(1, 0, 0))
        await platform.say(m.DeviceControl(sn=1, device=SHARED, ptz=order))
        await until(lambda: bool(nvr.asked))
        (control,) = nvr.asked
        assert isinstance(control, m.DeviceControl)
        assert (control.device, control.ptz) == (CAM, order)
        for sn, harm in ((2, {"reboot": True}), (3, {"format_card": 1})):
            await platform.say(m.DeviceControl(sn=sn, device=SHARED, **harm))
            assert (await platform.answer(m.ControlResponse, sn - 1))[-1].result is False
        assert len(nvr.asked) == 1


async def test_a_platform_with_addresses_of_both_families_is_reached_by_ours(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.BaseEventLoop.getaddrinfo

    async def both(self: Any, host: Any, port: Any, **given: Any) -> Any:
        if host != "platform.example":
            return await real(self, host, port, **given)
        found: list[Any] = [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("0100::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port)),
        ]
        return [each for each in found if given.get("family", 0) in (0, each[0])]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    async with above(rig, "platform.example") as platform:
        assert (await platform.say(m.CatalogQuery(sn=1, device=SERVER))).status == 200
