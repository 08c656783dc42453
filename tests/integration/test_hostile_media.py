"""Everything that a peer can send to the media port and should not: dropped, counted, and nobody else's loss.

Each attack is made by a peer that has proved itself, so that nothing stops it at the door, beside a viewer who must
get every packet. ``test_whep_abuse`` and ``test_ice_tcp`` have those who prove nothing.
"""

import asyncio
import contextlib
import random
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from pylibsrtp import Error as SrtpError

from hub.domain.clock import system_clock
from hub.domain.errors import Invalid, TooMany
from hub.media.peer import demux
from hub.media.peer.publisher import Publisher, Terms
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Wish
from hub.media.rtp import rtcp
from hub.media.stream import Stream
from signaling.ice import binding_request, build_stun
from tests.bench import light_client
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import feeding
from tests.integration.subscriber_kit import camera, rolling, subscribing
from tests.integration.test_whep import PATIENCE, h264, serving
from tests.unit.media.halves import BOTH

RID = 10


async def until(true: Callable[[], bool]) -> None:
    """Wait for a figure that has no event."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def join(server: PeerServer, stream: Stream, viewer: LightViewer) -> str:
    """The session's id; back when the viewer has a picture."""
    made: list[str] = []

    async def post(sdp: str) -> str:
        answer = await server.whep(stream, sdp, owner="u")
        made.append(answer.session_id)
        return answer.sdp

    await viewer.join(post)
    await viewer.seen.wait()
    return made[0]


@contextlib.asynccontextmanager
async def undisturbed(server: PeerServer, stream: Stream) -> AsyncIterator[LightViewer]:
    """A viewer who must get every packet while the block runs, and goes on to get them after it."""
    good = LightViewer()
    await join(server, stream, good)
    yield good
    had = good.packets
    await until(lambda: good.packets > had + 20)
    await good.close()
    assert good.gaps == 0
    assert server.counters["internal_errors"] == server.counters["protect_failed"] == 0


@dataclass
class Attack:
    """Packets to send, and the counter that must tell of them."""

    counted: str
    make: Callable[[LightViewer, PeerServer], list[bytes]]


def name_of(bad: LightViewer) -> str:
    return bad._key[1]


def without_integrity(bad: LightViewer, _: PeerServer) -> list[bytes]:
    attributes = [(0x0006, name_of(bad).encode()), (0x0024, bytes(4)), (0x802A, bytes(8)), (0x0025, b"")]
    return [build_stun(0x0001, secrets.token_bytes(12), attributes, None) for _ in range(200)]


def false_integrity(bad: LightViewer, _: PeerServer) -> list[bytes]:
    answers = [build_stun(kind, secrets.token_bytes(12), [], bad._key[0]) for kind in (0x0101, 0x0101)]
    return [binding_request(name_of(bad), b"guessed") for _ in range(200)] + answers


def dtls_records(count: int, size: int) -> list[bytes]:
    rng = random.Random(size)
    head = struct.pack("!BHHHIH", 22, 0xFEFD, 0, 0, 7, size)
    return [head + rng.randbytes(size) for _ in range(count)]


def dtls_flood(_: LightViewer, __: PeerServer) -> list[bytes]:
    return dtls_records(2_000, 100)


def dtls_fragments(_: LightViewer, __: PeerServer) -> list[bytes]:
    """Handshake messages of 16 MiB, of which pieces come that overlap, repeat, or lie beyond the end."""
    found = []
    for n in range(600):
        whole, at, size = 0xFFFFFF, (n * 7919) & 0xFFFFFF, 200
        message = bytes((1 + n % 20,)) + whole.to_bytes(3, "big") + struct.pack("!H", n % 8)
        body = message + at.to_bytes(3, "big") + size.to_bytes(3, "big") + bytes(size)
        found.append(struct.pack("!BHHHIH", 22, 0xFEFD, n % 2, 0, n, len(body)) + body)
    return found


