"""A socket's queue, presence, and the messages' limits: without a socket."""

import pytest

from hub.api.clients import QUEUE, Client
from hub.domain.roles import Role
from hub.services.accounts import SignedInAs
from hub.services.context import Actor
from hub.services.presence import STALE_MS, Presence
from signaling import wire
from signaling.transport.ws import socket_url


def client(role: Role = Role.DEPARTMENT, unit: str = "dept-1") -> Client:
    actor = Actor(id="u-1", username="u", name="n", role=role, unit=unit)
    return Client(SignedInAs(actor, "hash", 10), "token", seq=0)


async def test_a_full_queue_lets_the_client_go_and_counts_what_was_dropped() -> None:
    slow = client()
    for n in range(QUEUE):
        slow.send(wire.Pong(n=n, now=0))
    assert not slow.over.done()
    slow.send(wire.Pong(n=0, now=0))
    slow.send(wire.Pong(n=0, now=0))
    assert slow.over.result() == "too_slow"
    assert slow.dropped == 2
    assert slow.queue.qsize() == QUEUE


async def test_the_first_reason_to_say_bye_counts() -> None:
    one = client()
    one.finish("signed_out")
    one.finish("too_slow")
    assert one.over.result() == "signed_out"


@pytest.mark.parametrize(
    ("role", "unit", "rings"),
    [(Role.DEPARTMENT, "dept-1", True), (Role.DEPARTMENT, "dept-2", False), (Role.AUDITOR, "dept-1", False)],
)
async def test_calls_ring_at_people_of_the_unit_who_may_join(role: Role, unit: str, rings: bool) -> None:
    assert client(role, unit).takes_calls_of("dept-1") is rings


class Rig:
    def __init__(self) -> None:
        self.now = 0
        self.told = 0
        self.presence = Presence("a", lambda: self.now)
        self.presence.changed = self._count

    def _count(self) -> None:
        self.told += 1


def test_a_person_with_several_sockets_counts_once_until_the_last_is_closed() -> None:
    rig = Rig()
    for _ in range(3):
        rig.presence.came("u-1", "dept-1")
    assert rig.presence.by_unit() == {"dept-1": 1}
    for _ in range(3):
        assert rig.presence.is_online("u-1")
        rig.presence.went("u-1", "dept-1")
    assert rig.presence.by_unit() == {}
    assert rig.told == 2


def test_other_processes_count_until_they_fall_silent() -> None:
    rig = Rig()
    rig.presence.came("u-1", "dept-1")
    rig.presence.heard({"presence": "b", "people": {"u-1": "dept-1", "u-2": "dept-1"}})
    assert rig.presence.by_unit() == {"dept-1": 2}
    rig.now = STALE_MS + 1
    rig.presence.forget_stale()
    assert rig.presence.by_unit() == {"dept-1": 1}


def test_ones_own_report_and_rubbish_are_passed_over() -> None:
    rig = Rig()
    for message in ({"presence": "a", "people": {"u-9": "x"}}, {"presence": 1, "people": {}}, {"presence": "b"}):
        rig.presence.heard(message)
    assert rig.presence.by_unit() == {}


def test_a_report_is_understood_by_another_process() -> None:
    rig, other = Rig(), Presence("b", lambda: 0)
    rig.presence.came("u-1", "dept-1")
    other.heard(rig.presence.report())
    assert other.by_unit() == {"dept-1": 1}


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1", "ws://h:1/ws"),
        ("https://h/", "wss://h/ws"),
        ("ws://h/ws", "ws://h/ws"),
    ],
)
def test_the_clients_address(base: str, url: str) -> None:
    assert socket_url(base) == url


@pytest.mark.parametrize("base", ["ftp://h", "h:1", ""])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(wire.WireError):
        socket_url(base)


@pytest.mark.parametrize("size", [wire.MAX_CLIENT_BYTES, wire.MAX_CLIENT_BYTES + 1])
def test_the_limit_counts_bytes_not_characters(size: int) -> None:
    text = "号" * (size // 3) + " " * (size % 3)
    with pytest.raises(wire.WireError) as refused:
        wire.parse_client(text)
    assert refused.value.id == ("ws.too_long" if size > wire.MAX_CLIENT_BYTES else "ws.not_understood")
