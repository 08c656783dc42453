"""The four machines (RFC 3261 §17, RFC 6026) with a virtual clock, and under loss, doubling and reordering."""

import itertools

import pytest

from signaling.sip.layer import ServerTransaction, server_key
from signaling.sip.message import Request, parse
from signaling.sip.stack import StackConfig
from signaling.sip.transaction import (
    CLIENT,
    COMMANDS,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    IllegalMove,
    In,
    State,
    Table,
    step,
)
from tests.unit.sip.wire import Wire, request, status

TABLES = {"invite client": INVITE_CLIENT, "client": CLIENT, "invite server": INVITE_SERVER, "server": SERVER}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_of_a_table_is_reached_and_left(name: str) -> None:
    table: Table = TABLES[name]
    targets = {after for after, _ in table.values()}
    sources = {state for state, _ in table}
    assert targets - sources == {State.TERMINATED}
    assert len(sources - targets) <= 1  # the first one


@pytest.mark.parametrize("name", TABLES)
def test_the_wire_never_breaks_a_machine_and_a_wrong_command_does(name: str) -> None:
    for state in State:
        for happened in In:
            if (state, happened) in TABLES[name] or happened not in COMMANDS:
                step(TABLES[name], state, happened)
            else:
                with pytest.raises(IllegalMove):
                    step(TABLES[name], state, happened)


