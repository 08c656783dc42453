"""What may be pulled and what never is; and no password in any text."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Invalid
from hub.domain.source_url import MAX_URL, check_url, refuse_address


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "tail"),
    [
        ("rtsp://10.1.2.3/Streaming/Channels/101", "rtsp", "10.1.2.3", 554, "/Streaming/Channels/101"),
        ("RTSP://Cam.Example:8554/a?b=c", "rtsp", "cam.example", 8554, "/a?b=c"),
        ("rtsps://10.1.2.3", "rtsps", "10.1.2.3", 322, "/"),
        ("http://[2001:db8::1]:81/x.flv", "http", "2001:db8::1", 81, "/x.flv"),
        ("https://cam/x", "https", "cam", 443, "/x"),
        ("rtmp://10.0.0.9/live/摄像机", "rtmp", "10.0.0.9", 1935, "/live/%E6%91%84%E5%83%8F%E6%9C%BA"),
        ("rtsp://127.0.0.1:8802/square", "rtsp", "127.0.0.1", 8802, "/square"),
    ],
)
def test_addresses_of_cameras_are_taken(url: str, scheme: str, host: str, port: int, tail: str) -> None:
    parsed = check_url(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.tail) == (scheme, host, port, tail)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://10.0.0.1/a", "scheme"),
        ("gopher://10.0.0.1/", "scheme"),
        ("concat:a|b", "syntax"),
        ("subfile,,start,0,end,9,,:/etc/passwd", "scheme"),
        ("/etc/passwd", "scheme"),
        ("file:///etc/passwd", "file"),
        ("FILE:/etc/passwd", "file"),
        ("", "syntax"),
        ("rtsp://", "syntax"),
        ("rtsp://10.0.0.1:0/", "syntax"),
        ("rtsp://10.0.0.1:99999/", "syntax"),
        ("rtsp://10.0.0.1/a b", "syntax"),
        ("rtsp://10.0.0.1/a\r\nX: y", "syntax"),
        ("rtsp://10.0.0.1/a%0d%0aX", "syntax"),
        ("rtsp://u:p%0a@10.0.0.1/", "syntax"),
        ("rtsp://10.0.0.1\\@evil/", "syntax"),
        ("rtsp://10.0.0.1/#x", "syntax"),
        ("rtsp://[::1/", "syntax"),
        ("rtsp://a_b!c/", "syntax"),
        ("rtsp://10.0.0.1/" + "a" * MAX_URL, "syntax"),
        ("http://169.254.169.254/latest/meta-data", "address"),
        ("rtsp://169.254.1.1/", "address"),
        ("http://100.100.100.200/", "address"),
        ("http://[fd00:ec2::254]/", "address"),
        ("http://[fe80::1]/", "address"),
        ("http://[fe80::1%25eth0]/", "address"),
        ("http://[::ffff:169.254.169.254]/", "address"),
        ("http://[64:ff9b::a9fe:a9fe]/", "address"),
        ("http://[2002:a9fe:a9fe::]/", "address"),
        ("http://2852039166/", "address"),
        ("http://0xa9.0xfe.0xa9.0xfe/", "address"),
        ("http://0251.0376.0251.0376/", "address"),
        ("http://169.254.43518/", "address"),
        ("rtsp://239.1.2.3/", "address"),
        ("rtsp://0.0.0.0/", "address"),
        ("rtsp://0.1.2.3/", "address"),
        ("rtsp://[::]/", "address"),
        ("rtsp://255.255.255.255/", "address"),
        ("http://metadata.google.internal/", "address"),
        ("http://METADATA.google.internal./", "address"),
        ("http://１６９.254.169.254/", "address"),
        ("http://①⑥⑨.254.169.254/", "address"),
        ("http://169。254。169。254/", "address"),
        ("http://[::169.254.169.254]/", "address"),
        ("http://[64:ff9b:1::a9fe:a9fe]/", "address"),
        ("http://[2001:0:a9fe:a9fe::]/", "address"),
        ("http://[2001:0:102:304:0:0:5601:5601]/", "address"),  # Teredo hides its client inverted
        ("http://[fd20:ce::254]/", "address"),
    ],
)
def test_what_is_never_pulled_is_refused_and_why(url: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_url(url)
    assert caught.value.id == "camera.url_refused"
    assert caught.value.details["why"] == why


def test_a_file_is_taken_only_where_files_are_allowed() -> None:
    assert check_url("file:///srv/demo/a.mp4", files=True).tail == "/srv/demo/a.mp4"
    with pytest.raises(Invalid):
        check_url("file://otherhost/srv/demo/a.mp4", files=True)


def test_private_and_loopback_networks_are_where_cameras_live() -> None:
    for text in ("10.0.0.1", "172.16.0.1", "192.168.1.64", "127.0.0.1", "fd12::1", "::1", "8.8.8.8"):
        assert refuse_address(ipaddress.ip_address(text)) is None


PASSWORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=6, max_size=20)


@given(PASSWORDS)
def test_a_password_goes_to_the_demuxer_and_into_no_text(password: str) -> None:
    from urllib.parse import quote

    source = check_url(f"rtsp://admin:{quote(password, safe='')}@10.0.0.1/s")
    assert source.password == password
    assert check_url(source.url()) == source
    assert password not in repr(source)
    assert source.masked == "rtsp://admin:***@10.0.0.1:554/s"
    said = source.scrub(f"cannot open '{source.url()}': {password} is wrong")
    assert password not in said.replace("***", "")
    assert quote(password, safe="") not in said.replace("***", "")


def test_secrets_in_the_query_are_masked_too() -> None:
    source = check_url("http://10.0.0.1/stream?user=admin&password=geheim&channel=1")
    assert source.masked == "http://10.0.0.1:80/stream?user=admin&password=***&channel=1"
    assert "geheim" not in source.scrub(f"bad: {source.url()}")


def test_the_name_can_be_replaced_by_the_checked_address() -> None:
    source = check_url("rtsp://u:p@cam.example:8554/a")
    assert source.url("10.0.0.7") == "rtsp://u:p@10.0.0.7:8554/a"
    assert source.url("2001:db8::7") == "rtsp://u:p@[2001:db8::7]:8554/a"


@given(st.text(max_size=120))
def test_any_text_is_taken_or_refused_by_name(text: str) -> None:
    try:
        check_url(text)
    except Invalid as error:
        refused = error.id
    else:
        refused = "camera.url_refused"
    assert refused == "camera.url_refused"
