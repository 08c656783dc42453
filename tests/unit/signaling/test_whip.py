"""Offers and answers: the choice of payload types, what is refused, and that a browser could take the answer."""

import pytest
from aiortc.sdp import SessionDescription

from signaling.sdp import SdpError, parse
from signaling.whip import Local, Track, read_fragment, read_offer, write_answer, write_fragment

TRANSPORT = """a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=rtcp-mux
"""
OFFER = f"""v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a v d
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:a
a=rtpmap:111 opus/48000/2
{TRANSPORT}m=video 9 UDP/TLS/RTP/SAVPF 96 98 100 102
a=mid:v
a=rtpmap:96 VP8/90000
a=rtpmap:98 H264/90000
a=fmtp:98 packetization-mode=0;profile-level-id=42e01f
a=rtpmap:100 H264/90000
a=fmtp:100 packetization-mode=1;profile-level-id=4d001f
a=rtpmap:102 H264/90000
a=fmtp:102 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:102 nack
a=rtcp-fb:102 transport-cc
{TRANSPORT}m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:d
"""
LOCAL = Local(1, "uf", "pw", ("sha-256", "CC:DD"), ("127.0.0.1", "::1"), 40_000, "cam-1", "cam-1")


def test_the_baseline_payload_type_in_packetization_mode_one_is_chosen() -> None:
    """RFC 6184 §6.2: mode 0 cannot carry fragments."""
    audio, video, data = read_offer(OFFER).sections
    assert video.choose("h264").payload_type == 102  # type: ignore[union-attr]
    assert video.choose("vp8").payload_type == 96  # type: ignore[union-attr]
    assert audio.choose("h264") is None
    assert not data.usable


def test_the_answer_keeps_order_and_refuses_the_rest() -> None:
    offer = read_offer(OFFER)
    chosen = offer.sections[1].choose("h264")
    assert chosen is not None
    text = write_answer(offer, LOCAL, {1: Track(chosen, 4_711)})
    answer = parse(text)
    assert [(media.kind, media.port != 0) for media in answer.media] == [
        ("audio", False), ("video", True), ("application", False),
    ]  # fmt: skip
    video = answer.media[1]
    assert answer.bundle() == ("v",)
    assert answer.value("ice-lite") == ""
    assert (video.direction, video.value("setup"), video.value("mid")) == ("sendonly", "passive", "v")
    assert video.formats()[0].feedback == ("nack",)
    assert [value.split()[4:6] for value in video.values("candidate")] == [["127.0.0.1", "40000"], ["::1", "40000"]]
    theirs = SessionDescription.parse(text).media[1]
    assert theirs.ssrc[0].ssrc == 4_711
    assert theirs.dtls is not None
    assert theirs.dtls.role == "server"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-ufrag:abcd\n", ""),
        ("a=ice-pwd:0123456789012345678901\n", ""),
        ("a=fingerprint:sha-256 AA:BB\n", ""),
        ("a=fingerprint:sha-256 AA:BB\n", "a=fingerprint:md5 AA\n"),
        ("a=setup:actpass\n", "a=setup:passive\n"),
        ("s=-\n", "s=-\na=ice-lite\n"),
        ("SAVPF", "AVP"),
        ("a=mid:a", "a=mid:" + "m" * 99),
    ],
)
def test_an_offer_that_no_answer_could_repair_is_refused(old: str, new: str) -> None:
    with pytest.raises(SdpError):
        read_offer(OFFER.replace(old, new))


def test_what_is_not_bundled_or_has_no_rtcp_mux_is_left_out() -> None:
    assert [s.usable for s in read_offer(OFFER.replace("BUNDLE a v d", "BUNDLE a")).sections] == [True, False, False]
    assert not any(s.usable for s in read_offer(OFFER.replace("a=rtcp-mux\n", "")).sections)


def test_a_fragment_restarts_ice_or_only_trickles() -> None:
    """RFC 8840 §9, RFC 9725 §4.3."""
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    credentials = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    assert read_fragment(credentials + section) == "abcd"
    assert read_fragment(section + credentials) == "abcd"
    assert read_fragment(section + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n") is None
    for bad in ("", "a=ice-ufrag:abcd\r\n", credentials.replace("abcd", "abc"), "x" * 70_000):
        if bad:
            with pytest.raises(SdpError):
                read_fragment(bad)
        else:
            assert read_fragment(bad) is None


def test_our_fragment_has_credentials_and_candidates() -> None:
    local = Local(1, "ours", "secret", ("sha-256", "AA"), ["192.0.2.1", "2001:db8::1"], 4_000, "c", "s")
    (section,) = parse("v=0\r\n" + write_fragment(local, "0")).media
    assert (section.value("mid"), section.value("ice-ufrag"), section.value("ice-pwd")) == ("0", "ours", "secret")
    assert len(section.values("candidate")) == 2
