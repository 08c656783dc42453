"""Credentials and the Transport header."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.rtsp.auth import Authenticator, Credentials, Guard, digest_response, parse_challenges, parse_params
from signaling.rtsp.transport import Transport, parse_transports


def test_digest_is_that_of_the_standard() -> None:
    """RFC 2617 §3.5, the worked example."""
    params = {
        "realm": "testrealm@host.com",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "uri": "/dir/index.html",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    answer = digest_response(username="Mufasa", password="Circle Of Life", method="GET", params=params)
    assert answer == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(("password", "admitted"), [("right", True), ("wrong", False), ("", False)])
def test_digest_admits_the_right_password_only(password: str, admitted: bool) -> None:
    guard = Guard("admin", "right")
    params = parse_params(guard.challenge()) | {"uri": "rtsp://h/1"}
    response = digest_response(username="admin", password=password, method="DESCRIBE", params=params)
    header = (
        f'Digest username="admin", realm="{guard.realm}", nonce="{guard.nonce}", uri="rtsp://h/1", '
        f'response="{response}"'
    )
    assert guard.admits(header, "DESCRIBE") is admitted
    assert guard.admits(header, "SETUP") is False


def test_digest_refuses_another_nonce() -> None:
    guard, other = Guard("admin", "right"), Guard("admin", "right")
    params = parse_params(other.challenge()) | {"uri": "rtsp://h/1", "username": "admin"}
    params["response"] = digest_response(username="admin", password="right", method="PLAY", params=params)
    assert not guard.admits("Digest " + ", ".join(f'{key}="{value}"' for key, value in params.items()), "PLAY")


def test_basic_admits_the_right_password_only() -> None:
    guard = Guard("admin", "right", scheme="basic")
    good = "Basic " + base64.b64encode(b"admin:right").decode()
    assert guard.admits(good, "PLAY")
    assert not guard.admits("Basic " + base64.b64encode(b"admin:left").decode(), "PLAY")
    assert not guard.admits(None, "PLAY")


def test_a_guard_never_shows_its_password() -> None:
    assert "right" not in repr(Guard("admin", "right"))


@given(st.text(max_size=200))
def test_any_authorization_text_is_answered_without_a_crash(text: str) -> None:
    assert not Guard("admin", "right").admits(text, "PLAY")


@pytest.mark.parametrize("value", ["", "Bearer x", "Digest", "Digestrealm=x", "Basic,Digest,Basic", "Digest nonce="])
def test_challenges_that_make_no_sense_are_left_out(value: str) -> None:
    assert [each.scheme for each in parse_challenges([value])] in ([], ["basic"], ["basic", "basic"])


def test_several_challenges_in_one_field_are_taken_apart() -> None:
    md5, sha = ('Digest realm="c", nonce="d", algorithm=MD5', 'Digest realm="e", nonce="f", algorithm=SHA-256')
    field = f'Basic realm="a, Digest b", {md5}, {sha}'
    found = parse_challenges([field])
    assert [each.params.get("realm") for each in found if each.scheme == "digest"] == ["e", "c"]


@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_challenge_is_met_or_left_out(values: list[str]) -> None:
    authenticator = Authenticator(Credentials("u", "p"))
    if authenticator.challenged([*values, 'Digest realm="x", nonce="y"']) is not None:
        assert authenticator.header("PLAY", "rtsp://h/") is not None


def test_transport_of_ffmpeg_and_of_players_is_read() -> None:
    assert parse_transports("RTP/AVP/TCP;unicast;interleaved=0-1") == [Transport(True, True, (0, 1))]
    assert parse_transports("RTP/AVP;multicast;client_port=1-2, RTP/AVP/TCP;interleaved=4") == [
        Transport(False, False, None, client_port=(1, 2)),
        Transport(True, True, (4, 5)),
    ]


@pytest.mark.parametrize("value", ["", "RAW/RAW/UDP", "RTP/AVP/TCP;interleaved=300-301", "RTP/AVP/TCP;interleaved=a"])
def test_a_transport_that_makes_no_sense_is_left_out(value: str) -> None:
    assert parse_transports(value) == []
