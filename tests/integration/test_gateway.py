"""The gateway as a process's worth of objects: real SIP over UDP and TCP, real Redis, real internal HTTP.

The device of these tests is small and says what each test wants; the simulated device has tests of its own.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from hub.bus.gateway_wire import (
    AlarmReport,
    CatalogReport,
    DeviceConfig,
    DeviceInfoReport,
    DeviceReport,
    DomainConfig,
    GatewayConfig,
    PositionReport,
)
from hub.bus.relay_wire import REPORTS_STREAM, NodeInfo
from hub.gateway import run_gateway
from hub.settings import Settings
from signaling.gb28181 import invite, manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.items import Item, PresetItem, Record
from signaling.rtsp.auth import Credentials
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Request, Response, make_request
from signaling.transport.sip import Call, NodeConfig, SipNode
from tests.integration.redis_rig import RedisRig, running_redis

TOKEN = "internal-token-of-the-test"
SERVER = "34020000002000000001"
DOMAIN = "3402000000"
NVR = "34020000001180000001"
CAM = "34020000001310000001"
CAM2 = "34020000001310000002"
SECRET = "s3cret-of-the-device"
REPORTS: TypeAdapter[Any] = TypeAdapter(DeviceReport | DeviceInfoReport | CatalogReport | PositionReport | AlarmReport)


async def until(holds: Callable[[], Any], *, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            result = holds()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.02)


@dataclass
class GatewayRig:
    redis: RedisRig
    settings: Settings
    node: NodeInfo | None = None
    _task: asyncio.Task[None] | None = None
    http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(
            headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=15
        )
    )

    @property
    def sip_port(self) -> int:
        assert self.node is not None
        return int(self.node.facts["sip"].rpartition(":")[2])

    async def start(self, name: str = "gateway-a") -> None:
        ready: asyncio.Future[NodeInfo] = asyncio.get_running_loop().create_future()
        client = self.redis.client(name)

        async def run() -> None:
            try:
                await run_gateway(
                    self.settings, node_id=name, token=TOKEN, redis=client, on_ready=lambda node: ready.set_result(node)
                )
            finally:
                await client.aclose()

        self._task = asyncio.create_task(run())
        either: set[asyncio.Future[Any]] = {self._task, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        self.node = ready.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def call(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        assert self.node is not None
        answer = await self.http.request(method, self.node.url + path, **given)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    async def configure(self, *devices: DeviceConfig, password: str = "", version: str = "1") -> None:
        config = GatewayConfig(version=version, domain=DomainConfig(password=password), devices=devices)
        await self.call("PUT", "/config", 204, content=config.model_dump_json())

    async def state(self, device: str = NVR) -> dict[str, Any]:
        items = (await self.call("GET", "/devices"))["items"]
        return next((item for item in items if item["device"] == device), {})

    async def reports(self, kind: str) -> list[Any]:
        client = self.redis.client("reader")
        try:
            entries: Any = await client.xrange(REPORTS_STREAM)
        finally:
            await client.aclose()
        texts = [values["json"] for _, values in entries]
        return [REPORTS.validate_json(text) for text in texts if json.loads(text)["type"] == kind]


class Device:
    """A device that answers what a test tells it to."""

    def __init__(self, rig: GatewayRig, id: str = NVR, transport: str = "udp") -> None:
        self.rig, self.id = rig, id
        self.flow = Flow("tcp" if transport == "tcp" else "udp", "127.0.0.1", rig.sip_port)
        self.node = SipNode(self._incoming, NodeConfig(host="127.0.0.1"))
        self.asked: list[m.Message | m.Unknown] = []
        self.invites: list[Request] = []
        self.calls: list[Call] = []
        self.answers: dict[type[m.Message], Callable[[Any], list[m.Message]]] = {}
        self.refuse_invite = 0
        self.infos: list[bytes] = []

    def request(self, method: str, *, headers: Any = (), body: bytes = b"", content: str | None = None) -> Request:
        contact = ("Contact", f"<sip:{self.id}@127.0.0.1:{self.node.port}>")
        return make_request(
            method,
            f"sip:{SERVER}@{DOMAIN}",
            from_=f"sip:{self.id}@{DOMAIN}",
            to=f"sip:{self.id if method == 'REGISTER' else SERVER}@{DOMAIN}",
            headers=[contact, *headers],
            body=body,
            content_type=content,
        )

    async def register(self, password: str = SECRET, *, expires: int = 3600, username: str = "") -> Response:
        request = self.request("REGISTER", headers=[("Expires", str(expires))])
        return await self.node.request(request, self.flow, credentials=Credentials(username or self.id, password))

    async def send(self, message: m.Message) -> Response:
        request = self.request("MESSAGE", body=manscdp.write(message), content=manscdp.CONTENT_TYPE)
        return await self.node.request(request, self.flow)

    async def _incoming(self, tx: ServerTransaction) -> None:
        if tx.method == "INVITE":
            self._invite(tx)
            return
        if tx.method == "SUBSCRIBE":
            notifier = self.node.notifier(tx)
            message = manscdp.parse(tx.request.body)
            for answer in self.answers.get(type(message), lambda _: [])(message):  # type: ignore[arg-type] # by type
                await notifier.notify(manscdp.write(answer), manscdp.CONTENT_TYPE)
            return
        tx.respond(200)
        message = manscdp.parse(tx.request.body)
        self.asked.append(message)
        for answer in self.answers.get(type(message), lambda _: [])(message):  # type: ignore[arg-type] # by type
            await self.send(answer)

    def _invite(self, tx: ServerTransaction) -> None:
        self.invites.append(tx.request)
        if self.refuse_invite:
            tx.respond(self.refuse_invite)
            return
        offer = invite.parse(tx.request.body)
        answer = invite.Media(owner=self.id, host="127.0.0.1", port=40_000, ssrc=offer.ssrc, direction="sendonly")
        call = self.node.answer(tx, body=invite.write(answer), headers=[("Contact", f"<sip:{self.id}@127.0.0.1>")])

        def inside(request: ServerTransaction) -> None:
            self.infos.append(request.request.body)
            request.respond(200)

        call.on_request = inside
        self.calls.append(call)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    async with running_redis() as redis:
        rig = GatewayRig(redis, Settings(data=tmp_path, gb_id=SERVER, sip_port=0, host="127.0.0.1"))
        await rig.start()
        try:
            yield rig
        finally:
            await rig.stop()
            await rig.http.aclose()


@contextlib.asynccontextmanager
async def device(rig: GatewayRig, id: str = NVR, transport: str = "udp") -> AsyncIterator[Device]:
    made = Device(rig, id, transport)
    async with made.node:
        yield made


@contextlib.asynccontextmanager
async def online(rig: GatewayRig, transport: str = "udp", **given: Any) -> AsyncIterator[Device]:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET, **given))
    async with device(rig, transport=transport) as made:
        assert (await made.register()).status == 200
        yield made


# registration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_listed_device_registers_with_its_password_and_is_told_the_time(
    rig: GatewayRig, transport: str
) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    async with device(rig, transport=transport) as nvr:
        answer = await nvr.register(username="admin")  # many call themselves so
        assert answer.status == 200
        assert "T" in (answer.headers.get("Date") or "")
        state = await rig.state()
        assert (state["state"], state["transport"]) == ("online", transport)
        await until(lambda: rig.reports("device"))
        assert (await rig.reports("device"))[0].state.state == "online"


async def test_nobody_registers_without_the_right_password_nor_where_none_is_set(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET), DeviceConfig(id=CAM))
    async with device(rig) as nvr, device(rig, CAM) as without, device(rig, CAM2) as stranger:
        assert (await nvr.register("wrong")).status == 403
        assert (await rig.state())["failure"] == "gb28181.password_wrong"
        assert (await without.register("")).status == 403
        assert (await stranger.register(SECRET)).status == 403  # knows another's password
        assert (await rig.state(CAM2))["failure"] == "gb28181.unknown_device"
        await rig.configure(DeviceConfig(id=NVR, password=SECRET), password="domain", version="2")
        assert (await stranger.register("domain")).status == 200
        assert (await nvr.register("domain")).status == 403  # a listed one has its own


async def test_a_device_that_says_goodbye_or_is_switched_off_is_offline(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        assert (await nvr.register(expires=0)).status == 200
        assert (await rig.state())["state"] == "offline"
        await nvr.register()
        await rig.configure(DeviceConfig(id=NVR, password=SECRET, enabled=False), version="2")
        assert (await rig.state())["state"] == "unknown"
        assert (await nvr.register()).status == 403


async def test_keepalives_of_strangers_are_refused_and_those_of_moved_devices_followed(rig: GatewayRig) -> None:
    async with online(rig) as nvr, device(rig) as elsewhere:
        assert (await nvr.send(m.Keepalive(sn=1, device=NVR))).status == 200
        assert (await elsewhere.send(m.Keepalive(sn=2, device=NVR))).status == 200  # the same, behind a new NAT port
        assert (await rig.state())["address"] == f"127.0.0.1:{elsewhere.node.port}"
        assert (await rig.state())["keepalive_at"] is not None
    async with device(rig, CAM) as stranger:
        assert (await stranger.send(m.Keepalive(sn=1, device=CAM))).status == 403


async def test_a_gateway_that_restarts_knows_its_devices_and_where_they_are(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        await rig.stop()
        await rig.start("gateway-b")
        await rig.configure(DeviceConfig(id=NVR, password=SECRET))
        assert (await rig.state())["state"] == "online"
        nvr.answers[m.DeviceInfoQuery] = lambda q: [m.DeviceInfo(sn=q.sn, device=NVR, manufacturer="Dahua")]
        nvr.flow = Flow("udp", "127.0.0.1", rig.sip_port)
        body = {"command": {"type": "info", "channel": NVR}}
        out = await rig.call("POST", f"/devices/{NVR}/commands", json=body)
        assert out["values"]["manufacturer"] == "Dahua"


# questions -------------------------------------------------------------------------------------------


async def test_a_device_introduces_itself_when_it_comes(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    async with device(rig) as nvr:
        nvr.answers[m.DeviceInfoQuery] = lambda q: [m.DeviceInfo(sn=q.sn, device=NVR, name="东门", model="X")]
        await nvr.register()
        await until(lambda: rig.reports("device_info"))
        (info,) = await rig.reports("device_info")
        assert (info.name, info.model) == ("东门", "X")


async def test_a_catalogue_comes_in_pages_and_ends_by_itself(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        nvr.answers[m.CatalogQuery] = lambda q: [
            m.Catalog(sn=q.sn, device=NVR, total=3, items=(Item(id=CAM, name="一", status=True),)),
            m.Catalog(sn=q.sn, device=NVR, total=3, items=(Item(id=CAM, name="一"), Item(id=CAM2, name="二"))),
            m.Catalog(sn=q.sn, device=NVR, total=3, items=(Item(id="3402", name="区"),)),
        ]
        await rig.call("POST", f"/devices/{NVR}/catalog", 202)

        async def done() -> bool:
            return any(report.done for report in await rig.reports("catalog"))

        await until(done)
        pages = await rig.reports("catalog")
        assert [[item.id for item in page.items] for page in pages] == [[CAM], [CAM2], ["3402"], []]
        assert (pages[-1].received, pages[-1].expected, pages[-1].missing) == (3, 3, 0)
        assert [item.kind for page in pages for item in page.items] == ["channel", "channel", "civil_code"]


async def test_an_offline_device_is_said_to_be_so(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    answer = await rig.call("POST", f"/devices/{NVR}/catalog", 503)
    assert answer["error"] == "gb28181.offline"


async def test_commands_reach_the_device_as_the_standard_writes_them(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        for command in (
            {"type": "move", "channel": CAM, "pan": 1, "tilt": 0},
            {"type": "preset", "channel": CAM, "action": "go", "number": 7},
            {"type": "keyframe", "channel": CAM},
        ):
            await rig.call("POST", f"/devices/{NVR}/commands", json={"command": command})
        controls = [each for each in nvr.asked if isinstance(each, m.DeviceControl)]
        assert [each.ptz for each in controls] == ["A50F0101FF0000B5", "A50F0182000700" + "3E", ""]
        assert controls[2].keyframe is True
        nvr.answers[m.PresetQuery] = lambda q: [
            m.Presets(sn=q.sn, device=CAM, items=(PresetItem(id="7", name="东门"),))
        ]
        out = await rig.call("POST", f"/devices/{NVR}/commands", json={"command": {"type": "presets", "channel": CAM}})
        assert out["presets"] == [{"number": 7, "name": "东门"}]
        nvr.answers[m.DeviceControl] = lambda q: [m.ControlResponse(sn=q.sn, device=CAM, result=False)]
        out = await rig.call("POST", f"/devices/{NVR}/commands", json={"command": {"type": "guard", "channel": CAM}})
        assert out["result"] == "error"


async def test_recordings_are_gathered_from_their_pages(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        nvr.answers[m.RecordQuery] = lambda q: [
            m.RecordInfo(sn=q.sn, device=CAM, total=2, items=(Record(id=CAM, start=200, end=300, type="time"),)),
            m.RecordInfo(sn=q.sn, device=CAM, total=2, items=(Record(id=CAM, start=100, end=200, type="alarm"),)),
        ]
        body = {"channel": CAM, "start_s": 0, "end_s": 1_000}
        found = await rig.call("POST", f"/devices/{NVR}/records", json=body)
        assert [item["start_s"] for item in found["items"]] == [100, 200]
        assert found["complete"] is True
        query = next(each for each in nvr.asked if isinstance(each, m.RecordQuery))
        assert query.type == "all"  # Dahua answers nothing without


async def test_alarms_and_positions_are_reported(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        await nvr.send(m.AlarmNotify(sn=1, device=CAM, priority=1, method=5, type_outside=2))
        await nvr.send(m.PositionNotify(sn=2, device=CAM, longitude=118.5, latitude=31.25))
        await nvr.send(m.PositionNotify(sn=3, device=CAM, longitude=0, latitude=0))  # means: not known
        await until(lambda: rig.reports("position"))
        (alarm,) = await rig.reports("gb_alarm")
        (position,) = await rig.reports("position")
        assert (alarm.channel, alarm.priority, alarm.method, alarm.alarm_type) == (CAM, 1, 5, 2)
        assert (position.longitude, position.latitude) == (118.5, 31.25)


async def test_what_is_configured_is_subscribed_to_while_the_device_is_there(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET, subscriptions=("catalog", "position")))
    async with device(rig) as nvr:
        nvr.answers[m.PositionQuery] = lambda q: [m.PositionNotify(sn=1, device=CAM, longitude=1.5, latitude=2.5)]
        nvr.answers[m.CatalogQuery] = lambda q: [
            m.CatalogNotify(sn=1, device=NVR, total=1, items=(Item(id=CAM, event="OFF"),))
        ]
        await nvr.register()
        await until(lambda: rig.reports("position"), seconds=15)
        await until(lambda: rig.reports("catalog"), seconds=15)
        (changed,) = await rig.reports("catalog")
        assert (changed.event, [item.id for item in changed.items]) == ("OFF", [CAM])


# calls -----------------------------------------------------------------------------------------------


def wish(**given: Any) -> dict[str, Any]:
    return {"device": NVR, "channel": CAM, "mode": "udp", "host": "127.0.0.1", "port": 30_000, **given}


async def test_a_call_lives_as_long_as_its_answer_is_read(rig: GatewayRig) -> None:
    assert rig.node is not None
    async with online(rig) as nvr:
        async with rig.http.stream("POST", rig.node.url + "/calls", json=wish()) as answer:
            lines = answer.aiter_lines()
            first = json.loads(await anext(lines))
            assert (first["remote_port"], first["encoding"], first["mode"]) == (40_000, "PS", "udp")
            offer = invite.parse(nvr.invites[0].body)
            assert (offer.host, offer.port, offer.ssrc) == ("127.0.0.1", 30_000, first["ssrc"])
            assert nvr.invites[0].headers.get("Subject") == f"{CAM}:{first['ssrc']:010d},{SERVER}:0"
            assert (await rig.state())["calls"] == 1
        async with asyncio.timeout(60):
            assert await nvr.calls[0].wait_ended() == "bye"

        async def none() -> bool:
            return bool((await rig.state())["calls"] == 0)

        await until(none)


async def test_a_sub_stream_is_asked_for_in_the_makers_words_also_by_the_gateway_that_comes_after(
    rig: GatewayRig,
) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    async with device(rig) as nvr:
        nvr.answers[m.DeviceInfoQuery] = lambda q: [m.DeviceInfo(sn=q.sn, device=NVR, manufacturer="Dahua")]
        await nvr.register()
        await until(lambda: rig.reports("device_info"))
        for turn in range(2):
            assert rig.node is not None
            async with rig.http.stream("POST", rig.node.url + "/calls", json=wish(stream=1)) as answer:
                await anext(answer.aiter_lines())
            assert b"\r\na=streamprofile:1\r\n" in nvr.invites[turn].body
            if not turn:
                await rig.stop()
                await rig.start()
                await rig.configure(DeviceConfig(id=NVR, password=SECRET))


@pytest.mark.parametrize("policy", ["auto", "off"])
async def test_a_device_that_nobody_knows_a_sub_stream_of_is_not_called_for_one(rig: GatewayRig, policy: str) -> None:
    async with online(rig) as nvr:
        answer = await rig.call("POST", "/calls", 503, json=wish(stream=1, sub=policy))
        assert (answer["error"], nvr.invites) == ("gb28181.no_sub_stream", [])


async def test_a_devices_own_end_and_the_end_of_a_file_are_told(rig: GatewayRig) -> None:
    assert rig.node is not None
    async with online(rig) as nvr:
        given = wish(purpose="playback", start_s=100, end_s=200)
        async with rig.http.stream("POST", rig.node.url + "/calls", json=given) as answer:
            lines = answer.aiter_lines()
            first = json.loads(await anext(lines))
            assert f"{first['ssrc']:010d}"[0] == "1"
            await rig.call("POST", f"/calls/{first['call']}/control", 204, json={"action": "seek", "seek_s": 30})
            assert b"npt=30-" in nvr.infos[0]
            assert json.loads(await anext(lines))["event"] == "resumed"
            status = nvr.request("MESSAGE", body=manscdp.write(m.MediaStatus(sn=1, device=CAM)))
            status.headers.set("Call-ID", first["call"])
            assert (await nvr.node.request(status, nvr.flow)).status == 200
            assert json.loads(await anext(lines))["event"] == "file_end"
            await nvr.calls[0].bye()
            assert json.loads(await anext(lines)) == {"event": "ended", "reason": "gb28181.bye"}


@pytest.mark.parametrize(
    ("status", "error"), [(486, "gb28181.busy"), (404, "gb28181.channel_unknown"), (500, "gb28181.refused")]
)
async def test_a_refused_call_says_why(rig: GatewayRig, status: int, error: str) -> None:
    async with online(rig) as nvr:
        nvr.refuse_invite = status
        answer = await rig.call("POST", "/calls", 503, json=wish())
        assert answer["error"] == error
        assert (await rig.state())["calls"] == 0


async def test_the_trace_shows_what_was_said_and_no_password(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        for sn in range(5):
            await nvr.send(m.Keepalive(sn=sn, device=NVR))
        trace = (await rig.call("GET", f"/devices/{NVR}/trace"))["items"]
        said = [entry["summary"] for entry in trace]
        assert said[:4] == ["REGISTER", "401 Unauthorized (REGISTER)", "REGISTER", "200 OK (REGISTER)"]
        assert said.count("MESSAGE Keepalive") == 1  # or they would push everything else out
        assert all(SECRET not in entry["text"] for entry in trace)
        assert 'response="***' in trace[2]["text"] or "response=***" in trace[2]["text"]


async def test_a_second_gateway_of_the_same_identity_stands_by_and_takes_over(rig: GatewayRig) -> None:
    second = GatewayRig(rig.redis, rig.settings)
    starting = asyncio.create_task(second.start("gateway-b"))
    client = rig.redis.client("look")
    try:
        from hub.bus import registry

        async def stands_by() -> bool:
            return any(node.facts.get("active") == "0" for node in await registry.nodes(client, "gateway"))

        await until(stands_by)
        await rig.stop()
        async with asyncio.timeout(60):
            await starting
        assert second.node is not None
        assert second.node.url
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await second.stop()
        await second.http.aclose()
        await client.aclose()


async def test_garbage_and_floods_leave_the_gateway_standing(rig: GatewayRig) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", rig.sip_port)
    )
    try:
        for data in (b"\0" * 1_400, b"REGISTER\r\n\r\n", b"MESSAGE sip:x SIP/2.0\r\nFrom: \r\n\r\n", b"\xff\xfe" * 500):
            for _ in range(50):
                transport.sendto(data)
        async with online(rig) as nvr:
            bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><Notify><CmdType>&a;</CmdType></Notify>'
            refused = await nvr.node.request(nvr.request("MESSAGE", body=bomb, content=manscdp.CONTENT_TYPE), nvr.flow)
            assert refused.status == 400
            assert (await nvr.send(m.Keepalive(sn=1, device=NVR))).status == 200
    finally:
        transport.close()
