"""INVITE calls with a virtual clock: acknowledgement, CANCEL, session timers, forks, records."""

import itertools
import json

import pytest

from signaling.sip.address import SipError
from signaling.sip.call import Call, Phase
from signaling.sip.dialog import Dialog
from signaling.sip.layer import Proto, ServerTransaction
from signaling.sip.message import Request, Response, parse
from tests.unit.sip.wire import Wire, request, status

SDP = b"v=0\r\n"


class Rig:
    """The platform calls; the device answers at once unless told otherwise."""

    def __init__(self, *, transport: Proto = "udp", seed: int = 0, loss: float = 0.0, answer: bool = True) -> None:
        self.wire = Wire(self.handle, transport=transport, seed=seed, loss=loss, double=loss, late=loss)
        self.answer = answer
        self.came: list[ServerTransaction] = []
        self.theirs: Call | None = None
        self.outcomes: list[object] = []

    def handle(self, transaction: ServerTransaction) -> None:
        self.came.append(transaction)
        if transaction.method == "INVITE" and self.answer:
            self.theirs = self.wire.b.answer(transaction, body=SDP)

    def call(self, invite: Request | None = None) -> Call:
        self.wire.a.invite(invite or request("INVITE"), self.wire.to_b, self.outcomes.append)
        self.wire.run(10)
        assert isinstance(self.outcomes[0], Call)
        return self.outcomes[0]


@pytest.mark.parametrize("seed", range(12))
def test_a_call_stands_and_ends_on_both_sides_however_bad_the_wire(seed: int) -> None:
    rig = Rig(seed=seed, loss=0.25)
    rig.wire.a.invite(request("INVITE"), rig.wire.to_b, rig.outcomes.append)
    rig.wire.run(31)
    ours, theirs = rig.outcomes[0], rig.theirs
    assert isinstance(ours, Call)
    assert theirs is not None
    assert (ours.phase, theirs.phase) == (Phase.CONFIRMED, Phase.CONFIRMED)
    ours.bye()
    rig.wire.run(100)
    assert (ours.phase, ours.why, theirs.phase, theirs.why) == (Phase.ENDED, "local", Phase.ENDED, "bye")
    assert rig.wire.a.calls() == rig.wire.b.calls() == []
    assert len(rig.wire.a.transactions) == len(rig.wire.b.transactions) == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_2xx_is_repeated_until_its_ack_and_the_call_hung_up_without(transport: Proto) -> None:
    rig = Rig(transport=transport)
    rig.wire.drop = lambda data: data.startswith(b"ACK")
    rig.call()
    rig.wire.run(60)
    assert rig.theirs is not None
    assert (rig.theirs.phase, rig.theirs.why) == (Phase.ENDED, "no_ack")
    times = rig.wire.arrived("a", "SIP/2.0 200")
    assert [round(b - a, 2) for a, b in itertools.pairwise(times[:5])] == [0.5, 1.0, 2.0, 4.0]
    assert isinstance(rig.outcomes[0], Call)
    assert rig.outcomes[0].why == "bye"


def test_a_call_is_cancelled_once_it_rings() -> None:
    rig = Rig(answer=False)
    inviting = rig.wire.a.invite(request("INVITE"), rig.wire.to_b, rig.outcomes.append)
    inviting.cancel()
    rig.wire.run(2)
    assert rig.wire.arrived("b", "CANCEL") == []  # not before a provisional answer (RFC 3261 §9.1)
    rig.came[0].respond(180)
    rig.wire.run(60)
    assert len(rig.wire.arrived("b", "CANCEL")) == 1
    assert [status(each) for each in rig.outcomes] == [487]
    assert rig.came[0].answered
    assert len(rig.wire.b.transactions) == 0


def test_an_answer_that_crosses_a_cancel_is_acknowledged_and_hung_up() -> None:
    rig = Rig()
    rig.wire.a.invite(request("INVITE"), rig.wire.to_b, rig.outcomes.append).cancel()
    rig.wire.run(60)
    assert len(rig.wire.arrived("b", "ACK")) == 1
    assert len(rig.wire.arrived("b", "BYE")) == 1
    assert rig.theirs is not None
    assert rig.theirs.why == "bye"
    assert rig.outcomes == ["timeout"]


def test_an_invite_that_only_rings_is_given_up_in_time() -> None:
    rig = Rig(answer=False)
    rig.wire.a.invite(request("INVITE"), rig.wire.to_b, rig.outcomes.append, limit=20)
    rig.wire.run(0.1)
    rig.came[0].respond(101, "Dialog Establishement")
    rig.wire.run(100)
    assert rig.outcomes == ["timeout"]
    assert len(rig.wire.arrived("b", "CANCEL")) == 1
    assert len(rig.wire.a.transactions) == 0


