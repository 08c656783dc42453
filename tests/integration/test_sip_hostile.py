"""What strangers do to a SIP node over real sockets: it answers or closes, counts, and goes on."""

import asyncio
import logging
import socket

import pytest

from signaling.sip.message import Response, make_request, parse
from signaling.sip.stream import Framer
from signaling.transport.sip import (
    Flow,
    NodeConfig,
    ServerTransaction,
    SipNode,
    SipTimeout,
    StackConfig,
    TcpLimits,
    TransportGone,
    masked,
)

OPTIONS = (
    b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%d\r\nFrom: <sip:x@y>;tag=1\r\n"
    b"To: <sip:a@b>\r\nCall-ID: c%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def ok(transaction: ServerTransaction) -> Response:
    return transaction.respond(200)


async def answers(reader: asyncio.StreamReader, count: int) -> list[Response]:
    framer, found = Framer(), list[Response]()
    async with asyncio.timeout(60):
        while len(found) < count:
            data = await reader.read(4_096)
            if not data:
                break
            found += [message for each in framer.feed(data) if isinstance(message := parse(each), Response)]
    return found


async def alive(node: SipNode) -> bool:
    """Whether it still answers somebody who behaves."""
    async with SipNode(ok) as other:
        request = make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b")
        return (await other.request(request, Flow("udp", "127.0.0.1", node.port))).status == 200


async def test_a_sender_of_one_byte_at_a_time_is_closed_in_time() -> None:
    async with SipNode(ok, NodeConfig(tcp=TcpLimits(message_s=0.3))) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        message, at = OPTIONS % (1, 1), 0
        while not reader.at_eof():
            writer.write(message[at : at + 1])
            at += 1
            try:
                async with asyncio.timeout(0.02):
                    await reader.read(1)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert node.counters["tcp_slow"] == 1
        assert node.connections == 0
        writer.close()
        assert await alive(node)


async def test_bytes_in_pieces_keepalives_and_several_messages_at_once_are_answered() -> None:
    async with SipNode(ok) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        data = b"".join(OPTIONS % (n, n) for n in range(20))
        for at in range(0, len(data), 333):
            writer.write(data[at : at + 333])
            await writer.drain()
        assert [each.status for each in await answers(reader, 20)] == [200] * 20
        writer.close()


async def test_a_stream_that_lost_its_frames_is_refused_and_closed() -> None:
    async with SipNode(ok) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write((OPTIONS % (1, 1)).replace(b"Length: 0", b"Length: -1"))
        data = await reader.read()
        assert data.startswith(b"SIP/2.0 400 ")
        writer.close()
        assert node.counters["tcp_broken"] == 1
        assert await alive(node)


async def test_headers_without_end_close_the_connection() -> None:
    async with SipNode(ok) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"OPTIONS sip:a@b SIP/2.0\r\n" + b"X: y\r\n" * 20_000)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert node.counters["tcp_broken"] == 1
        assert await alive(node)


