"""The simulated device against a small platform, over real sockets."""

import asyncio
import socket
from typing import Literal

import pytest

from hub.demo.gb_device.film import Film, Shot
from hub.demo.gb_device.fleet import run_fleet
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.demo.gb_device.views import small_film
from hub.media.rtp.packet import parse_rtp
from signaling.gb28181 import invite, manscdp, mansrtsp, ptz
from signaling.gb28181 import messages as m
from signaling.gb28181.collect import CatalogCollector, Patience
from signaling.gb28181.invite import PCMA
from signaling.gb28181.items import SnapShot
from signaling.gb28181.mansrtsp import Steer
from signaling.gb28181.ps_mux import RtpSender
from signaling.gb28181.tree import build_tree
from signaling.transport.sip import Call, CallRefused, ServerTransaction, SipTimeout
from tests.integration.gb_platform import DOMAIN, PASSWORD, SERVER, Mode, Platform, Receiver, registered, voice


@pytest.fixture(scope="module")
def film() -> Film:
    return small_film(2, (96, 64))


@pytest.fixture(scope="module")
def views(film: Film) -> Film:
    """Sixteen loops told apart by a trailing SEI-like NAL unit."""
    loops = []
    for number in range(16):
        mark = b"\0\0\0\1\x06\x05\x01" + bytes([number + 1]) + b"\x80"
        loops.append(tuple(Shot(shot.data + mark, shot.key) for shot in film.views[0]))
    return Film(tuple(loops))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_device_registers_by_digest_and_keeps_alive(film: Film, transport: str) -> None:
    async with registered(film, transport=transport) as (platform, device):
        found = (await platform.one(m.Keepalive, 2))[0]
        assert found.device == device.id
        assert platform.flow is not None
        assert platform.flow.transport == transport
        register = next(each for each in platform.requests if each.method == "REGISTER")
        assert register.headers.get("X-GB-Ver") == "3.0"
        assert register.headers.get("Expires") == "3600"


async def test_catalog_comes_in_pages_and_simple_questions_are_answered(film: Film) -> None:
    async with registered(film, channels=10, page=4) as (platform, device):
        sn = platform.sn()
        assert await platform.send(m.CatalogQuery(sn=sn, device=device.id)) == 200
        pages = await platform.one(m.Catalog, 3)
        assert [len(page.items) for page in pages] == [4, 4, 2]
        assert {page.total for page in pages} == {10}
        assert pages[0].items[0].name == "模拟录像机1-通道1"
        channel = pages[0].items[0].id
        for question in (
            m.DeviceInfoQuery, m.DeviceStatusQuery, m.PresetQuery, m.ConfigDownload, m.HomePositionQuery,
            m.CruiseListQuery, m.PtzPositionQuery, m.CardQuery,
        ):  # fmt: skip
            await platform.send(question(sn=platform.sn(), device=channel))
        await platform.until(lambda p: len(p.got) >= 8 and bool(p.all(m.CardStatus)))
        assert (await platform.one(m.DeviceInfo))[0].channels == 10
        assert (await platform.one(m.DeviceStatus))[0].online
        assert (await platform.one(m.Presets))[0].items[0].name == "大门"
        config = (await platform.one(m.Config))[0]
        assert config.basic is not None
        assert config.basic.heartbeat_misses == 3


@pytest.mark.parametrize("mode", ["udp", "tcp_passive", "tcp_active"])
async def test_play_streams_real_program_streams_in_every_mode(film: Film, mode: Mode) -> None:
    async with registered(film) as (platform, device):
        channel = device.options.channel_id(1)
        live = await platform.open(channel, mode)
        await live.receiver.until(lambda r: len(r.pictures()) >= 10 and any(u.codec == "pcma" for u in r.units))
        assert live.answer.ssrc == 200_000_007 == parse_rtp(live.receiver.packets[0]).ssrc
        assert live.receiver.pictures()[0].key
        assert live.receiver.demuxer.garbage == 0
        await live.call.bye()
        async with asyncio.timeout(60):
            await device.until(lambda d: not d.streams)
        assert device.counters["media_lost"] == 0


