"""Session descriptions of GB/T 28181."""

import pytest

from signaling.sdp import SdpError
from signaling.sip.message import parse
from signaling.sip.sdp import GbSdp, parse_gb
from tests.unit.sip.captures import CAPTURES


def test_the_answer_of_a_camera_is_read() -> None:
    found = parse_gb(parse(dict(CAPTURES)["srs_capture_03-2"]).body)
    assert (found.owner, found.address, found.port) == ("34020000001320000003", "192.168.137.11", 15060)
    assert (found.session, found.direction, found.setup, found.tcp) == ("Play", "sendonly", "active", False)
    assert (found.ssrc, found.ssrc_number, found.f) == ("0000630886", 630886, "")
    assert found.formats == ((96, "PS/90000"),)
    assert ("username", "34020000001320000003") in found.more


@pytest.mark.parametrize(("y", "number"), [("630886", 630886), ("0000000000", None), ("", None), ("x", None)])
def test_an_ssrc_may_be_short_zero_missing_or_senseless(y: str, number: int | None) -> None:
    """QUIRKS 12."""
    body = b"v=0\r\no=1 0 0 IN IP4 10.0.0.1\r\ns=Play\r\nm=video 9000 RTP/AVP 96\r\n"
    assert parse_gb(body + (f"y={y}\r\n".encode() if y else b"")).ssrc_number == number


def test_a_playback_offer_over_tcp_survives_a_round_trip() -> None:
    made = GbSdp(
        owner="34020000002000000001", address="10.0.0.1", port=30000, session="Playback",
        uri="34020000001320000001:0", start=1_767_225_600, stop=1_767_229_200, protocol="TCP/RTP/AVP",
        formats=((96, "PS/90000"), (98, "H264/90000")), setup="passive", connection="new", ssrc="1100000001",
        f="v/2/4///a///", download_speed=4, file_size=123,
    )  # fmt: skip
    assert parse_gb(made.encode()) == made
    assert made.encode().endswith(b"y=1100000001\r\nf=v/2/4///a///\r\n")


def test_text_that_is_gb18030_is_read() -> None:
    body = "v=0\r\no=1 0 0 IN IP4 10.0.0.1\r\ns=大桥\r\nm=video 9000 RTP/AVP 96\r\n".encode("gb18030")
    assert parse_gb(body).session == "大桥"


def test_a_static_number_means_what_devices_mean_by_it() -> None:
    body = b"v=0\r\ns=Talk\r\nc=IN IP4 10.0.0.1\r\nm=audio 9000 TCP/RTP/AVP 8\r\na=setup:ACTIVE\r\n"
    found = parse_gb(body)
    assert (found.formats, found.setup, found.address) == (((8, "PCMA/8000"),), "active", "10.0.0.1")


def test_no_line_can_be_smuggled_in() -> None:
    with pytest.raises(SdpError):
        GbSdp(owner="1", address="10.0.0.1", port=1, uri="x\r\ny=1").encode()
    with pytest.raises(SdpError):
        parse_gb(b"v=0\r\ns=Play\r\n")