def replayed(bad: LightViewer, _: PeerServer) -> list[bytes]:
    once = bad._dtls._tx_srtp.protect_rtcp(rtcp.pli(1, bad._ssrc))
    return [once] * 200


def truncated(bad: LightViewer, _: PeerServer) -> list[bytes]:
    whole = bad._dtls._tx_srtp.protect_rtcp(rtcp.receiver_report(1, ()))
    media = bad._dtls._tx_srtp.protect(struct.pack("!BBHII", 0x80, 96, 1, 1, 7) + bytes(100))
    return [whole[:cut] for cut in range(2, len(whole))] + [media[:cut] for cut in range(2, len(media))]


def bombs(bad: LightViewer, _: PeerServer) -> list[bytes]:
    """The dearest compounds of 1,200 octets: NACKs of everything, reports without end, feedback of 65,535 packets."""
    protect, ssrc = bad._dtls._tx_srtp.protect_rtcp, bad._ssrc
    losses = b"".join(struct.pack("!HH", 17 * n & 0xFFFF, 0xFFFF) for n in range(6))
    nacks = struct.pack("!BBHII", 0x81, 205, 8, 1, ssrc) + losses
    told = struct.pack("!BBHIIHHI", 0x8F, 205, 104, 1, ssrc, 0, 0xFFFF, 0) + b"\x3f\xff" * 194 + bytes(16)
    firs = struct.pack("!BBHII", 0x84, 206, 2 + 2 * 130, 1, 0) + struct.pack("!II", ssrc, 1 << 24) * 130
    small = [rtcp.receiver_report(1, ()) * 150, nacks * 32, told * 2, firs, rtcp.pli(1, ssrc) * 32]
    return [protect(plain[: 1_200 // 4 * 4]) for plain in small for _ in range(20)]


ATTACKS = {
    "without integrity": Attack("stun_bad", without_integrity),
    "false integrity": Attack("stun_bad", false_integrity),
    "dtls flood": Attack("flooded", dtls_flood),
    "dtls fragments": Attack("", dtls_fragments),
    "replayed": Attack("srtp_bad", replayed),
    "truncated": Attack("srtp_bad", truncated),
    "bombs": Attack("malformed", bombs),
}


@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_counted_and_costs_the_viewer_beside_it_no_packet(attack: str, over: str) -> None:
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, bad, tried = h264(), LightViewer(over=over), ATTACKS[attack]
        async with feeding(stream), undisturbed(server, stream):
            id = await join(server, stream, bad)
            before = dict(server.counters)
            for n, data in enumerate(tried.make(bad, server)):
                with contextlib.suppress(BlockingIOError, OSError):
                    bad._send(data)
                if n % 50 == 0:
                    await asyncio.sleep(0)
            if tried.counted:
                await until(lambda: server.counters[tried.counted] > before[tried.counted])
            had = bad.packets
            await until(lambda: bad.packets > had + 10)  # and it is still served
            assert [session.id for session in server.sessions if session.id == id]
        await bad.close()


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_garbage_in_place_of_a_handshake_ends_only_that_session(over: str) -> None:
    """A peer with a path and no keys: everything that it sends goes to OpenSSL."""
    async with serving(handshake_s=0.5) as server, asyncio.timeout(PATIENCE):
        stream, bad = h264(), LightViewer(over=over)
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def post(sdp: str) -> str:
            return (await server.whep(stream, sdp, owner="u", on_end=lambda _, why: ended.set_result(why))).sdp

        async def no_keys(said: str) -> None:
            await bad._answered.wait()

        async with feeding(stream), undisturbed(server, stream):
            bad._secure = no_keys  # type: ignore[method-assign]
            await bad.join(post)
            for data in dtls_fragments(bad, server) + dtls_records(1_500, 50) + [b"\x14", b"\x16\xfe", b"\x3f" * 1_400]:
                with contextlib.suppress(OSError):
                    bad._send(data)
            assert await ended == "dtls.failed"
            counters = server.counters
            assert counters["dtls_failed"] == 1
            assert counters["dtls_dropped"] + counters["flooded"] > 0
        await bad.close()


# publishers -------------------------------------------------------------------------------------------


class GarbagePublisher(LightViewer):
    """A publisher whose packets are encrypted well and are otherwise anything."""

    def __init__(self, codec: str, *, over: str = "udp") -> None:
        super().__init__(over=over)
        self._codec = codec

    def offer(self) -> str:
        print_ = next(f for f in light_client._CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
        name = {"h264": "H264/90000", "vp8": "VP8/90000"}[self._codec]
        rows = [
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
            "m=video 9 UDP/TLS/RTP/SAVPF 102 103", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly", "a=rtcp-mux",
            f"a=ice-ufrag:{self._ufrag}", f"a=ice-pwd:{self._pwd}", f"a=fingerprint:sha-256 {print_.value}",
            "a=setup:active", f"a=rtpmap:102 {name}", "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli",
            "a=rtcp-fb:102 transport-cc", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102",
            *(["a=fmtp:102 packetization-mode=1;profile-level-id=42e01f"] if self._codec == "h264" else []),
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
            f"a=extmap:{RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=rid:q send", "a=rid:f send", "a=simulcast:send q;f",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:1", "a=sendonly", "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "",
        ]  # fmt: skip
        return "\r\n".join(rows)

    async def publish(self, server: PeerServer, stream: Stream) -> None:
        answer = (await server.whip(stream, self.offer(), owner="p")).sdp
        found = self._candidate(answer)
        assert found is not None
        self._peer = (found[1], int(found[2]))
        self._know(answer)
        await self._open()
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._secure(answer)

    def rtp(self, plain: bytes) -> None:
        with contextlib.suppress(OSError, SrtpError):  # libsrtp makes no packet of a number that is too old
            self._send(self._dtls._tx_srtp.protect(plain))


STARTS = (
    b"\x67",
    b"\x65",
    b"\x7c\x85",
    b"\x7c\x45",
    b"\x78\0\x05\x65",
    b"\x10\0\0\x9d\x01\x2a",
    b"\x90\x80\xff\xff",
    b"",
)


def nonsense(rng: random.Random, n: int, rid: bytes) -> bytes:
    """One RTP packet: a sound header mostly, an extension that is now and then none, a payload of anything."""
    size = rng.choice((0, 1, 2, 3, 20, 400, 1_190, 1_320))
    seq = n + rng.choice((0, 0, 0, -3, 5, 40 * (n % 50 == 0), 900 * (n % 500 == 0))) & 0xFFFF
    payload_type = rng.choice((102, 102, 102, 103, 111, 7))
    head = struct.pack(
        "!BBHII", 0x90, rng.choice((0, 0x80)) | payload_type, seq, rng.randrange(1 << 32), rng.randrange(1, 6)
    )
    level = b"\x10\x55" if payload_type == 111 else b""
    elements = bytes((RID << 4,)) + rid + bytes((3 << 4 | 1,)) + rng.randbytes(2) + level
    block = elements + bytes(-len(elements) % 4)
    if rng.random() < 0.2:
        block = rng.randbytes(4 * rng.randrange(4))
    words = struct.pack("!HH", rng.choice((0xBEDE, 0xBEDE, 0x1000, 0)), len(block) // 4)
    return head + words + block + rng.choice(STARTS) + rng.randbytes(size)


@pytest.mark.parametrize("half", BOTH)
@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_a_publisher_of_garbage_is_counted_and_harms_neither_its_viewers_nor_others(
    codec: str, half: str
) -> None:
    rng = random.Random(codec)
    async with serving(fanout=half) as server, asyncio.timeout(PATIENCE):
        stream, member = h264(), Stream("mem-1", clock=system_clock)
        bad, watcher = GarbagePublisher(codec), LightViewer()
        async with feeding(stream), undisturbed(server, stream):
            await bad.publish(server, member)
            if codec == "h264":
                await watcher.join(lambda sdp: _watch(server, member, sdp))
            for n in range(4_000):
                bad.rtp(nonsense(rng, n, rng.choice((b"q", b"f", b"?"))))
                if n % 100 == 0:
                    plain = struct.pack(
                        "!BBHI", 0x80 | rng.randrange(32), rng.randrange(200, 207), 3, 1
                    ) + rng.randbytes(8)
                    bad._send(bad._dtls._tx_srtp.protect_rtcp(plain))
                    await asyncio.sleep(0.001)
            await until(lambda: server.counters["packets_in"] > 1_000)
            counters = server.counters
            assert counters["malformed"] > 100
            assert any(track.counters.packets for track in member.layers("video"))
            if codec == "h264":
                await until(lambda: watcher.packets > 0)
                await watcher.close()
        await bad.close()


async def _watch(server: PeerServer, stream: Stream, sdp: str) -> str:
    return (await server.whep(stream, sdp, owner="w")).sdp


async def test_one_that_breaks_a_stream_takes_no_other_publishers_packets_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What nobody thought of: the packets of the others that came in the same turn are handed on."""
    flushed: list[Publisher] = []

    async with serving() as server:
        publishers = [
            Publisher(Stream(f"m-{n}", clock=system_clock), _terms(), 1, server._totals, lambda: None) for n in range(3)
        ]

        def flush(self: Publisher, now_ms: int) -> None:
            flushed.append(self)
            if len(flushed) == 1:
                raise ZeroDivisionError

        monkeypatch.setattr(Publisher, "flush", flush)
        server._demux._dirty = set(publishers)
        server._demux._flush(0)
        assert set(flushed) == set(publishers)
        assert server.counters["internal_errors"] == 1


def _terms() -> Terms:
    return Terms({102: "h264"})


@pytest.mark.parametrize(("limit", "publishes"), [("VIEWED", False), ("PUBLISHED", True)])
async def test_who_sends_more_than_a_peer_may_is_not_listened_to_until_the_next_second(
    limit: str, publishes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, member = h264(), Stream("mem-1", clock=system_clock)
        bad: LightViewer = GarbagePublisher("h264") if publishes else LightViewer()
        async with feeding(stream), undisturbed(server, stream):
            if isinstance(bad, GarbagePublisher):
                await bad.publish(server, member)
            else:
                await join(server, stream, bad)
            monkeypatch.setattr(demux, limit, 100)
            while server.counters["flooded"] < 100:
                for _ in range(20):
                    bad._send(bad._dtls._tx_srtp.protect_rtcp(rtcp.receiver_report(1, ())))
                await asyncio.sleep(0)
            monkeypatch.setattr(demux, limit, 100_000)
            pli, had = rtcp.pli(1, bad._ssrc), server.counters["srtp_bad"]
            bad._send(bad._dtls._tx_srtp.protect_rtcp(pli))
            await asyncio.sleep(0)
            assert server.counters["srtp_bad"] == had  # what was passed over does not make the next one false
        await bad.close()


# descriptions -----------------------------------------------------------------------------------------


async def test_descriptions_of_a_megabyte_and_of_nothing_are_refused_and_counted() -> None:
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream = h264()
        good = light_client.offer("abcd", "a" * 24)
        mega = good + "a=x-filler:" + "y" * 1_000_000 + "\r\n"
        rows = good + "a=x\r\n" * 200_000
        async with feeding(stream), undisturbed(server, stream):
            refused = server.counters["sdp_refused"]
            for sdp in (mega, rows, "", "v=0", "\0" * 1_000_000, "m=" * 500_000, good.replace("H264", "AV1")):
                for door in (server.whep, server.whip):
                    with pytest.raises(Invalid):
                        await door(stream, sdp, owner="u")
            assert server.counters["sdp_refused"] == refused + 14
            with pytest.raises(Invalid):
                server.patch(server.sessions[0].id, "a=ice-ufrag:x\r\n" + "y" * 1_000_000)
            session = server.subscribe(owner="s")
            offered = server.wish(session, [Wish(stream)])
            assert offered is not None
            with pytest.raises(Invalid):
                server.answer(session, offered.revision, mega)
            assert server.counters["sdp_refused"] == refused + 16
            await server.end(session, "over")


async def test_a_thousand_candidates_are_passed_over_and_the_viewer_is_served() -> None:
    """A lite agent sends no checks, so they make it send nothing to anybody (RFC 8445 §6.2)."""
    lines = "".join(
        f"a=candidate:{n} 1 udp 2130706431 10.{n >> 8}.{n & 255}.1 {1_024 + n} typ host\r\n" for n in range(1_000)
    )
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, viewer = h264(), LightViewer()
        async with feeding(stream), undisturbed(server, stream):
            sent = server.counters["send_errors"]
            await viewer.join(lambda sdp: _watch(server, stream, sdp + lines))
            await viewer.seen.wait()
            (session,) = [session for session in server.sessions if session.owner == "w"]
            fragment = (
                f"a=ice-ufrag:{session.ice.remote_ufrag}\r\na=ice-pwd:{'p' * 24}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\n"
            )
            assert server.patch(session.id, fragment + lines[:10_000].rpartition("\r\n")[0]) == ""
            assert (len(session.ice.paths), server.counters["send_errors"]) == (1, sent)
        await viewer.close()


# viewers ----------------------------------------------------------------------------------------------


async def test_a_viewer_that_acknowledges_nothing_is_no_burden() -> None:
    """It agreed to feedback and sends none: no report, no transport-wide feedback, nothing but its checks."""
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, mute = h264(), LightViewer(full=True)

        async def nothing() -> None:
            return

        mute._reports = mute._feedback = nothing  # type: ignore[method-assign]
        async with feeding(stream, every_s=0.01), undisturbed(server, stream):
            await join(server, stream, mute)
            (session,) = [each for each in server.sessions if any(seat.sender.log for seat in each.seats.values())]
            had = mute.packets
            await until(lambda: mute.packets > had + 300)
            assert server.counters["feedback_in"] == 0
            assert session.steering.log.octets >= 0
        await mute.close()


async def test_sixty_four_tracks_that_flap_leave_nothing_and_cost_the_viewer_beside_them_no_packet() -> None:
    """A page that changes its mind faster than it answers, and one that answers what was long ago."""
    cameras = [camera(f"cam-{n}") for n in range(64)]
    async with serving() as server, asyncio.timeout(60):
        stream, rng = h264(), random.Random(64)
        async with feeding(stream), undisturbed(server, stream), rolling(*cameras, every_s=0.2):
            async with subscribing(server, Wish(cameras[0])) as (session, client):
                for n in range(300):
                    wishes = [
                        Wish(each, width=rng.choice((None, 100)), visible=rng.random() < 0.7)
                        for each in cameras
                        if rng.random() < 0.5
                    ]
                    offered = server.wish(session, wishes, again=n % 5 == 0)
                    if offered is not None and n % 3 == 0:
                        await client.take(server, session, offered)
                    elif offered is not None:
                        with contextlib.suppress(Exception):
                            server.answer(session, rng.randrange(offered.revision + 2), "v=0\r\n")
                    if n % 10 == 0:
                        await asyncio.sleep(0)
                with pytest.raises(TooMany):
                    server.wish(session, [Wish(camera(f"c-{n}")) for n in range(65)])
                await client.take(server, session, server.wish(session, [Wish(cameras[5])], again=True))
                await client.until_seen("cam-5", more=2)
                assert client.strangers() == []
                await server.end(session, "over")
            assert all(each.viewers == 0 for each in cameras)
            assert len(server._viewers) == 1