async def test_ptz_moves_the_picture_and_presets_bring_it_back(views: Film) -> None:
    async with registered(views) as (platform, device):
        channel = device.options.channel_id(0)
        live = await platform.open(channel)

        async def command(given: ptz.PtzCommand) -> None:
            await platform.send(m.DeviceControl(sn=platform.sn(), device=channel, ptz=ptz.encode(given)))

        def shown(receiver: Receiver) -> int:
            """Which of the loops the last picture is of, from 1."""
            marks = [nal[3] for unit in receiver.pictures()[-1:] for nal in unit.nals if nal[:3] == b"\x06\x05\x01"]
            return marks[0] if marks else 0

        await command(ptz.Preset("set", 7))
        await command(ptz.Move(zoom=15))
        await live.receiver.until(lambda r: shown(r) > 1)
        await command(ptz.Move())
        head = device.answers.channels[channel].head
        assert head.at(device.now()).zoom >= 1.5
        assert not head.moving
        await command(ptz.Preset("go", 7))
        await live.receiver.until(lambda r: shown(r) == 1)
        await platform.send(m.DeviceControl(sn=platform.sn(), device=channel, guard=True))
        assert (await platform.one(m.ControlResponse))[0].result
        assert device.answers.channels[channel].guarded
        await live.call.bye()


async def test_recordings_are_found_played_paused_sought_and_end_with_121(film: Film) -> None:
    async with registered(film, recorded_hours=5, page=2) as (platform, device):
        channel = device.options.channel_id(0)
        now = device.wall()
        await platform.send(m.RecordQuery(sn=platform.sn(), device=channel, start=now - 3 * 3_600, end=now))
        pages = await platform.one(m.RecordInfo, 2)
        assert pages[0].total is not None
        assert pages[0].total >= 3
        start = now - 3_600
        live = await platform.open(
            channel, purpose="playback", start_s=start, end_s=start + 600, channel=channel, ssrc=1_200_000_001
        )
        await live.receiver.until(lambda r: len(r.pictures()) >= 3)
        answer = await live.call.info(mansrtsp.write(Steer("pause", 2)), mansrtsp.CONTENT_TYPE)
        assert answer.status == 200
        stream = next(iter(device.streams.values()))
        assert stream.player is not None
        assert stream.player.paused
        seen = len(live.receiver.packets)
        await live.call.info(mansrtsp.write(Steer("play", 3, seek_s=599.0)), mansrtsp.CONTENT_TYPE)
        await live.call.info(mansrtsp.write(Steer("play", 4, scale=4.0)), mansrtsp.CONTENT_TYPE)
        status = asyncio.create_task(_media_status(live.call))
        async with asyncio.timeout(60):
            await status
        assert len(live.receiver.packets) > seen
        await live.call.bye()


async def _media_status(call: Call) -> None:
    """Until the device says 121 inside the call."""
    done = asyncio.Event()

    def inside(transaction: ServerTransaction) -> None:
        message = manscdp.parse(transaction.request.body)
        transaction.respond(200)
        if isinstance(message, m.MediaStatus) and message.type == 121:
            done.set()

    call.on_request = inside
    await done.wait()


async def test_download_is_fast_tells_its_size_and_a_foreign_media_status_names_the_call(film: Film) -> None:
    """QUIRKS 6: by Call-ID alone."""
    async with registered(film, Quirk.FOREIGN_MEDIA_STATUS) as (platform, device):
        channel = device.options.channel_id(0)
        start = device.wall() - 3_600
        live = await platform.open(channel, "tcp_passive", purpose="download", start_s=start, end_s=start + 8, speed=16)
        assert live.answer.size is not None
        assert live.answer.size > 0
        await platform.one(m.MediaStatus)
        _, transaction = next((each, tx) for each, tx in platform.got if isinstance(each, m.MediaStatus))
        assert transaction.request.from_.uri.user != device.id
        assert transaction.request.call_id == live.call.id
        assert platform.node.call(transaction.request.call_id) is live.call
        await live.call.bye()