def test_an_unanswered_request_is_sent_by_timer_e_and_given_up_by_timer_f() -> None:
    wire, outcomes = Wire(), list[object]()
    wire.drop = lambda data: data.startswith(b"SIP/2.0")
    wire.a.exchange(request(), wire.to_b, outcomes.append)
    wire.run()
    sent = wire.arrived("b", "MESSAGE")
    waits = [round(after - before, 2) for before, after in itertools.pairwise(sent)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert outcomes == ["timeout"]
    assert len(wire.a.transactions) == 0


def test_an_unanswered_invite_is_sent_by_timer_a_and_given_up_by_timer_b() -> None:
    wire, outcomes = Wire(), list[object]()
    wire.a.invite(request("INVITE"), wire.to_b, outcomes.append)
    wire.run()
    sent = wire.arrived("b", "INVITE")
    assert [round(b - a, 2) for a, b in itertools.pairwise(sent)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert outcomes == ["timeout"]


def test_nothing_is_repeated_over_tcp() -> None:
    wire, outcomes = Wire(transport="tcp"), list[object]()
    wire.a.exchange(request(), wire.to_b, outcomes.append)
    wire.run()
    assert len(wire.arrived("b", "MESSAGE")) == 1
    assert outcomes == ["timeout"]


def test_a_refused_invite_is_acknowledged_in_its_transaction_and_forgotten() -> None:
    wire, outcomes = Wire(lambda tx: tx.respond(486)), list[object]()
    lost = iter([True, True, False])
    wire.drop = lambda data: data.startswith(b"ACK") and next(lost, False)
    wire.a.invite(request("INVITE"), wire.to_b, outcomes.append)
    wire.run(60)
    assert [status(each) for each in outcomes] == [486]
    assert len(wire.arrived("a", "SIP/2.0 486")) == 3  # timer G, twice, until an ACK came through
    assert len(wire.arrived("b", "ACK")) == 1
    assert len(wire.a.transactions) == len(wire.b.transactions) == 0


def test_a_second_final_answer_is_an_error_of_ours() -> None:
    caught: list[ServerTransaction] = []
    wire = Wire(caught.append)
    wire.a.exchange(request(), wire.to_b, lambda _: None)
    wire.run(0.1)
    caught[0].respond(200)
    with pytest.raises(IllegalMove):
        caught[0].respond(404)


def test_a_request_without_the_cookie_is_known_by_its_fields() -> None:
    """RFC 3261 §17.2.3, the fallback for RFC 2543."""
    seen: list[ServerTransaction] = []
    wire = Wire(seen.append)
    data = (
        b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h:5060;branch=1\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\n"
        b"Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    wire.b.receive(data, wire.to_a)
    wire.b.receive(data, wire.to_a)
    assert len(seen) == 1
    seen[0].respond(486)
    ack = data.replace(b"INVITE", b"ACK").replace(b"To: <sip:a@b>", b"To: <sip:a@b>;tag=" + seen[0].tag.encode())
    wire.b.receive(ack, wire.to_a)
    assert seen[0].state is State.CONFIRMED
    first = parse(data)
    assert isinstance(first, Request)
    assert server_key(first, "INVITE")[0] == "2543"


def test_two_devices_behind_one_nat_with_the_same_branch_are_two() -> None:
    seen: list[ServerTransaction] = []
    wire = Wire(seen.append)
    for call in (b"one", b"two"):
        wire.b.receive(
            b"REGISTER sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.64:5060;branch=z9hG4bK1\r\n"
            b"From: <sip:x@y>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: " + call + b"\r\nCSeq: 1 REGISTER\r\n\r\n",
            wire.to_a,
        )
    assert len(seen) == 2


def test_a_flood_of_requests_is_bounded_and_answered_503() -> None:
    wire = Wire(config=StackConfig(agent="", max_transactions=10))
    for number in range(50):
        wire.b.receive(
            b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK%d\r\n"
            b"From: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n" % number,
            wire.to_a,
        )
    assert len(wire.b.transactions) == 10
    assert wire.b.counters["refused_full"] == 40
    assert len([send for send in wire.b.take() if send.data.startswith(b"SIP/2.0 503")]) == 40


@pytest.mark.parametrize("seed", range(12))
def test_requests_get_through_a_wire_that_loses_doubles_and_reorders(seed: int) -> None:
    handled: list[str] = []

    def answer(transaction: ServerTransaction) -> None:
        handled.append(transaction.request.call_id)
        transaction.respond(200)

    wire = Wire(answer, seed=seed, loss=0.3, double=0.3, late=0.3)
    outcomes: list[object] = []
    for _ in range(30):
        wire.a.exchange(request(), wire.to_b, outcomes.append)
    wire.run(200)
    assert [status(each) for each in outcomes].count(200) == 30
    assert len(handled) == len(set(handled)) == 30  # each exactly once
    assert len(wire.a.transactions) == len(wire.b.transactions) == 0
    assert wire.b.timers.next() is None


def asked(number: int, method: str = "OPTIONS", body: bytes = b"") -> bytes:
    head = (
        f"{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{number}\r\nFrom: <sip:x@y>;tag=1\r\n"
        f"To: <sip:a@b>\r\nCall-ID: c{number}\r\nCSeq: 1 {method}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def test_a_flood_of_theirs_leaves_us_our_own_requests() -> None:
    wire = Wire(config=StackConfig(agent="", max_transactions=10))
    for number in range(50):
        wire.b.receive(asked(number), wire.to_a)
    outcomes: list[object] = []
    wire.b.exchange(request("OPTIONS"), wire.to_a, outcomes.append)
    assert len(wire.b.transactions) == 11


def test_a_stranger_who_is_refused_hears_it_once_and_nobody_remembers_him() -> None:
    """Timer G would repeat it eleven times to whoever's address he gave (RFC 3261 §8.2.7)."""
    wire = Wire(lambda tx: tx.refuse(403))
    wire.b.receive(asked(1, "INVITE"), wire.to_a)
    sent = wire.b.take()
    wire.run(60)
    sent += wire.b.take()
    assert [send.data.split(b"\r\n")[0] for send in sent] == [b"SIP/2.0 403 Forbidden"]
    assert len(wire.b.transactions) == 0
    wire.b.receive(asked(1, "INVITE"), wire.to_a)  # he repeats it: the same again
    assert wire.b.take()[0].data == sent[0].data
    wire.b.receive(asked(1, "ACK"), wire.to_a)
    assert wire.b.counters["strays"] == 1


def test_refusing_after_an_answer_is_an_error_of_ours() -> None:
    wire = Wire()
    made: list[ServerTransaction] = []
    wire.b._on_request = made.append
    wire.b.receive(asked(1), wire.to_a)
    made[0].respond(200)
    with pytest.raises(IllegalMove):
        made[0].refuse(403)


def test_a_crowd_is_remembered_for_a_shorter_time() -> None:
    wire = Wire(lambda tx: tx.respond(403), config=StackConfig(agent="", max_transactions=100))
    for number in range(100):
        wire.b.receive(asked(number), wire.to_a)
    wire.run(6)
    assert len(wire.b.transactions) <= 26
    wire.run(33)
    assert len(wire.b.transactions) == 0


def test_bodies_are_not_kept_with_the_answers() -> None:
    made: list[ServerTransaction] = []

    def answer(tx: ServerTransaction) -> None:
        tx.respond(200)
        made.append(tx)
        assert len(tx.request.body) == 60_000  # whoever answered may still read it now

    wire = Wire(answer)
    wire.b.receive(asked(1, "MESSAGE", b"x" * 60_000), wire.to_a)
    wire.run(1)
    assert len(wire.b.transactions) == 1
    assert made[0].request.body == b""
