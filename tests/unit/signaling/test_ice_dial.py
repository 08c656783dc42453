"""The controlling side of ICE, against the lite agent that it is made for."""

import itertools

import pytest

from signaling.ice import Credentials, IceLite, StunError, parse_stun
from signaling.ice_dial import CONSENT_MS, MAX_SENT, IceDialing

HERE = ("192.0.2.1", 4_000)


def pair(*targets: bytes) -> tuple[IceDialing, IceLite]:
    ours, theirs = Credentials.random(), Credentials.random()
    return IceDialing.to(ours, theirs, list(targets), 0), IceLite(theirs, ours.ufrag, 0)


def test_the_first_target_that_answers_is_selected_and_asked_on() -> None:
    dialing, lite = pair(b"dead", b"good")
    assert [path for path, _ in dialing.checks(0)] == [b"dead", b"good"]
    checks = dict(dialing.checks(20))
    answer = parse_stun(lite.request(parse_stun(checks[b"good"]), b"us", HERE, 21))
    dialing.response(answer, b"good", 22)
    assert (dialing.selected, dialing.heard_at, lite.selected) == (b"good", 22, b"us")
    assert dialing.checks(22 + CONSENT_MS - 1) == []
    assert [path for path, _ in dialing.checks(22 + CONSENT_MS)] == [b"good"]


def test_checks_come_further_and_further_apart_while_nobody_answers() -> None:
    dialing, _ = pair(b"dead")
    sent = [now for now in range(0, 3_000, 5) if dialing.checks(now)]
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert gaps[:5] == [20, 40, 80, 160, 320]
    assert set(gaps[5:]) == {400}
    assert len(dialing._sent) <= MAX_SENT


def test_an_answer_counts_once_from_the_asked_address_and_with_the_right_password() -> None:
    dialing, lite = pair(b"good")
    ((_, check),) = dialing.checks(0)
    answer = parse_stun(lite.request(parse_stun(check), b"us", HERE, 1))
    with pytest.raises(StunError, match="transaction"):
        dialing.response(answer, b"elsewhere", 2)
    stranger = IceLite(Credentials(lite.local.ufrag, "x" * 24), lite.remote_ufrag, 0)
    dialing.remote_pwd, kept = stranger.local.pwd, dialing.remote_pwd
    with pytest.raises(StunError, match="integrity"):
        dialing.response(answer, b"good", 2)
    dialing.remote_pwd = kept
    dialing.response(answer, b"good", 3)
    with pytest.raises(StunError, match="transaction"):
        dialing.response(answer, b"good", 4)
    assert dialing.heard_at == 3


def test_nobody_may_check_us() -> None:
    dialing, _ = pair(b"good")
    ((_, check),) = dialing.checks(0)
    with pytest.raises(StunError, match="kind"):
        dialing.request(parse_stun(check), b"good", HERE, 1)