async def test_positions_and_alarms_go_to_their_subscribers(film: Film) -> None:
    async with registered(film) as (platform, device):
        assert platform.flow is not None
        got: list[m.Message | m.Unknown] = []
        grown = asyncio.Event()

        def notified(transaction: ServerTransaction) -> None:
            got.append(manscdp.parse(transaction.request.body))
            transaction.respond(200)
            grown.set()

        for query in (
            m.PositionQuery(sn=5, device=device.id, interval_s=0),
            m.AlarmQuery(sn=6, device=device.id),
            m.CatalogQuery(sn=7, device=device.id),
        ):
            request = platform.request("SUBSCRIBE", device.id, manscdp.write(query))
            request.headers.add("Event", "presence")
            request.headers.add("Expires", "600")
            await platform.node.subscribe(request, platform.flow, notified)
        channel = device.options.channel_id(0)
        assert await device.alarm(channel, method=5, type=6)
        assert await device.reports.changed(device.answers.channels[channel], "OFF")
        kinds = {m.PositionNotify, m.AlarmNotify, m.CatalogNotify}
        async with asyncio.timeout(60):
            while not kinds <= {type(each) for each in got}:
                grown.clear()
                await grown.wait()
        alarm = next(each for each in got if isinstance(each, m.AlarmNotify))
        position = next(each for each in got if isinstance(each, m.PositionNotify))
        assert (alarm.device, alarm.method, alarm.type) == (channel, 5, 6)
        assert position.longitude == pytest.approx(120.55, abs=0.1)


async def test_an_alarm_without_a_subscriber_comes_as_a_message(film: Film) -> None:
    async with registered(film) as (platform, device):
        assert await device.alarm(device.options.channel_id(0))
        assert (await platform.one(m.AlarmNotify))[0].description == "演示报警"


async def test_broadcast_makes_the_device_call_and_hear(film: Film) -> None:
    async with registered(film) as (platform, device):
        channel = device.options.channel_id(0)
        await platform.send(m.BroadcastNotify(sn=platform.sn(), source=SERVER, target=channel), to=device.id)
        await platform.until(lambda p: bool(p.broadcasts))
        assert (await platform.one(m.BroadcastResponse))[0].result
        call, offer = platform.broadcasts[0]
        assert (offer.kind, offer.payloads) == ("audio", (PCMA,))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            async with asyncio.timeout(60):
                await device.until(lambda d: bool(d.talks))
                talk = device.talks[call.id]
                for packet in voice(RtpSender(99, 8), 25):
                    sock.sendto(packet, (offer.host, offer.port))
                await talk.heard.until(25)
        assert (talk.heard.octets, talk.heard.lost, talk.heard.payload_type) == (4_000, 0, 8)
        assert bytes(talk.heard.sound) == bytes([0xD5]) * 4_000
        await call.bye()
        async with asyncio.timeout(60):
            await device.until(lambda d: not d.talks)


@pytest.mark.parametrize("mode", ["tcp_active", "tcp_passive"])
async def test_broadcast_over_tcp_reaches_the_device_framed(
    film: Film, mode: Literal["tcp_active", "tcp_passive"]
) -> None:
    """QUIRKS 18: the device dials, or is dialled."""
    framed = b"".join(len(each).to_bytes(2, "big") + each for each in voice(RtpSender(99, 8), 10))

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed)
        await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, registered(film) as (platform, device):
        platform.broadcast_port = server.sockets[0].getsockname()[1]
        device.talk_mode = mode
        channel = device.options.channel_id(0)
        await platform.send(m.BroadcastNotify(sn=platform.sn(), source=SERVER, target=channel), to=device.id)
        await platform.until(lambda p: bool(p.broadcasts))
        call, offer = platform.broadcasts[0]
        assert (offer.tcp, offer.setup) == (True, mode.removeprefix("tcp_"))
        async with asyncio.timeout(60):
            await device.until(lambda d: bool(d.talks))
            talk = device.talks[call.id]
            if mode == "tcp_passive":
                _, writer = await asyncio.open_connection(offer.host, offer.port)
                writer.write(framed)
            await talk.heard.until(10)
        assert (talk.heard.octets, talk.heard.lost) == (1_600, 0)
        await call.bye()


