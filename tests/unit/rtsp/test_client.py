"""The client of a session, driven by hand: what it asks, what it makes of answers, and when it gives up."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.rtsp.auth import Credentials, Guard
from signaling.rtsp.client import RtspClient
from signaling.rtsp.describe import presentation
from signaling.rtsp.events import Described, Ended, Event, Failed, Playing, Redirected, TransportRefused, Why
from signaling.rtsp.message import (
    Decoder,
    Headers,
    Interleaved,
    Request,
    Response,
    encode_interleaved,
    encode_request,
    encode_response,
)
from signaling.rtsp.quirks import STRICT, TOLERANT, Quirk
from signaling.rtsp.session import IllegalMove, Move, Phase, move

URL = "rtsp://cam.example:8554/live?channel=1"
SDP = (
    b"v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"
    b"m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"
)


class Talk:
    """A client and the server's end of its connection."""

    def __init__(self, credentials: Credentials | None = None, *, policy: frozenset[Quirk] = TOLERANT) -> None:
        self.now = 100.0
        self.client = RtspClient(URL, credentials, policy=policy)
        self.decoder = Decoder()
        self.requests: list[Request] = []
        self.client.start(self.now)

    def asked(self) -> Request:
        """The one request that came since the last time."""
        found = [event for event in self.decoder.feed(self.client.data_to_send()) if isinstance(event, Request)]
        assert len(found) == 1, found
        self.requests += found
        return found[0]

    def answer(self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> list[Event]:
        request = self.asked()
        items = {"CSeq": request.headers.get("CSeq") or "", **(headers or {})}
        wire = encode_response(Response(status, "Because", Headers(items), body))
        return self.client.receive(wire, self.now)

    def describe(self, headers: Mapping[str, str] | None = None, body: bytes = SDP) -> list[Event]:
        if self.client.phase is Phase.ASKING:
            self.answer(headers={"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER"})
        return self.answer(headers={"Content-Type": "application/sdp", **(headers or {})}, body=body)

    def play(self, session: str = "abc;timeout=20", tracks: int = 2) -> list[Event]:
        (described,) = self.describe()
        assert isinstance(described, Described)
        self.client.setup(described.presentation.tracks[:tracks], self.now)
        for track in range(tracks):
            low = 2 * track
            self.answer(headers={"Transport": f"RTP/AVP/TCP;interleaved={low}-{low + 1}", "Session": session})
        return self.answer()


def test_a_session_is_led_from_options_to_teardown() -> None:
    talk = Talk()
    (playing,) = talk.play()
    assert isinstance(playing, Playing)
    assert [each.transport.channels for each in playing.tracks] == [(0, 1), (2, 3)]
    assert [request.method for request in talk.requests] == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]
    assert [request.url for request in talk.requests[2:]] == [URL + "/trackID=0", URL + "/trackID=1", URL]
    assert [request.headers.get("Session") for request in talk.requests] == [None, None, None, "abc", "abc"]
    numbers = [int(request.headers.get("CSeq") or "") for request in talk.requests]
    assert all(b == a + 1 for a, b in itertools.pairwise(numbers))
    frames = talk.client.receive(encode_interleaved(0, b"\x80rtp"), talk.now)
    assert frames == [Interleaved(0, b"\x80rtp")]
    talk.client.teardown(talk.now)
    assert talk.answer() == [Ended()]
    assert talk.requests[-1].method == "TEARDOWN"
    assert talk.client.deadline is None


@pytest.mark.parametrize("cut", range(1, 400, 7))
def test_answers_and_frames_mean_the_same_wherever_tcp_splits_them(cut: int) -> None:
    talk = Talk()
    talk.play()
    wire = encode_interleaved(0, b"\x80" * 100) + encode_interleaved(3, b"\x81" * 300)
    parts = [wire[:cut], wire[cut:]]
    assert [e for part in parts for e in talk.client.receive(part, talk.now)] == [
        Interleaved(0, b"\x80" * 100),
        Interleaved(3, b"\x81" * 300),
    ]