def test_a_second_branch_that_answers_is_hung_up() -> None:
    rig = Rig()
    call = rig.call()
    invite = rig.came[0].request
    # The device's stack is not asked: another branch answers.
    fork = Response(status=200, reason="OK", headers=invite.headers.copy())
    fork.headers.set("To", f"{invite.headers.get('To')};tag=another")
    fork.headers.set("Contact", "<sip:x@10.0.0.3>")
    rig.wire.a.receive(fork.encode(), rig.wire.to_b)
    sent = [parse(send.data) for send in rig.wire.a.take()]
    assert [each.summary for each in sent] == ["ACK", "BYE"]
    assert {each.to.tag for each in sent} == {"another"}
    assert call.alive


def test_requests_of_unknown_dialogs_get_481_and_old_numbers_500() -> None:
    rig = Rig()
    call = rig.call()
    for method in ("BYE", "INFO", "UPDATE", "INVITE"):
        stranger = Dialog.restored(call.dialog.record() | {"remote_tag": "unknown"})
        outcome: list[object] = []
        rig.wire.a.exchange(stranger.request(method), rig.wire.to_b, outcome.append)
        rig.wire.run(1)
        assert [status(each) for each in outcome] == [481]
    first: list[object] = []
    call.dialog.local_cseq += 10
    call.request("INFO", first.append)
    rig.wire.run(1)
    call.dialog.local_cseq -= 5
    call.request("INFO", first.append)
    rig.wire.run(1)
    assert [status(each) for each in first] == [200, 500]


def test_a_reinvite_changes_both_descriptions() -> None:
    rig = Rig()
    call = rig.call()
    outcome: list[object] = []
    assert rig.theirs is not None
    rig.theirs.on_request = lambda tx: rig.theirs.accept(tx, body=b"v=0\r\ns=2\r\n") if rig.theirs else None
    call.reinvite(outcome.append, body=b"v=0\r\ns=1\r\n")
    rig.wire.run(40)
    assert [status(each) for each in outcome] == [200]
    assert (call.body, rig.theirs.body) == (b"v=0\r\ns=2\r\n", b"v=0\r\ns=1\r\n")
    assert len(rig.wire.arrived("b", "ACK")) == 2
    assert rig.theirs.phase is Phase.CONFIRMED


def with_timer(seconds: int, supported: bool = True) -> Request:
    invite = request("INVITE")
    invite.headers.add("Session-Expires", str(seconds))
    if supported:
        invite.headers.add("Supported", "timer")
    return invite


def test_a_session_is_refreshed_at_half_time() -> None:
    """RFC 4028 §10."""
    rig = Rig()
    call = rig.call(with_timer(100))
    rig.wire.run(300)
    assert call.alive
    assert len(rig.wire.arrived("b", "UPDATE")) >= 4


def test_a_session_whose_refresh_stays_away_ends() -> None:
    rig = Rig()
    rig.call(with_timer(100))
    rig.wire.drop = lambda data: data.startswith(b"UPDATE")
    rig.wire.run(200)
    assert rig.theirs is not None
    assert (rig.theirs.phase, rig.theirs.why) == (Phase.ENDED, "expired")


def test_an_interval_that_is_too_small_is_raised() -> None:
    """RFC 4028 §7.3: 422 with Min-SE, and the INVITE again."""
    rig = Rig()
    call = rig.call(with_timer(30))
    assert len(rig.wire.arrived("a", "SIP/2.0 422")) == 1
    assert call.response is not None
    assert call.response.headers.get("Session-Expires") == "90;refresher=uac"


def test_a_call_lives_on_from_its_record() -> None:
    rig = Rig()
    call = rig.call()
    record = json.loads(json.dumps(call.record()))
    fresh = Wire()
    again = fresh.a.restore(record, rig.wire.to_b)
    assert again.dialog == call.dialog
    assert fresh.a.call(again.dialog.call_id) is again
    again.bye()
    for send in fresh.a.take():
        rig.wire.b.receive(send.data, rig.wire.to_a)
    assert rig.theirs is not None
    assert rig.theirs.why == "bye"


@pytest.mark.parametrize(
    "spoilt",
    [{"version": 2}, {"routes": "x"}, {"target": "no uri"}, {"call_id": 5}, {"local_cseq": "1"}, {"local_tag": ""}],
)
def test_a_record_that_is_none_is_refused(spoilt: dict[str, object]) -> None:
    good = Rig().call().record()
    with pytest.raises(SipError):
        Wire().a.restore(good | {"dialog": good["dialog"] | spoilt})
    with pytest.raises(SipError):
        Wire().a.restore({})
    with pytest.raises(SipError):
        Wire().a.restore({"dialog": good["dialog"]})


def test_a_route_set_is_followed_loose_and_strict() -> None:
    """RFC 3261 §12.2.1.1."""
    dialog = Dialog("c", "l", "r", "sip:a@b", "sip:c@d", "sip:t@h", routes=("<sip:p1;lr>", "<sip:p2;lr>"))
    loose = dialog.request("BYE")
    assert (loose.uri, loose.headers.all("Route")) == ("sip:t@h", ["<sip:p1;lr>", "<sip:p2;lr>"])
    dialog.routes = ("<sip:p1>", "<sip:p2;lr>")
    strict = dialog.request("BYE")
    assert (strict.uri, strict.headers.all("Route")) == ("sip:p1", ["<sip:p2;lr>", "<sip:t@h>"])