async def test_talk_goes_both_ways(film: Film) -> None:
    async with registered(film) as (platform, device):
        receiver = Receiver()
        port = await platform.udp(receiver)
        channel = device.options.channel_id(0)
        live = await platform.open(
            channel, purpose="talk", kind="audio", payloads=(PCMA,), direction="sendrecv", ssrc=200_000_009
        )
        assert (live.answer.kind, live.answer.direction) == ("audio", "sendrecv")
        await live.receiver.until(lambda r: len(r.packets) >= 5)
        assert parse_rtp(live.receiver.packets[0]).payload_type == 8
        assert port > 0
        await live.call.bye()


async def test_a_snapshot_is_uploaded_and_told(film: Film) -> None:
    """QUIRKS 11: SnapShotConfig, UploadSnapShotFinished."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        bodies.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, registered(film) as (platform, device):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/up"
        wish = SnapShot(count=1, interval_s=1, upload_url=url, session="s" * 32)
        channel = device.options.channel_id(0)
        await platform.send(m.DeviceConfig(sn=platform.sn(), device=channel, snapshot=wish))
        finished = (await platform.one(m.SnapShotFinished))[0]
        assert (finished.session, len(finished.files)) == ("s" * 32, 1)
        assert b"\xff\xd8" in bodies[0]


async def test_a_reboot_registers_anew_and_leaves_the_dialog_open(film: Film) -> None:
    """QUIRKS 5."""
    async with registered(film) as (platform, device):
        live = await platform.open(device.options.channel_id(0))
        before = device.counters["registered"]
        first = {each.call_id for each in platform.requests if each.method == "REGISTER"}
        await platform.send(m.DeviceControl(sn=platform.sn(), device=device.id, reboot=True))
        await platform.until(lambda p: len({r.call_id for r in p.requests if r.method == "REGISTER"}) > len(first))
        async with asyncio.timeout(60):
            await device.until(lambda d: d.counters["registered"] > before)
        assert live.call.alive


# misbehaviour ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quirk", [Quirk.UTF8_AS_GB2312, Quirk.SINGLE_QUOTES, Quirk.RAW_AMPERSAND, Quirk.LOWER_TAGS, Quirk.PADDED_LENGTH,
              Quirk.COMPACT_HEADERS, Quirk.USER_ADMIN, Quirk.SHORT_ID, Quirk.ROUTE, Quirk.DATE, Quirk.MIXED_TREE,
              Quirk.CATALOG_LATE, Quirk.CATALOG_SLOW, Quirk.CATALOG_TWICE, Quirk.REGISTER_FLOOD],
)  # fmt: skip
async def test_its_catalog_is_read_whole_whatever_its_manners(film: Film, quirk: Quirk) -> None:
    """QUIRKS 2, 3, 4, 7."""
    async with registered(film, quirk, channels=6) as (platform, device):
        sn = platform.sn()
        catalog = CatalogCollector(sn, 0, Patience())
        await platform.send(m.CatalogQuery(sn=sn, device=device.id))

        def complete(given: Platform) -> bool:
            again = CatalogCollector(sn, 0, Patience())
            for page in given.all(m.Catalog):
                again.page(page, 0)
            return again.complete

        await platform.until(complete)
        for page in platform.all(m.Catalog):
            catalog.page(page, 0)
        tree = build_tree(device.id, catalog.items)
        assert {item.id for item in tree.channels()} == set(device.answers.channels)
        names = {item.name for item in tree.channels()}
        expected = "模拟录像机1-通道1" + ("&<东>" if quirk is Quirk.RAW_AMPERSAND else "")
        assert expected in names
        assert len(device.id) == (18 if quirk is Quirk.SHORT_ID else 20)


@pytest.mark.parametrize(("quirk", "missing"), [(Quirk.CATALOG_TOO_HIGH, 3), (Quirk.CATALOG_TOO_LOW, 0)])
async def test_a_miscounted_catalog_keeps_what_came(film: Film, quirk: Quirk, missing: int) -> None:
    """QUIRKS 7."""
    async with registered(film, quirk, channels=4, page=2) as (platform, device):
        sn = platform.sn()
        catalog = CatalogCollector(sn, 0)
        await platform.send(m.CatalogQuery(sn=sn, device=device.id))
        for page in await platform.one(m.Catalog, 2):
            catalog.page(page, 0)
        assert (catalog.received, catalog.missing) == (4, missing)


async def test_a_device_learns_the_platforms_time_and_says_farewell(film: Film) -> None:
    async with registered(film, Quirk.NO_KEEPALIVE) as (platform, device):
        assert device.clock_offset_ms is not None
        assert abs(device.clock_offset_ms - 3_600_000) < 60_000
        assert await device.unregister()
        last = [each for each in platform.requests if each.method == "REGISTER"][-1]
        assert last.headers.get("Expires") == "0"
        assert not platform.all(m.Keepalive)


async def test_a_file_may_end_without_a_word(film: Film) -> None:
    """QUIRKS 6: then only the end of the packets tells."""
    async with registered(film, Quirk.NO_MEDIA_STATUS) as (platform, device):
        start = device.wall() - 3_600
        channel = device.options.channel_id(0)
        live = await platform.open(channel, purpose="playback", start_s=start, end_s=start + 1)
        await live.receiver.until(lambda r: len(r.pictures()) >= 24)
        async with asyncio.timeout(60):
            await device.until(lambda d: d.counters["files_ended"] == 1)
        await live.call.bye()
        assert device.counters["files_sent"] == 0


async def test_keepalives_may_come_from_another_port(film: Film) -> None:
    """QUIRKS 5."""
    async with registered(film, Quirk.NAT_MOVES) as (platform, _device):
        await platform.one(m.Keepalive)
        _, transaction = platform.got[0]
        assert platform.flow is not None
        assert transaction.flow.port != platform.flow.port


async def test_records_need_type_all(film: Film) -> None:
    """QUIRKS 9."""
    async with registered(film, Quirk.RECORDS_NEED_TYPE) as (platform, device):
        now, channel = device.wall(), device.options.channel_id(0)
        await platform.send(m.RecordQuery(sn=1, device=channel, start=now - 7_200, end=now, type="time"))
        await platform.send(m.RecordQuery(sn=2, device=channel, start=now - 7_200, end=now))
        await platform.one(m.RecordInfo)
        assert {page.sn for page in platform.all(m.RecordInfo)} == {2}


@pytest.mark.parametrize(
    ("quirk", "told", "sent"),
    [(Quirk.NO_Y, None, 200_000_007), (Quirk.SHORT_Y, 7, 200_000_007), (Quirk.OTHER_SSRC, 200_000_006, 200_000_006),
     (Quirk.ZERO_SSRC, None, 0)],
)  # fmt: skip
async def test_the_ssrc_may_be_missing_short_changed_or_zero(
    film: Film, quirk: Quirk, told: int | None, sent: int
) -> None:
    """QUIRKS 12."""
    async with registered(film, quirk) as (platform, device):
        live = await platform.open(device.options.channel_id(0))
        await live.receiver.until(lambda r: len(r.pictures()) >= 2)
        assert (live.answer.ssrc, parse_rtp(live.receiver.packets[0]).ssrc) == (told, sent)
        await live.call.bye()


@pytest.mark.parametrize(
    "quirk", [Quirk.PAYLOAD_98, Quirk.PAYLOAD_33, Quirk.BAD_MAP, Quirk.LATE_MAP, Quirk.NO_MAP, Quirk.PRIVATE_PACKETS,
              Quirk.LONE_PACKS, Quirk.OPEN_PES, Quirk.SYSTEM_HEADERS, Quirk.SIDE_SOUND, Quirk.LOSS, Quirk.REORDER,
              Quirk.PROVISIONAL_101, Quirk.TCP_AT_ONCE],
)  # fmt: skip
async def test_streams_that_only_look_odd_are_decoded(film: Film, quirk: Quirk) -> None:
    """QUIRKS 9, 13 to 17: our own demultiplexer takes them from the socket."""
    async with registered(film, quirk) as (platform, device):
        live = await platform.open(device.options.channel_id(0))
        await live.receiver.until(lambda r: len(r.pictures()) >= 3)
        await live.call.bye()


@pytest.mark.parametrize(
    "quirk", [Quirk.SVAC, Quirk.GARBAGE, Quirk.NO_KEY_FRAME, Quirk.BARE_H264, Quirk.TRANSPORT_STREAM]
)
async def test_streams_that_are_no_decodable_ps_send_packets_all_the_same(film: Film, quirk: Quirk) -> None:
    """QUIRKS 13, 14, 19."""
    async with registered(film, quirk) as (platform, device):
        live = await platform.open(device.options.channel_id(0))
        await live.receiver.until(lambda r: len(r.packets) >= 30)
        assert not live.receiver.pictures()
        await live.call.bye()


@pytest.mark.parametrize(("quirk", "lead"), [(Quirk.DOLLAR_FRAMING, b"$\0"), (Quirk.MID_PACKET, b"\x12\x34")])
async def test_tcp_may_be_framed_by_dollars_or_begin_in_the_middle(film: Film, quirk: Quirk, lead: bytes) -> None:
    """QUIRKS 18."""
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first.set_result(await reader.readexactly(64))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, registered(film, quirk) as (platform, device):
        live = await platform.open(device.options.channel_id(0), "tcp_active")
        await live.call.bye()
        assert platform.flow is not None
        port = server.sockets[0].getsockname()[1]
        offer = invite.Media(owner=SERVER, host="127.0.0.1", port=port, tcp=True, setup="passive", ssrc=200_000_007)
        request = platform.request("INVITE", device.options.channel_id(0), invite.write(offer), invite.CONTENT_TYPE)
        await platform.node.invite(request, platform.flow, timeout=5.0)
        async with asyncio.timeout(60):
            assert (await first).startswith(lead)


async def test_a_device_may_be_silent_refuse_or_not_answer(film: Film) -> None:
    """QUIRKS 19: the reasons of 收流超时."""
    async with registered(film, Quirk.SILENT_UDP) as (platform, device):
        silent = await platform.open(device.options.channel_id(0), "udp")
        heard = await platform.open(device.options.channel_id(0), "tcp_passive")
        await heard.receiver.until(lambda r: len(r.pictures()) >= 2)
        assert not silent.receiver.packets
    async with registered(film, Quirk.REFUSES) as (platform, device):
        with pytest.raises(CallRefused):
            await platform.open(device.options.channel_id(0))
    async with registered(film, Quirk.NO_ANSWER) as (platform, device):
        with pytest.raises(SipTimeout):
            await platform.open(device.options.channel_id(0))


async def test_a_fleet_registers_and_counts(film: Film) -> None:
    async with Platform().listening() as platform:
        options = DeviceOptions(server_id=SERVER, domain=DOMAIN, port=platform.node.port, password=PASSWORD)
        made: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            fleet = group.create_task(run_fleet(options, 20, film, ready=lambda devices: made.set_result(len(devices))))
            assert await made == 20

            def users(given: Platform) -> set[str]:
                return {each.from_.uri.user for each in given.requests if each.headers.get("Authorization")}

            await platform.until(lambda p: len(users(p)) == 20)
            fleet.cancel()
