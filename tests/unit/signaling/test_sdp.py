"""The SDP parser: what a browser writes is read, what nobody should write is refused with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.sdp import MAX_FEEDBACK, MAX_MEDIA, SdpError, parse

BROWSER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13
a=mid:0
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=recvonly
m=video 9 UDP/TLS/RTP/SAVPF 96 102
a=mid:1
a=rtpmap:96 VP8/90000
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:102 nack
a=rtcp-fb:* nack pli
""".replace("\n", "\r\n")


def test_sections_formats_and_feedback_are_read() -> None:
    description = parse(BROWSER)
    audio, video = description.media
    assert description.bundle() == ("0", "1")
    assert (audio.kind, audio.port, audio.direction, video.direction) == ("audio", 9, "recvonly", "sendrecv")
    assert [(f.payload_type, f.encoding, f.clock_rate, f.channels) for f in audio.formats()] == [
        (111, "opus", 48_000, 2), (0, "pcmu", 8_000, 1), (8, "pcma", 8_000, 1),
    ]  # fmt: skip
    h264 = video.formats()[1]
    assert h264.parameter("Packetization-Mode") == "1"
    assert h264.parameter("nothing") is None
    assert h264.feedback == ("nack", "nack pli")


def test_bare_newlines_are_taken_too() -> None:
    assert parse(BROWSER.replace("\r\n", "\n")) == parse(BROWSER)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("o=- 1 1 IN IP4 0\r\n", 1),
        ("v=1\r\n", 1),
        ("v=0\r\nnonsense\r\n", 2),
        ("v=0\r\na=" + "x" * 5_000, 2),
        ("v=0\r\nm=audio\r\n", 2),
        ("v=0\r\nm=audio nine UDP 0\r\n", 2),
        ("v=0\r\nm=audio 99999 UDP 0\r\n", 2),
        ("v=0\r\nm=audio ² UDP 0\r\n", 2),
        ("v=0\r\ns=a\0b\r\n", 2),
        ("v=0\r\n" + "m=audio 9 X 0\r\n" * (MAX_MEDIA + 1), MAX_MEDIA + 2),
        ("v=0\r\n" + "a=x\r\n" * 5_000, 0),
        ("x" * 70_000, 0),
    ],
)
def test_a_bad_description_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(SdpError) as refused:
        parse(text)
    assert refused.value.line == line


@given(st.text(max_size=400))
def test_any_text_is_a_description_or_an_error(text: str) -> None:
    for candidate in (text, "v=0\r\n" + text, BROWSER + text):
        try:
            for media in parse(candidate).media:
                media.formats()
        except SdpError:
            pass


@given(st.data())
def test_a_mangled_offer_is_a_description_or_an_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BROWSER) - 1))
    until = data.draw(st.integers(at, min(at + 20, len(BROWSER))))
    text = BROWSER[:at] + data.draw(st.text(max_size=8)) + BROWSER[until:]
    try:
        parse(text).bundle()
        for media in parse(text).media:
            media.formats()
    except SdpError:
        pass


def test_a_group_that_names_nothing_is_no_bundle() -> None:
    text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:\r\na=group:BUNDLE 0\r\n"
    assert parse(text).bundle() == ("0",)


def test_feedback_without_end_costs_no_more_than_a_little_of_it() -> None:
    """128 formats under thousands of lines for all of them: each format keeps a bounded number."""
    formats = "".join(f"a=rtpmap:{pt} H264/90000\r\na=rtcp-fb:{pt} nack\r\n" for pt in range(96, 128))
    text = (
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF " + " ".join(str(pt) for pt in range(96, 128)) + "\r\n" + formats
        + "a=rtcp-fb:* transport-cc\r\n" * 2_000
    )  # fmt: skip
    (media,) = parse(text).media
    found = media.formats()
    assert len(found) == 32
    assert all(format.feedback[:2] == ("nack", "transport-cc") for format in found)
    assert max(len(format.feedback) for format in found) <= 2 * MAX_FEEDBACK