async def test_connections_are_bounded() -> None:
    async with SipNode(ok, NodeConfig(tcp=TcpLimits(connections=3))) as node:
        open_ones = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(3)]
        for number, (_, writer) in enumerate(open_ones):
            writer.write(OPTIONS % (number, number))
        for reader, _ in open_ones:
            assert [each.status for each in await answers(reader, 1)] == [200]
        late, writer = await asyncio.open_connection("127.0.0.1", node.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await late.readexactly(1)
        assert node.counters["tcp_refused"] == 1
        for _, each in [*open_ones, (late, writer)]:
            each.close()


async def test_datagrams_that_are_nonsense_cost_nothing() -> None:
    async with SipNode(ok) as node:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in (
                b"",
                b"\0\0\0\0",
                b"\r\n\r\n",
                b"x" * 60_000,
                b"OPTIONS",
                b"\xff" * 100,
                b"SIP/2.0 200 OK\r\n\r\n",
            ):
                stranger.sendto(data, ("127.0.0.1", node.port))
            assert await alive(node)
        assert node.counters["keepalives"] == 3
        assert node.counters["malformed"] == 4
        assert node.counters["faults"] == 0


async def test_a_handler_that_fails_is_a_500_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def fail(transaction: ServerTransaction) -> None:
        raise RuntimeError("broken")

    async def fail_later(transaction: ServerTransaction) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    handlers = [fail, fail_later]
    with caplog.at_level(logging.ERROR):
        async with SipNode(lambda tx: handlers[tx.request.cseq.number % 2](tx)) as node, SipNode(ok) as client:
            for number in range(4):
                request = make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b")
                request.headers.add("CSeq", f"{number} OPTIONS")
                assert (await client.request(request, Flow("udp", "127.0.0.1", node.port))).status == 500
            assert node.counters["faults"] == 4
    assert len([record for record in caplog.records if "handler" in record.message]) == 1


async def test_handlers_at_work_are_bounded() -> None:
    release, at_work = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(transaction: ServerTransaction) -> None:
        at_work.release()
        await release.wait()
        transaction.respond(200)

    async with SipNode(slow, NodeConfig(max_tasks=2)) as node, SipNode(ok) as client:
        flow = Flow("udp", "127.0.0.1", node.port)
        requests = [make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b") for _ in range(3)]
        first = [asyncio.ensure_future(client.request(each, flow)) for each in requests[:2]]
        for _ in first:
            await at_work.acquire()
        assert (await client.request(requests[2], flow)).status == 503
        release.set()
        assert [(await each).status for each in first] == [200, 200]


async def test_an_answer_may_be_given_long_after_the_handler_returned() -> None:
    kept: list[ServerTransaction] = []
    arrived = asyncio.Event()

    def keep(transaction: ServerTransaction) -> None:
        kept.append(transaction)
        arrived.set()

    async with SipNode(keep) as node, SipNode(ok) as client:
        request = make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b")
        waiting = asyncio.ensure_future(client.request(request, Flow("tcp", "127.0.0.1", node.port)))
        await arrived.wait()
        kept[0].respond(202)
        assert (await waiting).status == 202


async def test_who_cannot_be_reached_is_said_so() -> None:
    async with SipNode(ok) as node:
        request = make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            with pytest.raises(TransportGone):
                await node.request(request, Flow("tcp", *nobody.getsockname()))
        with pytest.raises(TransportGone):
            await node.request(request, Flow("tcp", "127.0.0.1", node.port, 99))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            with pytest.raises(SipTimeout):
                await node.request(request, Flow("udp", *silent.getsockname()), timeout=0.2)


async def test_a_connection_that_ends_ends_the_wait_for_its_answer() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, SipNode(ok, NodeConfig(stack=StackConfig())) as node:
        request = make_request("OPTIONS", "sip:a@b", from_="sip:x@y", to="sip:a@b")
        with pytest.raises(TransportGone):
            await node.request(request, Flow("tcp", *server.sockets[0].getsockname()))


async def test_every_message_is_traced_and_what_is_kept_of_it_tells_no_password() -> None:
    seen: list[tuple[str, str, str]] = []
    async with (
        SipNode(ok, trace=lambda way, flow, data: seen.append((way, flow.transport, masked(data)))) as node,
        SipNode(ok) as client,
    ):
        request = make_request("REGISTER", "sip:a@b", from_="sip:x@y", to="sip:a@b", body=b"a=password:12345678\r\n")
        request.headers.add("Authorization", 'Digest username="u", response="0123456789abcdef", nonce="n"')
        assert (await client.request(request, Flow("udp", "127.0.0.1", node.port))).status == 200
    assert [(way, transport) for way, transport, _ in seen] == [("in", "udp"), ("out", "udp")]
    assert 'username="u", response=***, nonce="n"' in seen[0][2]
    assert "12345678" not in seen[0][2]
    assert "0123456789abcdef" not in seen[0][2]
    assert len(masked(b"x" * 100_000)) == 16_384
    upload = b"<UploadURL>https://10.0.0.1/uploads/" + b"s" * 43 + b"</UploadURL>"  # the address is the right to upload
    assert masked(upload) == "<UploadURL>https://10.0.0.1/uploads/***</UploadURL>"
