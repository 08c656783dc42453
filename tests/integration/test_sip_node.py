"""The SIP node over real sockets on loopback: two nodes, or a node and bytes."""

import asyncio
import gc

import pytest

from signaling.sip.digest import Authority
from signaling.sip.message import make_request
from signaling.transport.sip import (
    Call,
    CallRefused,
    Credentials,
    Flow,
    NodeConfig,
    Notifier,
    Response,
    ServerTransaction,
    SipNode,
)

US = "sip:34020000002000000001@3402000000"
THEM = "sip:34020000001320000001@3402000000"
SDP = b"v=0\r\no=34020000001320000001 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nt=0 0\r\n"


def here(node: SipNode, transport: str) -> Flow:
    return Flow("tcp" if transport == "tcp" else "udp", "127.0.0.1", node.port)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_request_is_answered_over_the_transport_it_came_by(transport: str) -> None:
    seen: list[ServerTransaction] = []

    def answer(transaction: ServerTransaction) -> None:
        seen.append(transaction)
        transaction.respond(200, headers=[("Date", "2026-01-01T00:00:00.000")])

    async with SipNode(answer) as server, SipNode(answer) as client:
        request = make_request("MESSAGE", THEM, from_=US, to=THEM, body=b"<Notify/>", content_type="text/xml")
        response = await client.request(request, here(server, transport))
        assert (response.status, response.headers.get("Date")) == (200, "2026-01-01T00:00:00.000")
        assert seen[0].request.body == b"<Notify/>"
        assert seen[0].flow.transport == transport
        back = await server.request(make_request("OPTIONS", US, from_=THEM, to=US), seen[0].flow)
        assert back.status == 200  # over TCP that went over the connection that the client had dialled
        assert server.connections == client.connections == (1 if transport == "tcp" else 0)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_is_set_up_changed_and_ended(transport: str) -> None:
    calls: list[Call] = []

    def answer(transaction: ServerTransaction) -> None:
        transaction.respond(101, "Dialog Establishement")
        calls.append(server.answer(transaction, body=SDP))
        calls[0].on_request = lambda inner: inner.respond(200)

    async with SipNode(answer) as server, SipNode(lambda tx: None) as client:
        heard: list[Response] = []
        invite = make_request("INVITE", THEM, from_=US, to=THEM, body=b"v=0\r\n", content_type="application/sdp")
        call = await client.invite(invite, here(server, transport), on_provisional=heard.append)
        assert [each.summary for each in heard] == ["101 Dialog Establishement"]
        assert call.body == SDP
        assert await calls[0].wait_confirmed()
        assert (await call.info(b"PAUSE RTSP/1.0\r\n", "Application/MANSRTSP")).status == 200
        answered = await call.bye()
        assert answered is not None
        assert answered.status == 200
        assert await calls[0].wait_ended() == "bye"
        assert await call.wait_ended() == "local"
        assert (server.calls(), client.calls()) == ([], [])


async def test_a_refused_call_says_by_what() -> None:
    async with SipNode(lambda tx: tx.respond(486)) as server, SipNode(lambda tx: None) as client:
        with pytest.raises(CallRefused) as refused:
            await client.invite(make_request("INVITE", THEM, from_=US, to=THEM), here(server, "udp"))
        assert refused.value.response.status == 486


async def test_a_call_that_is_given_up_is_cancelled() -> None:
    cancelled = asyncio.Event()
    rings = asyncio.Event()

    def ring(transaction: ServerTransaction) -> None:
        transaction.on_cancel = lambda _: cancelled.set()
        transaction.respond(180)

    async with SipNode(ring) as server, SipNode(lambda tx: None) as client:
        invite = make_request("INVITE", THEM, from_=US, to=THEM)
        task = asyncio.ensure_future(client.invite(invite, here(server, "udp"), on_provisional=lambda _: rings.set()))
        await rings.wait()
        task.cancel()
        await cancelled.wait()


async def test_a_call_outlives_a_restart_by_its_record() -> None:
    ended: list[str] = []

    def answer(transaction: ServerTransaction) -> None:
        call = server.answer(transaction, body=SDP)
        call.on_end = ended.append

    async with SipNode(answer) as server:
        async with SipNode(lambda tx: None, NodeConfig()) as client:
            call = await client.invite(make_request("INVITE", THEM, from_=US, to=THEM), here(server, "udp"))
            record = call.record()
        async with SipNode(lambda tx: None) as again:
            restored = again.restore(record)
            assert restored.body == SDP
            response = await restored.bye()
            assert response is not None
            assert response.status == 200
        assert ended == ["bye"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("qop", [False, True])
async def test_a_challenge_is_met_once_and_a_wrong_password_is_not_tried_again(transport: str, qop: bool) -> None:
    authority = Authority("3402000000", now=asyncio.get_running_loop().time, algorithms=("MD5", "SHA-256"), qop=qop)

    def register(transaction: ServerTransaction) -> None:
        values = transaction.request.headers.all("Authorization")
        if authority.check(values, "REGISTER", lambda name: "right" if name == "admin" else None).good:
            transaction.respond(200)
        else:
            transaction.respond(401, headers=[("WWW-Authenticate", each) for each in authority.challenges()])

    async with SipNode(register, NodeConfig(host="0.0.0.0")) as server, SipNode(lambda tx: None) as client:
        for password, status, sent in (("right", 200, 2), ("wrong", 401, 2)):
            before = server.counters["requests"]
            request = make_request("REGISTER", US, from_=THEM, to=THEM)
            response = await client.request(
                request, here(server, transport), credentials=Credentials("admin", password)
            )
            assert response.status == status
            assert server.counters["requests"] - before == sent


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_subscription_hears_and_ends(transport: str) -> None:
    notifiers: list[Notifier] = []
    heard: list[bytes] = []

    def grant(transaction: ServerTransaction) -> None:
        notifiers.append(server.notifier(transaction, expires=600))

    async with SipNode(grant) as server, SipNode(lambda tx: None) as client:
        request = make_request("SUBSCRIBE", THEM, from_=US, to=THEM, headers=[("Event", "presence")])
        subscription = await client.subscribe(
            request, here(server, transport), lambda tx: heard.append(tx.request.body)
        )
        assert subscription.active
        assert (await notifiers[0].notify(b"<Notify/>", "Application/MANSCDP+xml")).status == 200
        assert heard == [b"<Notify/>"]
        await subscription.stop()
        assert await notifiers[0].wait_ended() == "unsubscribed"


async def test_a_request_that_comes_as_the_node_closes_leaves_nothing_behind_that_never_ran(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Its task is cancelled before its first step."""
    begun: list[ServerTransaction] = []

    async def answer(transaction: ServerTransaction) -> None:
        begun.append(transaction)

    held: list[ServerTransaction] = []
    async with SipNode(held.append) as server, SipNode(lambda tx: None) as client:
        request = make_request("MESSAGE", THEM, from_=US, to=THEM)
        asking = asyncio.create_task(client.request(request, here(server, "udp")))
        async with asyncio.timeout(5):
            while not held:  # noqa: ASYNC110 - the handler is no coroutine
                await asyncio.sleep(0.01)
        server.handle(answer, held[0])
        await server.__aexit__(None, None, None)
        asking.cancel()
    gc.collect()
    assert not begun
    assert not [each for each in recwarn if "never awaited" in str(each.message)]
