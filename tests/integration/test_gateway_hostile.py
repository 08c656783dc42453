"""The gateway against those who mean it ill, and against what merely goes wrong. Loopback has many addresses."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from hub.bus.gateway_wire import DeviceConfig, GatewayConfig, SharedChannel, UpperConfig
from signaling.gb28181 import invite, manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.items import Item, PresetItem
from signaling.rtsp.auth import Credentials
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import make_request
from signaling.transport.sip import CallRefused, NodeConfig, SipNode
from tests.integration.test_gateway import (
    CAM,
    DOMAIN,
    NVR,
    SECRET,
    SERVER,
    Device,
    GatewayRig,
    device,
    online,
    rig,
    until,
)

__all__ = ["rig"]  # the fixture
UPPER = "32010000002000000001"


@contextlib.asynccontextmanager
async def elsewhere(rig: GatewayRig, id: str = NVR, host: str = "127.0.0.66") -> AsyncIterator[Device]:
    """Somebody at another address who calls himself that."""
    made = Device(rig, id)
    made.node = SipNode(made._incoming, NodeConfig(host=host))
    async with made.node:
        yield made


# who speaks -------------------------------------------------------------------------------------------


async def test_a_keepalive_from_another_host_moves_no_device_that_still_answers_at_its_own(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.gateway.inbox.FRESH", 0)
    async with online(rig) as nvr, elsewhere(rig) as thief:
        before = (await rig.state())["address"]
        assert (await thief.send(m.Keepalive(sn=1, device=NVR))).status == 403
        assert (await rig.state())["address"] == before
        assert any(isinstance(each, m.DeviceStatusQuery) for each in nvr.asked)  # it was asked
        assert not thief.asked


async def test_a_keepalive_from_another_host_moves_no_device_that_was_just_heard(rig: GatewayRig) -> None:
    """Its answer to a question of ours may be lost in a flood, and that is when somebody would try."""
    async with online(rig):
        before = (await rig.state())["address"]
    async with elsewhere(rig) as thief:  # nobody answers at the old address
        assert (await thief.send(m.Keepalive(sn=1, device=NVR))).status == 403
        assert (await rig.state())["address"] == before


async def test_a_device_that_answers_no_more_where_it_was_is_followed_to_another_host(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.gateway.inbox.FRESH", 0)
    async with online(rig):
        pass  # its old address is gone
    async with elsewhere(rig) as moved:
        assert (await moved.send(m.Keepalive(sn=1, device=NVR))).status == 200
        assert (await rig.state())["address"] == f"127.0.0.66:{moved.node.port}"


async def test_a_device_that_registers_from_another_host_is_there_at_once(rig: GatewayRig) -> None:
    async with online(rig), elsewhere(rig) as moved:
        assert (await moved.register()).status == 200
        assert (await rig.state())["address"] == f"127.0.0.66:{moved.node.port}"


async def test_nobody_reports_in_a_devices_name_from_another_host(rig: GatewayRig) -> None:
    async with online(rig) as nvr, elsewhere(rig) as thief, elsewhere(rig, CAM) as channel:
        alarm = m.AlarmNotify(sn=1, device=CAM, priority=1, method=5)
        wiped = m.CatalogNotify(sn=2, device=NVR, total=1, items=(Item(id=CAM, event="DEL"),))
        assert (await thief.send(alarm)).status == 403
        assert (await thief.send(wiped)).status == 403
        # having said a device's name once makes nobody its owner
        assert (await thief.send(m.Keepalive(sn=3, device=NVR))).status == 403
        assert (await channel.send(alarm)).status == 403
        notify = thief.request("NOTIFY", body=manscdp.write(wiped), content=manscdp.CONTENT_TYPE)
        assert (await thief.node.request(notify, thief.flow)).status == 481
        assert (await nvr.send(m.AlarmNotify(sn=4, device=CAM, priority=2, method=5))).status == 200
        await until(lambda: rig.reports("gb_alarm"))
        assert [alarm.priority for alarm in await rig.reports("gb_alarm")] == [2]
        assert not [page for page in await rig.reports("catalog") if page.event]


async def test_an_answer_of_another_device_is_nobodys_answer(rig: GatewayRig) -> None:
    """SN counts up, so a device that is let in guesses the numbers of the others' questions."""
    other = "34020000001180000002"
    await rig.configure(DeviceConfig(id=NVR, password=SECRET), DeviceConfig(id=other, password="o"))
    async with device(rig) as nvr, device(rig, other) as spy:
        asked = asyncio.Event()

        def late(query: m.PresetQuery) -> list[m.Message]:
            asked.set()
            return []

        await nvr.register()
        await spy.register("o")
        nvr.answers[m.PresetQuery] = late
        body = {"command": {"type": "presets", "channel": CAM}}
        asking = asyncio.create_task(rig.call("POST", f"/devices/{NVR}/commands", json=body))
        await asked.wait()
        sn = next(each.sn for each in nvr.asked if isinstance(each, m.PresetQuery))
        await spy.send(m.Presets(sn=sn, device=CAM, items=(PresetItem(id="66", name="spy"),)))
        await nvr.send(m.Presets(sn=sn, device=CAM, items=(PresetItem(id="1", name="door"),)))
        assert [item["name"] for item in (await asking)["presets"]] == ["door"]