@pytest.mark.parametrize(
    ("algorithm", "qop"), [("", False), ("", True), ("MD5", True), ("SHA-256", True), ("SHA-256", False)]
)
def test_a_challenge_is_met_and_the_password_never_told(algorithm: str, qop: bool) -> None:
    guard = Guard("admin", "geheim", algorithm=algorithm, qop=qop)
    talk = Talk(Credentials("admin", "geheim"))
    talk.answer()
    talk.answer(401, {"WWW-Authenticate": guard.challenge()})
    request = talk.asked()
    assert guard.admits(request.headers.get("Authorization"), "DESCRIBE")
    assert "geheim" not in repr(talk.client.__dict__)
    assert b"geheim" not in encode_request(request)


def test_the_strongest_scheme_is_taken_and_the_nonce_counts() -> None:
    talk = Talk(Credentials("u", "p"))
    talk.answer()
    request = talk.asked()
    challenges = [
        ("CSeq", request.headers.get("CSeq") or ""),
        ("WWW-Authenticate", 'Basic realm="x"'),
        ("WWW-Authenticate", 'Digest realm="x", nonce="n", qop="auth", algorithm=MD5'),
        ("WWW-Authenticate", 'Digest realm="x", nonce="n", qop="auth", algorithm=SHA-512-256'),
        ("WWW-Authenticate", 'Digest realm="x", nonce="n", qop="auth", algorithm=SHA-256'),
    ]
    talk.client.receive(encode_response(Response(401, "", Headers(challenges))), talk.now)
    (described,) = talk.describe()
    assert "algorithm=SHA-256" in (talk.requests[-1].headers.get("Authorization") or "")
    assert isinstance(described, Described)
    talk.client.setup(described.presentation.tracks[:1], talk.now)
    assert "nc=00000002" in (talk.asked().headers.get("Authorization") or "")


def test_a_wrong_password_is_tried_once_since_cameras_lock_accounts() -> None:
    talk = Talk(Credentials("admin", "wrong"))
    talk.answer()
    assert talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="1"'}) == []
    assert talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="2"'}) == [Failed(Why.UNAUTHORIZED, "401")]


def test_a_stale_nonce_is_tried_once_more_and_not_for_ever() -> None:
    talk = Talk(Credentials("admin", "right"))
    talk.answer()
    talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="1"'})
    assert talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="2", stale=true'}) == []
    again = talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="3", stale=true'})
    assert again == [Failed(Why.UNAUTHORIZED, "401")]


def test_without_a_password_a_challenge_is_the_end() -> None:
    talk = Talk()
    talk.answer()
    assert talk.answer(401, {"WWW-Authenticate": 'Digest realm="x", nonce="1"'}) == [Failed(Why.UNAUTHORIZED, "401")]


@pytest.mark.parametrize(
    ("status", "why"),
    [(404, Why.NOT_FOUND), (403, Why.UNAUTHORIZED), (453, Why.REFUSED), (500, Why.REFUSED), (503, Why.REFUSED)],
)
def test_a_refusal_is_named(status: int, why: Why) -> None:
    talk = Talk()
    talk.answer()
    (failed,) = talk.answer(status)
    assert isinstance(failed, Failed)
    assert failed.why is why
    assert str(status) in failed.detail


def test_a_redirection_is_handed_on_and_ends_the_session() -> None:
    talk = Talk()
    talk.answer()
    assert talk.answer(302, {"Location": "rtsp://10.0.0.9/b"}) == [Redirected("rtsp://10.0.0.9/b")]
    assert talk.client.phase is Phase.ENDED


