"""Bad datagrams against the one port: dropped and counted, and the viewer beside them sees every frame."""

import asyncio
import os
import random
import socket
from typing import Any

from hub.media.rtp import rtcp
from hub.media.stream import Stream
from signaling.ice import binding_request
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import feeding
from tests.integration.test_whep import PATIENCE, client, first_track, h264, serving, view


def garbage(rng: random.Random) -> list[bytes]:
    """STUN, DTLS, RTP and RTCP in name only, truncated, oversized, empty."""
    found = [b"", b"\0", b"\x80", bytes(65_000), os.urandom(2_048)]
    for first in (0, 1, 22, 63, 100, 128, 191, 255):
        for second in (0, 1, 96, 200, 206):
            found += [bytes([first, second]) + rng.randbytes(size) for size in (0, 1, 10, 18, 60, 1_200)]
    check = binding_request("nobody:here", b"wrong")
    return found + [check[:cut] for cut in range(len(check))] + [check] * 20


async def test_garbage_from_strangers_costs_the_viewer_nothing() -> None:
    rng = random.Random(7)
    async with serving() as server, client() as pc:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            track = first_track(pc, "video")
            await view(server, stream, pc)
            await (await track).recv()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for data in garbage(rng):
                    stranger.sendto(data, ("127.0.0.1", server.port))
                    await asyncio.sleep(0)
            for _ in range(30):
                await (await track).recv()
        counters = server.counters
        assert counters["internal_errors"] == 0
        assert min(counters["stun_bad"], counters["unknown_path"], counters["malformed"]) > 0
        assert counters["sessions"] == 1


async def joined(server: Any, stream: Stream) -> LightViewer:
    viewer = LightViewer()

    async def post(sdp: str) -> str:
        return (await server.whep(stream, sdp, owner="u")).sdp  # type: ignore[no-any-return]

    await viewer.join(post)
    await viewer.seen.wait()
    return viewer


async def test_a_viewer_that_sends_nonsense_after_its_keys_is_counted_and_stays() -> None:
    rng = random.Random(8)
    async with serving() as server:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            viewer = await joined(server, stream)
            ssrc = stream.tracks["video"].ssrc
            bad = [
                rtcp.nack(1, ssrc, list(range(0, 60_000, 7)))[:1_200] + bytes(4),
                *(bytes([0x80 | n, kind, 0, 200]) + rng.randbytes(40) for n in (0, 31) for kind in range(200, 207)),
            ]
            for plain in bad:
                await viewer._dtls._send_rtp(plain)
            for _ in range(20):  # a replay of what was right once
                data = viewer._dtls._tx_srtp.protect_rtcp(rtcp.pli(1, ssrc))
                viewer._send(data)
                viewer._send(data)
            viewer._send(b"\x80\xc8" + rng.randbytes(60))
            before = viewer.packets
            while viewer.packets < before + 50:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.02)
            counters = server.counters
            assert counters["internal_errors"] == 0
            assert counters["malformed"] > 0
            assert counters["srtp_bad"] >= 20
            assert counters["replays"] <= 1
            await viewer.close()


async def test_lost_packets_are_sent_again_over_the_wire() -> None:
    async with serving() as server:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            viewer = await joined(server, stream)
            sender = next(iter(server.sessions[0].seats.values())).sender
            lost = [sender.numbering.highest & 0xFFFF]
            await viewer._dtls._send_rtp(rtcp.nack(1, stream.tracks["video"].ssrc, lost))
            while server.counters["retransmitted"] < 1:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)
            await viewer.close()


async def test_a_viewer_that_falls_silent_loses_its_session() -> None:
    """RFC 7675: without consent nothing is sent."""
    async with serving(consent_s=0.3) as server:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            viewer = await joined(server, stream)  # its next check is due in 2.5 s
            while server.sessions:  # noqa: ASYNC110 - seen from outside there is no event
                await asyncio.sleep(0.02)
            assert stream.viewers == 0
            await viewer.close()


async def test_a_false_fingerprint_is_no_viewer() -> None:
    async with serving() as server:
        stream = h264()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        viewer = LightViewer()

        async def post(sdp: str) -> str:
            false = sdp.replace("sha-256 ", "sha-256 00:", 1)
            return (await server.whep(stream, false, owner="u", on_end=lambda _, why: ended.set_result(why))).sdp

        async with feeding(stream), asyncio.timeout(PATIENCE):
            joining = asyncio.create_task(viewer.join(post))
            assert await ended == "dtls.failed"
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            await viewer.close()
        assert server.counters["dtls_failed"] == 1
        assert viewer.packets == 0


async def test_a_stolen_check_does_not_redirect_media() -> None:
    """A check with the right name and without the password moves nothing."""
    async with serving() as server:
        stream = h264()
        async with feeding(stream), asyncio.timeout(PATIENCE):
            viewer = await joined(server, stream)
            session = server.sessions[0]
            name = f"{session.ice.local.ufrag}:{session.ice.remote_ufrag}"
            path = session.ice.selected
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
                thief.setblocking(False)
                bad = server.counters["stun_bad"]
                thief.sendto(binding_request(name, b"guessed"), ("127.0.0.1", server.port))
                while server.counters["stun_bad"] == bad:  # noqa: ASYNC110 - a counter has no event
                    await asyncio.sleep(0.01)
            assert session.ice.selected == path
            await viewer.close()


async def test_a_source_that_restarts_is_continued_without_a_gap_in_the_numbers() -> None:
    async with serving() as server:
        stream = h264()
        async with asyncio.timeout(PATIENCE):
            async with feeding(stream):
                viewer = await joined(server, stream)
            sender = next(iter(server.sessions[0].seats.values())).sender
            before, had = sender.numbering.highest, viewer.packets
            stream.restart()
            async with feeding(stream):
                while viewer.packets < had + 60:  # noqa: ASYNC110 - a counter has no event
                    await asyncio.sleep(0.02)
            assert sender.numbering.highest > before
            assert sender.numbering.highest - before <= sender.packets
            await viewer.close()
