"""ICE-TCP on the media port: a client without UDP sees pictures; strangers, liars and sleepers cost nobody anything."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from hub.domain.clock import system_clock
from hub.media.peer import tcp
from hub.media.peer.server import PeerServer
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from signaling.ice import binding_request
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import encoded, feeding
from tests.integration.test_whep import PATIENCE, h264, serving


async def join(server: PeerServer, stream: Stream, viewer: LightViewer) -> str:
    """The session's id."""
    made: list[str] = []

    async def post(sdp: str) -> str:
        answer = await server.whep(stream, sdp, owner="u")
        made.append(answer.session_id)
        return answer.sdp

    await viewer.join(post)
    return made[0]


async def until(true: Callable[[], bool]) -> None:
    """Wait for a figure that has no event."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def stranger(server: PeerServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("half", ["python", ""])
@pytest.mark.parametrize("full", [False, True])
async def test_a_viewer_by_tcp_sees_pictures_while_one_by_udp_stands_beside_it(full: bool, half: str) -> None:
    async with serving(fanout=half) as server, asyncio.timeout(PATIENCE):
        stream, one, other = h264(), LightViewer(full=full, over="tcp"), LightViewer(full=full)
        async with feeding(stream):
            for viewer in (one, other):
                await join(server, stream, viewer)
                await viewer.seen.wait()
            had = one.packets
            await until(lambda: one.packets > had + 30)
            assert server.counters["tcp_dropped"] == server.counters["tcp_shed"] == 0
            await one.close()
            await other.close()
        assert server.counters["internal_errors"] == server.counters["malformed"] == 0


async def test_tcp_candidates_stand_behind_all_of_udp_and_can_be_switched_off() -> None:
    async with serving() as server, serving(over_tcp=False) as without, asyncio.timeout(PATIENCE):
        viewer, other, stream = LightViewer(), LightViewer(), h264()
        async with feeding(stream):
            await join(server, stream, viewer)
            await join(without, stream, other)
        found = re.findall(r"candidate:\S+ 1 (\w+) (\d+) (\S+) (\d+) typ host(.*)\r", viewer.answer)
        assert [(f[0], f[2], int(f[3]), f[4]) for f in found] == [
            ("udp", "127.0.0.1", server.port, ""),
            ("tcp", "127.0.0.1", server.port, " tcptype passive"),
        ]
        assert int(found[0][1]) > int(found[1][1])
        assert " tcp " not in other.answer
        await viewer.close()
        await other.close()


async def test_what_proves_nothing_is_put_out_and_the_viewer_beside_it_stays() -> None:
    wrong = tcp.frame(binding_request("nobody:here", b"wrong"))
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, viewer = h264(), LightViewer(over="tcp")
        async with feeding(stream):
            await join(server, stream, viewer)
            lies = re.search(r"a=ice-ufrag:(\S+)", viewer.answer)
            assert lies is not None
            forged = tcp.frame(binding_request(f"{lies[1]}:{viewer._ufrag}", b"not the password"))
            said = [
                wrong,
                forged,
                b"GET / HTTP/1.1\r\n\r\n",
                tcp.frame(b"\x16\xfe\xfd" + bytes(40)),
                b"\0\0",
                b"\xff" * 9,
            ]
            for data in said:
                async with stranger(server) as (reader, writer):
                    writer.write(data)
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
            had = viewer.packets
            await until(lambda: viewer.packets > had + 10)
            await viewer.close()
        counters = server.counters
        assert (counters["stun_bad"], counters["malformed"], counters["internal_errors"]) == (2, 3, 0)
        assert counters["tcp_refused"] == 3


async def test_who_says_nothing_is_let_go_and_one_address_opens_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_UNKNOWN_OF_ONE", 5)
    async with serving() as server, asyncio.timeout(PATIENCE):
        server._lines._first_s = 0.3
        async with contextlib.AsyncExitStack() as stack:
            readers = [(await stack.enter_async_context(stranger(server)))[0] for _ in range(8)]
            for reader in readers:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        await until(lambda: len(server._lines) == 0)
        assert (server.counters["tcp_opened"], server.counters["tcp_refused"]) == (5, 8)
        async with stranger(server):  # and there is room again
            await until(lambda: len(server._lines) == 1)


async def test_a_viewer_whose_line_breaks_comes_back_by_another() -> None:
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, viewer = h264(), LightViewer(over="tcp")
        async with feeding(stream):
            await join(server, stream, viewer)
            await viewer.seen.wait()
            (session,) = server.sessions
            (line,) = session.ice.paths
            asyncio.get_running_loop().remove_reader(viewer._sock)
            viewer._sock.close()
            await until(lambda: session.ice.selected is None)
            assert line not in server._directory.paths
            await viewer._open()
            had = viewer.packets
            await until(lambda: viewer.packets > had + 20)
            assert session.ice.selected not in (None, line)
            await viewer.close()


async def test_a_session_that_ends_closes_its_line_and_consent_runs_out_on_it() -> None:
    async with serving(consent_s=0.5) as server, asyncio.timeout(PATIENCE):
        stream, ended, silent = h264(), LightViewer(over="tcp"), LightViewer(over="tcp")
        async with feeding(stream):
            id = await join(server, stream, ended)
            await server.end(id, "withdrawn")
            await ended.hung_up.wait()
            await join(server, stream, silent)  # checks every 2.5 s only: too seldom here
            await silent.hung_up.wait()
            assert server.sessions == ()
            await until(lambda: len(server._lines) == 0)
            await ended.close()
            await silent.close()


async def test_a_viewer_who_reads_too_slowly_loses_whole_pictures_and_goes_on_at_a_key_frame() -> None:
    """Its numbers have no gap: what it lost was never numbered, so it asks for nothing again."""
    made = encoded(2, 25, 1_280, 720, 8_000_000)
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, viewer = Stream("cam-1", clock=system_clock, expects=("h264",)), LightViewer(over="tcp")

        def publish(i: int) -> None:
            data, key = made[i % len(made)]
            stream.publish(AccessUnit("video", "h264", data, i * 3_600, key, system_clock()))

        for i in range(5):
            publish(i)
        await join(server, stream, viewer)
        await viewer.seen.wait()
        loop = asyncio.get_running_loop()
        loop.remove_reader(viewer._sock)
        viewer._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        i = 5
        while server.counters["tcp_shed"] == 0:
            publish(i)
            i += 1
            await asyncio.sleep(0.002)
        (session,) = server.sessions
        (sender,) = [seat.sender for seat in session.seats.values()]
        sent = sender.packets
        for _ in range(30):  # also beyond a key frame: the line is still full
            publish(i)
            i += 1
            await asyncio.sleep(0.002)
        assert sender.packets == sent
        loop.add_reader(viewer._sock, viewer._readable)
        while sender.packets == sent:
            publish(i)
            i += 1
            await asyncio.sleep(0.002)
        had = viewer.packets
        await until(lambda: viewer.packets > had)
        assert server.counters["tcp_dropped"] == server.counters["internal_errors"] == 0
        assert viewer.gaps == 0
        await viewer.close()
