"""Real aiortc clients against the peer server: they view a camera, they publish, they are put out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from OpenSSL import SSL

from hub.domain.clock import system_clock
from hub.domain.errors import Conflict, Invalid, TooMany
from hub.media.peer.server import PeerServer
from hub.media.peer.session import Session
from hub.media.stream import Stream
from tests.bench.light_client import _CERTIFICATE, LightViewer
from tests.integration.media_kit import feeding

PATIENCE = 60.0


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[PeerServer]:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"], **options)
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[RTCPeerConnection]:
    pc = RTCPeerConnection()
    try:
        yield pc
    finally:
        await pc.close()


def first_track(pc: RTCPeerConnection, kind: str) -> "asyncio.Future[MediaStreamTrack]":
    found: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()

    @pc.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        if track.kind == kind and not found.done():
            found.set_result(track)

    return found


async def offer_of(pc: RTCPeerConnection) -> str:
    await pc.setLocalDescription(await pc.createOffer())
    return pc.localDescription.sdp


async def accept(pc: RTCPeerConnection, sdp: str) -> None:
    await pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))


async def view(server: PeerServer, stream: Stream, pc: RTCPeerConnection, *kinds: str, owner: str = "u-1") -> str:
    """Join as a viewer; the session's id."""
    for kind in kinds or ("video",):
        pc.addTransceiver(kind, direction="recvonly")
    answer = await server.whep(stream, await offer_of(pc), owner=owner)
    await accept(pc, answer.sdp)
    return answer.session_id


def h264() -> Stream:
    return Stream("cam-1", clock=system_clock, expects=("h264",))


async def test_a_viewer_decodes_the_frames_of_a_camera() -> None:
    async with serving() as server, client() as pc:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            track = first_track(pc, "video")
            await view(server, stream, pc)
            assert stream.viewers == 1
            await (await track).recv()
            assert server.sessions[0].dtls.tag == 16  # AES-GCM, which aiortc offers
            seen = [await (await track).recv() for _ in range(30)]
        assert {(frame.width, frame.height) for frame in seen} == {(320, 240)}  # type: ignore[union-attr]
        stamps = [frame.pts or 0 for frame in seen]
        assert stamps == sorted(set(stamps))
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0


async def test_a_viewer_who_joins_late_gets_the_cached_gop_at_once() -> None:
    async with serving() as server, client() as pc:
        stream = h264()
        async with feeding(stream, every_s=0.01), asyncio.timeout(PATIENCE):
            await anext(reader := stream.units("tap"))
            for _ in range(20):
                await anext(reader)
            reader.close()
        async with asyncio.timeout(PATIENCE):  # the source stands still: what is seen comes from the cache
            track = first_track(pc, "video")
            await view(server, stream, pc)
            for _ in range(10):
                await (await track).recv()


async def test_a_publisher_by_whip_is_seen_and_heard_by_whep() -> None:
    async with serving() as server, client() as source, client() as pc:
        stream = Stream("mem-1", clock=system_clock)
        media = asyncio.Event()
        ended: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        source.addTrack(AudioStreamTrack())
        source.addTrack(VideoStreamTrack())
        async with asyncio.timeout(PATIENCE):
            answer = await server.whip(
                stream, await offer_of(source), owner="u-2",
                on_media=lambda _: media.set(), on_end=lambda *end: ended.set_result(end),
            )  # fmt: skip
            await accept(source, answer.sdp)
            await media.wait()
            video, audio = first_track(pc, "video"), first_track(pc, "audio")
            await view(server, stream, pc, "audio", "video")
            for _ in range(10):
                await (await video).recv()
                await (await audio).recv()
            assert stream.codec == "vp8+opus"
            await server.end(answer.session_id, "left")
            assert await ended == (answer.session_id, "left")


async def test_a_withdrawn_right_ends_every_session_of_that_person() -> None:
    async with serving() as server, client() as one, client() as two:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            first, second = first_track(one, "video"), first_track(two, "video")
            await view(server, stream, one, owner="u-1")
            await view(server, stream, two, owner="u-2")
            await (await first).recv()
            await (await second).recv()
            assert await server.end_owner("u-1") == 1
            assert [session.owner for session in server.sessions] == ["u-2"]
            assert stream.viewers == 1
            while one.connectionState not in ("closed", "failed"):  # noqa: ASYNC110 - aiortc has no event to await
                await asyncio.sleep(0.02)
            await (await second).recv()


async def _settled(server: PeerServer, stream: Stream, viewer: LightViewer, **options: Any) -> Session:
    """The session of a viewer whose first report has come, so that OpenSSL's part is over."""

    async def post(sdp: str) -> str:
        return (await server.whep(stream, sdp, owner="u", **options)).sdp

    await viewer.join(post)
    await viewer.seen.wait()
    (session,) = server.sessions
    while not session.dtls.settled:  # noqa: ASYNC110 - a report comes each second, nobody tells of it
        await asyncio.sleep(0.02)
    return session