def test_a_server_may_redirect_while_it_plays() -> None:
    talk = Talk()
    talk.play()
    request = Request("REDIRECT", URL, Headers({"CSeq": "9", "Location": "rtsp://10.0.0.9/b"}))
    assert talk.client.receive(encode_request(request), talk.now) == [Redirected("rtsp://10.0.0.9/b")]
    assert talk.client.data_to_send().startswith(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n")


def test_no_answer_in_time_is_the_end() -> None:
    talk = Talk()
    talk.asked()
    assert talk.client.deadline == pytest.approx(108.0)
    assert talk.client.tick(107.9) == []
    (failed,) = talk.client.tick(108.0)
    assert isinstance(failed, Failed)
    assert failed.why is Why.NO_ANSWER


def test_the_session_is_kept_alive_at_half_its_time() -> None:
    talk = Talk()
    talk.play("abc;timeout=20")
    assert talk.client.deadline == pytest.approx(110.0)
    talk.now = 110.0
    assert talk.client.tick(talk.now) == []
    talk.answer()
    assert talk.requests[-1].method == "GET_PARAMETER"
    assert talk.requests[-1].headers.get("Session") == "abc"
    assert talk.client.deadline == pytest.approx(120.0)


def test_a_camera_that_refuses_get_parameter_is_asked_its_options_instead() -> None:
    talk = Talk()
    talk.play()
    talk.now = 130.0
    talk.client.tick(talk.now)
    assert talk.answer(501) == []
    talk.now = 160.0
    talk.client.tick(talk.now)
    talk.answer()
    assert talk.requests[-1].method == "OPTIONS"
    assert Quirk.NO_GET_PARAMETER in talk.client.noticed


def test_a_keep_alive_that_is_not_answered_ends_nothing_and_a_forgotten_session_does() -> None:
    talk = Talk()
    talk.play()
    talk.client.tick(130.0)
    talk.asked()
    assert talk.client.tick(139.0) == []
    talk.client.tick(161.0)
    talk.now = 161.0
    (failed,) = talk.answer(454)
    assert isinstance(failed, Failed)
    assert failed.why is Why.SESSION_LOST


def test_udp_is_asked_for_where_tcp_is_refused() -> None:
    talk = Talk()
    (described,) = talk.describe()
    assert isinstance(described, Described)
    tracks = described.presentation.tracks
    talk.client.setup(tracks, talk.now)
    assert talk.answer(461) == [TransportRefused()]
    talk.client.setup(tracks, talk.now, [(5000, 5001), (5002, 5003)])
    for pair in ("5000-5001", "5002-5003"):
        transport = f"RTP/AVP;unicast;client_port={pair};server_port=6000-6001;ssrc=0000ABCD"
        talk.answer(headers={"Transport": transport, "Session": "s"})
        assert talk.requests[-1].headers.get("Transport") == f"RTP/AVP;unicast;client_port={pair}"
    (playing,) = talk.answer()
    assert isinstance(playing, Playing)
    assert playing.tracks[0].transport.server_port == (6000, 6001)
    assert playing.tracks[0].transport.ssrc == 0xABCD


def test_a_camera_may_choose_other_channels() -> None:
    talk = Talk()
    (described,) = talk.describe()
    assert isinstance(described, Described)
    talk.client.setup(described.presentation.tracks[:1], talk.now)
    talk.answer(headers={"Transport": "RTP/AVP/TCP;interleaved=6-7", "Session": "s"})
    (playing,) = talk.answer()
    assert isinstance(playing, Playing)
    assert playing.tracks[0].transport.channels == (6, 7)
    assert talk.client.noticed == {Quirk.OTHER_CHANNELS}


def test_addresses_of_another_network_are_used_by_their_path_only() -> None:
    talk = Talk()
    body = SDP.replace(b"a=control:trackID=0", b"a=control:rtsp://192.168.1.64/live/trackID=0")
    (described,) = talk.describe({"Content-Base": "rtsp://192.168.1.64:554/live/"}, body)
    assert isinstance(described, Described)
    assert [track.url for track in described.presentation.tracks] == [
        "rtsp://cam.example:8554/live/trackID=0",
        "rtsp://cam.example:8554/live/trackID=1",
    ]
    assert described.presentation.url == "rtsp://cam.example:8554/live/"
    assert talk.client.noticed == {Quirk.FOREIGN_AUTHORITY}


def test_a_camera_that_knows_no_options_and_no_range_plays_all_the_same() -> None:
    talk = Talk()
    assert talk.answer(405) == []
    (described,) = talk.describe()
    assert isinstance(described, Described)
    talk.client.setup(described.presentation.tracks[:1], talk.now)
    talk.answer(headers={"Transport": "RTP/AVP/TCP;interleaved=0-1"})
    assert talk.answer(457) == []
    (playing,) = talk.answer()
    assert isinstance(playing, Playing)
    assert talk.requests[-1].headers.get("Range") is None
    assert talk.client.noticed == {Quirk.NO_OPTIONS, Quirk.NO_RANGE, Quirk.NO_SESSION}


def test_a_strict_policy_ends_what_a_tolerant_one_goes_on_with() -> None:
    talk = Talk(policy=STRICT)
    (failed,) = talk.answer(405)
    assert isinstance(failed, Failed)
    assert failed.why is Why.REFUSED


def test_bytes_between_frames_are_skipped_and_counted() -> None:
    talk = Talk()
    talk.play()
    wire = b"\0$junk\xff" + encode_interleaved(0, b"\x80one") + b"xx" + encode_interleaved(1, b"\x80two")
    events = [event for byte in wire for event in talk.client.receive(bytes((byte,)), talk.now)]
    assert events == [Interleaved(0, b"\x80one"), Interleaved(1, b"\x80two")]
    assert talk.client.skipped == 9
    assert talk.client.noticed == {Quirk.RESYNC}


def test_what_does_not_speak_rtsp_is_said_at_once() -> None:
    talk = Talk()
    (failed,) = talk.client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n", talk.now)
    assert isinstance(failed, Failed)
    assert failed.why is Why.NOT_RTSP


def test_endless_junk_ends_the_session() -> None:
    talk = Talk()
    talk.play()
    failed: list[Event] = []
    for _ in range(40):
        failed += talk.client.receive(bytes(2**16), talk.now)
    assert [type(event) for event in failed] == [Failed]


def test_what_the_table_lacks_raises() -> None:
    assert move(Phase.START, Move.BEGUN) is Phase.ASKING
    client = RtspClient(URL)
    with pytest.raises(IllegalMove):
        client.setup(presentation(SDP, URL, lambda _: None).tracks, 0.0)
    client.start(0.0)
    with pytest.raises(IllegalMove):
        client.start(0.0)


@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_any_bytes_are_events_or_one_failure(chunks: list[bytes], playing: bool) -> None:
    talk = Talk()
    if playing:
        talk.play()
    events = [event for chunk in chunks for event in talk.client.receive(chunk, talk.now)]
    over = [event for event in events if isinstance(event, Failed | Redirected)]
    assert len(over) <= 1
    assert bool(over) is (talk.client.phase is Phase.ENDED)


@given(st.binary(max_size=600))
def test_any_description_is_taken_or_refused(body: bytes) -> None:
    talk = Talk()
    talk.answer()
    (event,) = talk.answer(body=body, headers={"Content-Type": "application/sdp"})
    assert isinstance(event, Described | Failed)


WORDS = st.sampled_from(
    ["CSeq: 2", "CSeq: 1", "Session: ;timeout=", "Session: a;timeout=99999", "Transport: RTP/AVP/TCP;interleaved=0-1",
     "WWW-Authenticate: Digest", "WWW-Authenticate: Basic realm=x", "Location: rtsp://[", "Content-Base: ://",
     "Content-Base: rtsp://[::1/", "Public: , ,", "Content-Length: 0"]
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from([100, 200, 302, 401, 454, 457, 461, 999]), st.lists(WORDS, max_size=4)), max_size=12
    )
)
def test_any_answers_lead_to_a_phase_of_the_table(answers: list[tuple[int, list[str]]]) -> None:
    client = RtspClient(URL, Credentials("a", "b"))
    client.start(0.0)
    for status, headers in answers:
        wire = f"RTSP/1.0 {status} x\r\n" + "".join(f"{line}\r\n" for line in headers) + "\r\n"
        for event in client.receive(wire.encode(), 0.0):
            if isinstance(event, Described) and event.presentation.tracks:
                client.setup(event.presentation.tracks, 0.0)
        client.data_to_send()
    assert client.phase in Phase
