"""What a browser offers and what it is answered: retransmission, header extensions, layers."""

from hub.media.peer import negotiate
from hub.media.stream import Stream
from signaling.sdp import parse
from signaling.whip import Local, write_answer

CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
SDES = "urn:ietf:params:rtp-hdrext:sdes:"
LOCAL = Local(1, "u", "p", ("sha-256", "AA"), ["127.0.0.1"], 9, "cname", "stream")


def offer(direction: str, *more: str, drop: str = "-none-") -> str:
    lines = [
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", f"a={direction}", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc", f"a=extmap:4 {CC}", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        f"a=extmap:9 {SDES}mid", "a=ice-ufrag:ab", "a=ice-pwd:abcdefghijklmnopqrstuv",
        "a=fingerprint:sha-256 AA", "a=setup:actpass",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103", "a=mid:1", f"a={direction}", "a=rtcp-mux",
        "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
        "a=rtpmap:102 H264/90000", "a=fmtp:102 packetization-mode=1;profile-level-id=42e01f",
        "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102",
        *[f"a=rtcp-fb:{pt} {kind}" for pt in (96, 102)
          for kind in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")],
        f"a=extmap:4 {CC}", f"a=extmap:2 {TIME}", f"a=extmap:9 {SDES}mid",
        f"a=extmap:10 {SDES}rtp-stream-id", f"a=extmap:11 {SDES}repaired-rtp-stream-id", *more, "",
    ]  # fmt: skip
    return "\r\n".join(line for line in lines if drop not in line)


def stream() -> Stream:
    made = Stream("s", clock=lambda: 0)
    made.publisher(("h264", "opus"), lambda layer: None)
    return made


def test_a_browser_that_watches_gets_retransmission_and_transport_cc() -> None:
    read, made = negotiate.offer_of(offer("recvonly")), stream()
    chosen = negotiate.for_viewer(read, made)
    sound, picture = chosen[0][0], chosen[1][0]
    assert (picture.payload_type, picture.rtx, sound.rtx) == (102, 103, None)
    assert picture.layout.transport_at
    assert not picture.layout.time_at
    assert sound.layout.level_at
    assert sound.layout.transport_at
    answer = parse(write_answer(read, LOCAL, {i: track for i, (_, track) in chosen.items()}))
    video = answer.media[1]
    assert video.format_ids == ("102", "103")
    assert video.extensions() == {SDES + "mid": 9, CC: 4}
    track = made.tracks["video"]
    assert video.repairs() == {track.rtx_ssrc: track.ssrc}
    assert {f"102 {kind}" for kind in ("nack", "nack pli", "ccm fir", "transport-cc")} == set(video.values("rtcp-fb"))
    assert set(answer.media[0].values("rtcp-fb")) == {"111 transport-cc"}


def test_without_retransmission_nothing_in_a_packet_may_vary() -> None:
    read = negotiate.offer_of(offer("recvonly", drop="rtx"))
    picture, track = negotiate.for_viewer(read, stream())[1]
    assert picture.rtx is None
    assert not picture.layout.varies
    assert picture.layout.block
    assert track.feedback == ("goog-remb",)


def test_without_transport_cc_the_time_of_sending_and_remb_are_used() -> None:
    picture, track = negotiate.for_viewer(negotiate.offer_of(offer("recvonly", drop="transport-")), stream())[1]
    assert picture.layout.time_at
    assert not picture.layout.transport_at
    assert track.feedback == ("goog-remb",)


def test_a_publisher_of_layers_is_answered_with_them() -> None:
    simulcast = ("a=rid:q send", "a=rid:h send", "a=rid:f send", "a=simulcast:send q;h;f,x;unknown")
    read = negotiate.offer_of(offer("sendonly", *simulcast))
    terms, tracks = negotiate.for_publisher(read)
    assert terms.rids == ("q", "h", "f")
    assert (terms.rid, terms.repaired_rid, terms.transport, terms.level) == (10, 11, 4, 1)
    assert terms.repairs == {97: 96}
    video = parse(write_answer(read, LOCAL, tracks)).media[1]
    assert video.values("rid") == ("q recv", "h recv", "f recv")
    assert video.value("simulcast") == "recv q;h;f"
    assert "96 goog-remb" not in video.values("rtcp-fb")


def test_a_publisher_without_transport_cc_is_told_a_rate() -> None:
    read = negotiate.offer_of(offer("sendonly", drop="transport-"))
    terms, tracks = negotiate.for_publisher(read)
    assert (terms.transport, terms.rids) == (0, ())
    assert "96 goog-remb" in parse(write_answer(read, LOCAL, tracks)).media[1].values("rtcp-fb")


def test_extension_ids_beyond_the_one_byte_form_are_left_out() -> None:
    read = negotiate.offer_of(offer("recvonly").replace("extmap:9 ", "extmap:15 ").replace("extmap:4 ", "extmap:x "))
    assert set(read.sections[1].extensions) == {"abs-send-time", "rid", "repaired-rid"}