async def test_a_viewer_says_goodbye_long_after_openssl_was_given_up() -> None:
    """RFC 5246 §7.2.1: its close_notify ends the session at once, what is forged from its address does not."""
    async with serving() as server:
        stream, viewer = h264(), LightViewer()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            session = await _settled(server, stream, viewer, on_end=lambda _, why: ended.set_result(why))
            assert not session.dtls.feed(b"\x15\xfe\xfd" + (1 << 48 | 9).to_bytes(8, "big") + b"\0\x1a" + bytes(26))
            assert not session.dtls.feed(b"\x15\xfe\xfd" + bytes(8) + b"\0\x02\x01\0")  # plain, of epoch 0
            assert not ended.done()
            await viewer.close()
            assert await ended == "closed"


async def test_the_server_says_goodbye_long_after_openssl_was_given_up() -> None:
    async with serving() as server:
        stream, viewer = h264(), LightViewer()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            session = await _settled(server, stream, viewer)
            assert await server.end(session.id, "left")
            while viewer._dtls.state != "closed":  # noqa: ASYNC110 - aiortc has no event to await
                await asyncio.sleep(0.02)
            await viewer.close()


class _Other(RTCCertificate):
    """Offers a cipher that ``dtls_alert`` does not read."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-ECDSA-CHACHA20-POLY1305")
        return context


async def test_an_association_of_another_cipher_keeps_openssl_and_ends_as_well() -> None:
    async with serving() as server:
        stream, viewer = h264(), LightViewer()
        own = _Other(_CERTIFICATE._key, _CERTIFICATE._cert)
        viewer._dtls = RTCDtlsTransport(viewer._pipe, [own])  # type: ignore[arg-type]  # a duck
        viewer._dtls._set_role("client")
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def post(sdp: str) -> str:
            return (await server.whep(stream, sdp, owner="u", on_end=lambda _, why: ended.set_result(why))).sdp

        async with feeding(stream), asyncio.timeout(PATIENCE):
            await viewer.join(post)
            await viewer.seen.wait()
            (session,) = server.sessions
            while session.dtls._unsettled:  # noqa: ASYNC110 - a report comes each second, nobody tells of it
                await asyncio.sleep(0.02)
            assert not session.dtls.settled
            await viewer.close()
            assert await ended == "closed"


async def test_the_end_of_a_stream_ends_its_viewers() -> None:
    async with serving() as server, client() as pc:
        stream = h264()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pc.addTransceiver("video", direction="recvonly")
        async with asyncio.timeout(PATIENCE):
            await server.whep(stream, await offer_of(pc), owner="u", on_end=lambda _, why: ended.set_result(why))
            stream.end()
            assert await ended == "stream.ended"
        assert stream.subscribers == 0


async def test_offers_that_cannot_be_answered_are_refused_by_name() -> None:
    async with serving(max_sessions=1) as server, client() as pc, client() as sound:
        stream = h264()
        for bad in ("", "v=0\r\n", "\0" * 100, "v=0\r\n" + "a=x\r\n" * 70_000):
            with pytest.raises(Invalid) as refused:
                await server.whep(stream, bad, owner="u")
            assert refused.value.id == "sdp.invalid"
        sound.addTransceiver("audio", direction="recvonly")
        with pytest.raises(Invalid) as refused:
            await server.whep(stream, await offer_of(sound), owner="u")
        assert refused.value.id == "sdp.no_codec"
        pc.addTransceiver("video", direction="recvonly")
        offer = await offer_of(pc)
        with pytest.raises(Conflict) as conflict:
            await server.whep(Stream("mem-9", clock=system_clock), offer, owner="u")
        assert conflict.value.id == "stream.not_live"
        await server.whep(stream, offer, owner="u")
        with pytest.raises(TooMany) as full:
            await server.whep(stream, offer, owner="u")
        assert full.value.id == "relay.full"


async def test_nobody_comes_and_the_session_ends_by_itself() -> None:
    async with serving(handshake_s=0.05) as server, client() as pc:
        stream = h264()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pc.addTransceiver("video", direction="recvonly")
        async with asyncio.timeout(PATIENCE):
            await server.whep(stream, await offer_of(pc), owner="u", on_end=lambda _, why: ended.set_result(why))
            assert await ended == "ice.timeout"
        assert server.counters["sessions"] == 0


async def test_a_callback_that_fails_takes_nobody_else_along() -> None:
    async with serving() as server, client() as one, client() as two:
        stream = h264()

        def broken(session: str, reason: str) -> None:
            raise ValueError(session)

        async with feeding(stream), asyncio.timeout(PATIENCE):
            one.addTransceiver("video", direction="recvonly")
            answer = await server.whep(stream, await offer_of(one), owner="u", on_end=broken)
            track = first_track(two, "video")
            await view(server, stream, two)
            await (await track).recv()
            await server.end(answer.session_id, "deleted")
            for _ in range(10):
                await (await track).recv()
        assert server.counters["internal_errors"] == 1