async def test_a_stranger_cannot_take_the_call_for_a_broadcast(rig: GatewayRig) -> None:
    async with online(rig) as nvr, elsewhere(rig, CAM) as thief:
        told = asyncio.Event()

        def agree(notify: m.BroadcastNotify) -> list[m.Message]:
            told.set()
            return [m.BroadcastResponse(sn=notify.sn, device=CAM, result=True)]

        nvr.answers[m.BroadcastNotify] = agree
        wish = {"device": NVR, "channel": CAM, "host": "127.0.0.1", "port": 41_000}
        talking = asyncio.create_task(rig.http.post(rig.node.url + "/talks", json=wish))  # type: ignore[union-attr]
        await told.wait()
        offer = invite.Media(owner=CAM, host="127.0.0.66", port=6_666, kind="audio", payloads=(invite.PCMA,))
        request = thief.request("INVITE", body=invite.write(offer), content=invite.CONTENT_TYPE)
        try:
            with pytest.raises(CallRefused, match="403"):
                await thief.node.invite(request, thief.flow, timeout=5)
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)


# what ends a gateway ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "..", "no-such-host.invalid"])
async def test_a_platform_whose_name_cannot_be_written_ends_nothing(rig: GatewayRig, host: str) -> None:
    upper = UpperConfig(id=UPPER, domain=DOMAIN, host=host, port=5060, local_id=SERVER)
    config = GatewayConfig(version="1", devices=(DeviceConfig(id=NVR, password=SECRET),), uppers=(upper,))
    await rig.call("PUT", "/config", 204, content=config.model_dump_json())

    async def said() -> bool:
        return bool((await rig.call("GET", "/devices"))["uppers"][0]["reason"])

    await until(said)
    async with device(rig) as nvr:
        assert (await nvr.register()).status == 200


async def test_a_platform_that_is_silent_when_we_leave_it_ends_nothing(rig: GatewayRig) -> None:
    deaf = False

    def platform(tx: ServerTransaction) -> None:
        if not deaf:
            tx.respond(200)

    async with SipNode(platform, NodeConfig(host="127.0.0.1")) as node:
        upper = UpperConfig(id=UPPER, domain=DOMAIN, host="127.0.0.1", port=node.port, local_id=SERVER)
        config = GatewayConfig(version="1", devices=(DeviceConfig(id=NVR, password=SECRET),), uppers=(upper,))
        await rig.call("PUT", "/config", 204, content=config.model_dump_json())

        async def up() -> bool:
            return bool((await rig.call("GET", "/devices"))["uppers"][0]["state"] == "online")

        await until(up)
        deaf = True
        await rig.configure(DeviceConfig(id=NVR, password=SECRET), version="2")
        await asyncio.sleep(1.5)  # our farewell has a second; what is shown is that nothing happens after it
        async with device(rig) as nvr:
            assert (await nvr.register()).status == 200


async def test_a_register_whose_connection_went_before_the_api_came_ends_nothing(rig: GatewayRig) -> None:
    async with device(rig, transport="tcp") as gone:
        asking = asyncio.create_task(gone.register())
        await until(lambda: gone.node.connections)
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with device(rig) as nvr:
        asking = asyncio.create_task(nvr.register())
        await asyncio.sleep(0.2)
        await rig.configure(DeviceConfig(id=NVR, password=SECRET))
        assert (await asking).status == 200


