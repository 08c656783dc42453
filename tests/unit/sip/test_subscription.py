"""Subscriptions of both sides (RFC 6665), as devices keep them."""

import itertools

import pytest

from signaling.sip.layer import ServerTransaction
from signaling.sip.message import Request, make_request, parse
from signaling.sip.subscription import Notifier, Phase, Subscriber
from tests.unit.sip.wire import OURS, THEIRS, Wire, status


class Rig:
    def __init__(self, *, expires: str | None = "600", most: int = 3_600, loss: float = 0.0, seed: int = 0) -> None:
        self.wire = Wire(self.handle, loss=loss, double=loss, late=loss, seed=seed)
        self.most = most
        self.notifier: Notifier | None = None
        self.heard: list[bytes] = []
        request = make_request("SUBSCRIBE", THEIRS, from_=OURS, to=THEIRS, body=b"<Query/>", content_type="text/xml")
        request.headers.add("Event", "presence")
        if expires is not None:
            request.headers.add("Expires", expires)
        self.subscriber: Subscriber = self.wire.a.subscribe(
            request, self.wire.to_b, lambda tx: self.heard.append(tx.request.body)
        )

    def handle(self, transaction: ServerTransaction) -> None:
        self.notifier = self.wire.b.notifier(transaction, expires=self.most)

    def notify(self, body: bytes) -> int | str:
        assert self.notifier is not None
        done: list[object] = []
        self.notifier.notify(done.append, body=body, content_type="text/xml")
        self.wire.run(10)
        return status(done[0])


def test_a_subscription_hears_and_is_refreshed_before_it_runs_out() -> None:
    rig = Rig(expires="100")
    rig.wire.run(1)
    assert rig.notify(b"one") == 200
    rig.wire.run(1_000)
    assert rig.subscriber.phase is Phase.ACTIVE
    assert rig.notify(b"two") == 200
    assert rig.heard == [b"one", b"two"]
    times = rig.wire.arrived("b", "SUBSCRIBE")
    assert 11 <= len(times) <= 14
    assert max(after - before for before, after in itertools.pairwise(times)) < 100


@pytest.mark.parametrize("seed", range(6))
def test_a_subscription_stands_on_a_bad_wire(seed: int) -> None:
    rig = Rig(expires="120", loss=0.25, seed=seed)
    rig.wire.run(600)
    assert rig.subscriber.phase is Phase.ACTIVE
    assert rig.notifier is not None
    assert rig.notifier.active


def test_unsubscribing_ends_both_sides() -> None:
    rig = Rig()
    rig.wire.run(1)
    rig.subscriber.stop()
    rig.wire.run(1)
    assert (rig.subscriber.phase, rig.subscriber.why) == (Phase.ENDED, "stopped")
    assert rig.notifier is not None
    assert (rig.notifier.active, rig.notifier.why) == (False, "unsubscribed")


def test_a_subscriber_that_went_away_is_forgotten() -> None:
    rig = Rig(expires="60")
    rig.wire.run(1)
    rig.wire.drop = lambda data: b"SUBSCRIBE" in data
    rig.wire.run(120)
    assert rig.notifier is not None
    assert (rig.notifier.active, rig.notifier.why) == (False, "timeout")
    assert rig.subscriber.phase is Phase.ENDED


def test_a_subscribe_without_expires_is_granted_ours() -> None:
    """QUIRKS 9: Huawei."""
    wire = Wire(lambda tx: wire.b.notifier(tx, expires=300))
    plain = (
        b"SUBSCRIBE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\n"
        b"Call-ID: c\r\nCSeq: 1 SUBSCRIBE\r\nEvent: Catalog\r\n\r\n"
    )
    wire.b.receive(plain, wire.to_a)
    assert any(b"Expires: 300" in send.data for send in wire.b.take())


def test_a_notify_before_the_200_is_taken() -> None:
    wire = Wire()
    heard: list[bytes] = []
    request = make_request("SUBSCRIBE", THEIRS, from_=OURS, to=THEIRS)
    subscriber = wire.a.subscribe(request, wire.to_b, lambda tx: heard.append(tx.request.body))
    sent = wire.a.take()[0].data
    first = parse(sent)
    assert isinstance(first, Request)
    notify = (
        b"NOTIFY sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK9\r\nFrom: <sip:d@h>;tag=dev\r\nTo: <sip:p@h>;tag="
        + (first.from_.tag or "").encode()
        + b"\r\nCall-ID: "
        + first.call_id.encode()
        + b"\r\nCSeq: 1 NOTIFY\r\n\r\n<Notify/>"
    )
    wire.a.receive(notify, wire.to_b)
    assert heard == [b"<Notify/>"]
    assert subscriber.phase is Phase.ACTIVE


def test_a_refused_subscription_says_so() -> None:
    wire = Wire(lambda tx: tx.respond(489))
    subscriber = wire.a.subscribe(make_request("SUBSCRIBE", THEIRS, from_=OURS, to=THEIRS), wire.to_b, lambda tx: None)
    wire.run(1)
    assert (subscriber.phase, subscriber.why) == (Phase.ENDED, "refused: 489 Bad Event")
