"""Descriptions with y= and f=, as devices and platforms write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.gb28181 import invite
from signaling.gb28181.edition import Edition
from signaling.gb28181.errors import GbError
from signaling.gb28181.invite import PCMA, PS, Media, Payload
from signaling.gb28181.substream import FORMS, SubForm, SubPolicy, attribute, form_of

OFFER = Media(owner="34020000002000000001", host="10.0.0.1", port=30_000, payloads=invite.OFFERED, ssrc=200_000_001)


@pytest.mark.parametrize(
    "media",
    [
        OFFER,
        Media(owner="1", host="10.0.0.1", port=9, tcp=True, setup="passive", ssrc=1),
        Media(owner="1", host="::1", port=9, tcp=True, setup="active", direction="sendonly", size=1_234, ssrc=1),
        Media(owner="1", host="h", port=9, purpose="playback", start_s=100, end_s=200, channel="2", ssrc=1_200_000_000),
        Media(owner="1", host="h", port=9, purpose="download", start_s=100, end_s=200, channel="2", speed=4, ssrc=7),
        Media(owner="1", host="h", port=9, purpose="talk", kind="audio", payloads=(PCMA,), format="v/////a/1/8/1"),
        Media(owner="1", host="h", port=9, stream=1, direction="inactive", ssrc=5),
    ],
)
def test_every_description_is_read_as_it_was_written(media: Media) -> None:
    assert invite.parse(invite.write(media)) == media


def test_the_answer_of_a_real_camera_is_read() -> None:
    """Capture 03 of the corpus."""
    answer = (
        b"v=0\r\no=34020000001320000003 1073 1073 IN IP4 192.168.137.11\r\ns=Play\r\n"
        b"c=IN IP4 192.168.137.11\r\nt=0 0\r\n"
        b"m=video 15060 RTP/AVP 96\r\na=setup:active\r\na=sendonly\r\na=rtpmap:96 PS/90000\r\n"
        b"a=username:34020000001320000003\r\na=password:12345678\r\na=filesize:0\r\ny=0000630886\r\nf=\r\n"
    )
    found = invite.parse(answer)
    assert (found.host, found.port, found.ssrc, found.payloads) == ("192.168.137.11", 15_060, 630_886, (PS,))
    assert (found.tcp, found.setup, found.direction) == (False, "active", "sendonly")


@pytest.mark.parametrize("y", [b"", b"y=\r\n", b"y=0000000000\r\n", b"y=abc\r\n"])
def test_quirk_12_a_description_without_a_usable_y_is_still_one(y: bytes) -> None:
    """QUIRKS 12."""
    assert invite.parse(b"v=0\r\nc=IN IP4 1.2.3.4\r\nm=video 6000 RTP/AVP 96\r\n" + y).ssrc is None


def test_descriptions_full_of_carelessness_are_read() -> None:
    """No s=, no rtpmap, no c= but an origin, junk between, lone line ends, spaces behind values."""
    text = b"v=0\no=1 0 0 IN IP4 10.1.1.1\nnonsense\n"
    text += b"m=video 5000 TCP/RTP/AVP 96 98\na=rtpmap:98 h264/90000\na=setup:PASSIVE \n\0"
    found = invite.parse(text)
    assert (found.host, found.purpose, found.tcp, found.setup) == ("10.1.1.1", "play", True, "passive")
    assert found.payloads == (Payload(98, "H264"), PS)


@pytest.mark.parametrize(("line", "number"), [("a=streamnumber:1", 1), ("a=stream:0", 0), ("a=streamMode:sub", 1),
                                             ("a=streamprofile:1", 1), ("a=streamMode:x", None)])  # fmt: skip
def test_the_sub_stream_has_many_names(line: str, number: int | None) -> None:
    assert invite.parse(f"v=0\r\nc=IN IP4 1.1.1.1\r\nm=video 1 RTP/AVP 96\r\n{line}\r\n".encode()).stream == number


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [0, 1])
def test_the_sub_stream_is_asked_for_in_the_words_of_the_device(form: SubForm, number: int) -> None:
    body = invite.write(Media(owner="1", host="h", port=9, stream=number, form=form))
    assert attribute(form, number).encode() + b"\r\n" in body
    found = invite.parse(body)
    assert (found.stream, found.form) == (number, form)


@pytest.mark.parametrize(
    ("policy", "edition", "maker", "form"),
    [
        ("auto", "2022", "", "streamnumber"),
        ("auto", "2022", "Hikvision", "streamnumber"),
        ("auto", "2016", "Hikvision", None),
        ("auto", None, "", None),
        ("auto", "2016", "DAHUA Technology", "streamprofile"),
        ("auto", None, "TP-LINK", "streamMode"),
        ("off", "2022", "Dahua", None),
        ("stream", "2011", "Dahua", "stream"),
        ("streamMode", None, "", "streamMode"),
    ],
)
def test_which_words_those_are_follows_from_policy_maker_and_edition(
    policy: SubPolicy, edition: Edition | None, maker: str, form: SubForm | None
) -> None:
    assert form_of(policy, edition=edition, maker=maker) == form


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"v=0\r\n",
        b"v=0\r\nm=video 1 RTP/AVP 96\r\n",
        b"x" * 20_000,
        b"v=0\r\nc=IN IP4 1.1.1.1\r\nm=video x y z\r\n",
    ],
)
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(GbError):
        invite.parse(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for each in (body, b"v=0\r\nc=IN IP4 1.1.1.1\r\nm=video 1 RTP/AVP 96\r\n" + body):
        try:
            invite.parse(each)
        except GbError:
            continue


def test_no_line_break_gets_into_a_description() -> None:
    with pytest.raises(GbError):
        invite.write(Media(owner="1\r\ny=5", host="h", port=1))


def test_the_subject_names_sender_and_receiver() -> None:
    """2016 annex L; the capture has six digits."""
    assert invite.subject("1", 630_886, "2") == "1:0000630886,2:0"
    assert invite.parse_subject("34020000001320000003:630886,34020000002000000001:0") == (
        "34020000001320000003",
        "34020000002000000001",
    )
    assert invite.parse_subject("hello") is None