async def test_header_text_that_is_no_utf8_hides_no_devices(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    async with device(rig) as nvr:
        agent = "海康".encode("gb18030").decode("utf-8", "surrogateescape") + "\x07"
        request = nvr.request("REGISTER", headers=[("Expires", "3600"), ("User-Agent", agent)])
        answer = await nvr.node.request(request, nvr.flow, credentials=Credentials(NVR, SECRET))
        assert answer.status == 200
        state = await rig.state()
        assert (state["state"], state["user_agent"]) == ("online", "海康")
        await until(lambda: rig.reports("device"))


async def test_more_calls_than_the_usual_bound_of_internal_http_leave_it_open(rig: GatewayRig) -> None:
    async with contextlib.AsyncExitStack() as stack:
        nvr = await stack.enter_async_context(online(rig))
        wish = {"device": NVR, "channel": CAM, "mode": "udp", "host": "127.0.0.1", "port": 40_000}
        second = Device(rig, "34020000001180000002")
        await stack.enter_async_context(second.node)
        await rig.configure(
            DeviceConfig(id=NVR, password=SECRET), DeviceConfig(id=second.id, password=SECRET), version="2"
        )
        assert (await second.register()).status == 200
        client = await stack.enter_async_context(
            httpx.AsyncClient(headers=rig.http.headers, trust_env=False, limits=httpx.Limits(max_connections=400))
        )
        assert rig.node is not None
        for number in range(270):
            body = {**wish, "device": NVR if number % 2 else second.id}
            response = await stack.enter_async_context(client.stream("POST", f"{rig.node.url}/calls", json=body))
            assert response.status_code == 200, number
        assert (await rig.state())["calls"] == 135
        assert nvr.calls


# floods ---------------------------------------------------------------------------------------------------


async def test_a_storm_of_alarms_and_positions_is_folded_before_it_is_a_row(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        for _ in range(20):
            alarms = [nvr.send(m.AlarmNotify(sn=1, device=CAM, priority=1, method=5)) for _ in range(20)]
            places = [nvr.send(m.PositionNotify(sn=1, device=CAM, longitude=121.5, latitude=31.2)) for _ in range(20)]
            await asyncio.gather(*alarms, *places)
        await until(lambda: rig.reports("position"))
        assert len(await rig.reports("gb_alarm")) < 20
        assert len(await rig.reports("position")) < 20
        text = (await rig.http.get(rig.node.url + "/metrics")).text  # type: ignore[union-attr]
        assert "inbox_alarms_dropped" in text
        assert "inbox_positions_dropped" in text


async def test_a_device_that_comes_and_goes_all_the_time_is_told_of_once_a_second(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        for _ in range(30):
            await nvr.register(expires=0)
            await nvr.register()
        await nvr.register(expires=0)

        async def last() -> bool:
            return bool([each for each in await rig.reports("device") if each.state.state == "offline"])

        await until(last)
        assert len(await rig.reports("device")) < 20


async def test_who_guesses_a_password_has_to_wait(rig: GatewayRig) -> None:
    async with online(rig) as nvr, elsewhere(rig) as thief:
        answers = [(await thief.register(f"guess-{n}")).status for n in range(30)]
        assert answers[0] == 403
        assert answers[-1] == 503
        assert (await nvr.register()).status == 200  # the device itself does not wait


async def test_a_register_that_somebody_overheard_is_good_for_nothing(rig: GatewayRig) -> None:
    """Its nonce without qop is used up by the device itself; said again from elsewhere it is asked for a new one."""
    overheard: list[bytes] = []
    await rig.configure(DeviceConfig(id=NVR, password=SECRET))
    nvr = Device(rig)
    nvr.node = SipNode(nvr._incoming, NodeConfig(), trace=lambda way, _, data: overheard.append(data))
    async with nvr.node:
        assert (await nvr.register()).status == 200
        address = (await rig.state())["address"]
        told = next(data for data in overheard if data.startswith(b"REGISTER") and b"\r\nAuthorization:" in data)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.66", 0))
            thief.setblocking(False)
            again = told.replace(b"branch=z9hG4bK", b"branch=z9hG4bKagain")
            await loop.sock_sendto(thief, again, ("127.0.0.1", rig.sip_port))
            async with asyncio.timeout(60):
                assert (await loop.sock_recv(thief, 4_096)).startswith(b"SIP/2.0 401")
        assert (await rig.state())["address"] == address


async def test_who_knows_one_devices_password_registers_no_other(rig: GatewayRig) -> None:
    await rig.configure(DeviceConfig(id=NVR, password=SECRET), DeviceConfig(id=CAM, password="of-its-own"))
    async with device(rig) as nvr, elsewhere(rig, CAM) as thief:
        assert (await nvr.register()).status == 200
        assert (await thief.register(SECRET, username=NVR)).status == 403
        assert (await rig.state(CAM))["state"] == "unknown"
        assert (await rig.state(CAM))["failure"] == "gb28181.password_wrong"


async def test_a_body_of_a_stranger_is_not_even_parsed(rig: GatewayRig) -> None:
    async with online(rig), elsewhere(rig, CAM) as stranger:
        deep = b"<Notify><CmdType>Catalog</CmdType>" + b"<a>" * 10_000
        request = stranger.request("MESSAGE", body=deep, content=manscdp.CONTENT_TYPE)
        assert (await stranger.node.request(request, stranger.flow)).status == 403  # not 400


async def test_a_keepalive_of_nobody_is_refused_where_unlisted_devices_may_come_too(rig: GatewayRig) -> None:
    await rig.configure(password="of-the-domain")
    async with elsewhere(rig, "nobody") as stranger:
        assert (await stranger.send(m.Keepalive(sn=1, device="?" * 40))).status == 403
        await asyncio.gather(*(stranger.send(m.Keepalive(sn=n, device=NVR)) for n in range(20)))


async def test_a_device_that_comes_back_leaves_no_subscription_of_ours_behind(rig: GatewayRig) -> None:
    subscribed: list[ServerTransaction] = []

    async with online(rig, subscriptions=("alarm",)) as nvr:
        original = nvr._incoming

        async def watch(tx: ServerTransaction) -> None:
            if tx.method == "SUBSCRIBE":
                subscribed.append(tx)
            await original(tx)

        nvr.node._handler = watch
        await until(lambda: subscribed)
        await nvr.register(expires=0)
        await nvr.register()

        def left() -> bool:
            return any(each.request.expires == 0 for each in subscribed) or len(nvr.node.stack._subscriptions) == 0

        await until(left)


async def test_a_platform_that_asks_for_the_catalogue_again_and_again_gets_it_once_at_a_time(rig: GatewayRig) -> None:
    """Each is hundreds of messages for one of a hundred bytes, and over UDP anybody can say that he is the platform."""
    answers: list[str] = []

    def platform(tx: ServerTransaction) -> None:
        if tx.method == "MESSAGE" and b"Keepalive" not in tx.request.body:
            answers.append(tx.request.call_id)
            return  # takes nothing: the pages are broken off
        tx.respond(200)

    shared = tuple(SharedChannel(id=f"3201000000131{n:07d}", camera=f"cam-{n}", name=f"{n}") for n in range(400))
    async with SipNode(platform, NodeConfig(host="127.0.0.1")) as node:
        upper = UpperConfig(id=UPPER, domain=DOMAIN, host="127.0.0.1", port=node.port, local_id=SERVER, channels=shared)
        config = GatewayConfig(version="1", uppers=(upper,))
        await rig.call("PUT", "/config", 204, content=config.model_dump_json())

        async def up() -> bool:
            return bool((await rig.call("GET", "/devices"))["uppers"][0]["state"] == "online")

        await until(up)
        query = manscdp.write(m.CatalogQuery(sn=1, device=SERVER))
        said = []
        for _ in range(50):
            request = make_request(
                "MESSAGE", f"sip:{SERVER}@{DOMAIN}", from_=f"sip:{UPPER}@{DOMAIN}", to=f"sip:{SERVER}@{DOMAIN}",
                body=query, content_type=manscdp.CONTENT_TYPE,
            )  # fmt: skip
            said.append((await node.request(request, Flow("udp", "127.0.0.1", rig.sip_port))).status)
        assert (said[0], said[-1]) == (200, 503)
        assert len(answers) <= 8  # a window of pages, not fifty


async def test_who_calls_himself_a_platform_from_elsewhere_is_refused_once(rig: GatewayRig) -> None:
    upper = UpperConfig(id=UPPER, domain=DOMAIN, host="127.0.0.9", port=5_070, local_id=SERVER)
    await rig.call("PUT", "/config", 204, content=GatewayConfig(version="1", uppers=(upper,)).model_dump_json())
    async with elsewhere(rig, UPPER) as thief:
        offer = invite.write(invite.Media(owner=UPPER, host="127.0.0.66", port=6_666))
        request = thief.request("INVITE", body=offer, content=invite.CONTENT_TYPE)
        with pytest.raises(CallRefused, match="403"):
            await thief.node.invite(request, thief.flow, timeout=5)
