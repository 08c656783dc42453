"""Our own offers, read by our own answering side; and answers that are none."""

import pytest

from hub.media.peer.dial import DialFailed, parts_of, terms_of, to_publish, to_watch
from hub.media.peer.negotiate import decodes, for_publisher, for_viewer, offer_of
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from signaling.sdp import SdpError
from signaling.whip import Local, write_answer
from signaling.whip_dial import Asked, Said, read_answer, write_offer

PRINT = ("sha-256", ":".join(["AB"] * 32))
LOCAL = Local(7, "theirs", "p" * 24, PRINT, ("192.0.2.7", "2001:db8::7"), 8_801, "cam-1", "cam-1")


def offer(asked: list[Asked]) -> str:
    return write_offer("ours", "q" * 24, PRINT, 1, asked, name="cam-1")


def watched(stream: Stream) -> Said:
    read = offer_of(offer(to_watch()))
    return read_answer(write_answer(read, LOCAL, {i: track for i, (_, track) in for_viewer(read, stream).items()}))


def with_sound() -> Stream:
    stream = Stream("cam-1", clock=lambda: 0, expects=("h264",))
    stream.publish(AccessUnit("audio", "pcma", b"\x55" * 160, 0, False, 0))
    return stream


def test_what_is_watched_comes_with_retransmissions_and_transport_numbers() -> None:
    stream = with_sound()
    said = watched(stream)
    assert (said.ufrag, said.pwd, said.fingerprints) == ("theirs", "p" * 24, (PRINT,))
    assert said.candidates == (("192.0.2.7", 8_801), ("2001:db8::7", 8_801))
    terms = terms_of(said)
    assert terms.codecs == {96: "h264", 8: "pcma"}
    video = stream.tracks["video"]
    assert (terms.repairs, terms.pairs) == ({97: 96}, {video.rtx_ssrc: video.ssrc})
    assert terms.transport
    assert terms.level


def test_a_leg_takes_h265_as_it_comes_in_the_first_layer_only() -> None:
    read = offer_of(offer(to_watch()))
    assert decodes(read) == {"h264", "h265", "vp8"}
    assert [s.choose("h265") is not None for s in read.sections] == [True, False, False, False, False]


def test_what_is_published_is_taken_codec_by_codec() -> None:
    asked = to_publish(parts_of(with_sound()))
    read = offer_of(offer(asked))
    terms, tracks = for_publisher(read)
    assert terms.codecs == {96: "h264", 8: "pcma"}
    said = read_answer(write_answer(read, LOCAL, tracks))
    assert [(s.kind, s.direction, s.usable) for s in said.sections] == [
        ("video", "recvonly", True),
        ("audio", "recvonly", True),
    ]


def test_every_layer_is_published_on_a_section_of_its_own_and_known_by_its_ssrcs() -> None:
    made = Stream("cam-1", clock=lambda: 0, expects=("h264",), layers=3)
    made.publish(AccessUnit("audio", "pcma", b"\x55" * 160, 0, False, 0))
    parts = parts_of(made)
    assert [(part.track.kind, part.layer) for part in parts] == [
        ("video", 0),
        ("audio", None),
        ("video", 1),
        ("video", 2),
    ]
    read = offer_of(offer(to_publish(parts)))
    terms, tracks = for_publisher(read, each_layer=True)
    assert sorted(tracks) == [0, 1, 2, 3]
    ssrcs = {part.ssrcs: part.layer for part in parts if part.ssrcs is not None}
    assert terms.layers == {ssrc: layer for pair, layer in ssrcs.items() for ssrc in pair}
    assert terms.pairs.items() >= {repair: media for media, repair in ssrcs}.items()
    one, few = for_publisher(read)  # of anybody else one picture is taken
    assert (sorted(few), one.layers) == ([0, 1], {})


def test_an_answer_that_sends_nothing_known_is_no_session() -> None:
    read = offer_of(offer(to_watch()))
    _, publishing = for_viewer(read, with_sound())[0]
    taken = write_answer(read, LOCAL, {0: publishing}).replace("H264", "H999")
    with pytest.raises(DialFailed):
        terms_of(read_answer(taken))


@pytest.mark.parametrize(
    ("cut", "put"),
    [
        ("a=ice-pwd:", "a=no-pwd:"),
        ("a=fingerprint:", "a=no-print:"),
        ("a=setup:passive", "a=setup:active"),
        ("a=candidate:", "a=nothing:"),
        ("typ host", "typ"),
        ("1 udp", "1 tcp"),
        ("m=video 8801", "m=video 0"),
        ("v=0", "v=1"),
    ],
)
def test_an_answer_that_leads_nowhere_is_refused(cut: str, put: str) -> None:
    stream = Stream("cam-1", clock=lambda: 0, expects=("h264",))
    read = offer_of(offer(to_watch()))
    text = write_answer(read, LOCAL, {i: track for i, (_, track) in for_viewer(read, stream).items()})
    broken = text.replace(cut, put)
    assert broken != text
    if cut == "typ host":  # a candidate without its type is passed over, and another remains to be passed over
        broken = broken.replace("typ", "")
    with pytest.raises(SdpError):
        read_answer(broken)
