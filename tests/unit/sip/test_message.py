"""SIP messages as devices write them, and what must never go through."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.gb28181 import invite
from signaling.sip.address import NameAddr, SipError, parse_name_addr, parse_uri, parse_via, split_list
from signaling.sip.headers import Headers
from signaling.sip.message import (
    MAX_HEADERS,
    MAX_LINE,
    Request,
    Response,
    make_request,
    parse,
    respond,
)
from tests.unit.sip.captures import CAPTURES

REGISTER = dict(CAPTURES)["hik_2013_register_keepalive-0"]


@pytest.mark.parametrize(("name", "data"), CAPTURES, ids=[name for name, _ in CAPTURES])
def test_a_capture_survives_a_round_trip(name: str, data: bytes) -> None:
    message = parse(data)
    again = parse(message.encode())
    for each in (message, again):
        each.headers.remove("Content-Length")  # ours stands last, and is not padded
    assert again == message
    assert message.body == data[len(data) - len(message.body) :]


def test_a_register_of_a_device_is_understood() -> None:
    """Numeric domain, 18 digits, a user name that is not the identifier."""
    message = parse(REGISTER)
    assert isinstance(message, Request)
    assert (message.target.user, message.target.host, message.target.port) == (
        "130909115229300920",
        "10.64.49.44",
        7100,
    )
    assert message.via.param("rport") == ""
    assert message.expires == 7200
    domain = parse_uri("sip:34020000002000000001@3402000000")
    assert (domain.host, str(domain)) == ("3402000000", "sip:34020000002000000001@3402000000")


def test_the_description_in_a_captured_answer_is_read() -> None:
    found = invite.parse(parse(dict(CAPTURES)["srs_capture_03-2"]).body)
    assert (found.host, found.port, found.ssrc, found.purpose) == ("192.168.137.11", 15060, 630886, "play")


def test_compact_names_are_the_long_ones() -> None:
    data = (
        b"MESSAGE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>;tag=1\r\nt: <sip:a@b>\r\ni: x\r\n"
        b"CSeq: 1 MESSAGE\r\n"
        b"c: Application/MANSCDP+xml; charset=gb2312\r\nl:    2\r\n\r\nab"
    )
    message = parse(data)
    assert message.content_type == "application/manscdp+xml"
    assert [name for name, _ in message.headers][:4] == ["Via", "From", "To", "Call-ID"]
    assert message.body == b"ab"


def test_what_is_behind_the_length_of_a_datagram_is_cut_off() -> None:
    assert parse(REGISTER + b"tail").body == b""


def test_an_unknown_header_survives_with_bytes_that_are_no_text() -> None:
    data = REGISTER.replace(b"Expires:", b"X-Name: \xb4\xf3\xc7\xc5\r\nExpires:")
    assert b"X-Name: \xb4\xf3\xc7\xc5\r\n" in parse(data).encode()


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"CSeq: 2 REGISTER", b"CSeq: 2", 400),
        (b"Call-ID: 143225205\r\n", b"", 400),
        (b"Content-Length: 0", b"Content-Length: 1", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 256", 400),
        (b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 505),
        (b"Expires", b"Exp\rires", 400),
        (b"Expires", b"Bad Name", 400),
        (b"sip:130909115229300920@10.64.49.44:7100 SIP", b"sip:a@b:99999 SIP", 400),
        (b"sip:130909115229300920@10.64.49.44:7100 SIP", b"sip:" + b"a" * 5_000 + b"@b SIP", 414),
    ],
)
def test_what_is_wrong_is_refused_with_its_status(old: bytes, new: bytes, status: int) -> None:
    assert old in REGISTER
    with pytest.raises(SipError) as refused:
        parse(REGISTER.replace(old, new, 1))
    assert refused.value.status == status


def test_header_floods_and_long_lines_are_refused() -> None:
    head, _, _ = REGISTER.partition(b"\r\n\r\n")
    with pytest.raises(SipError, match="too many headers"):
        parse(head + b"\r\nX: y" * MAX_HEADERS + b"\r\n\r\n")
    with pytest.raises(SipError, match="too long"):
        parse(head + b"\r\nX: " + b"y" * MAX_LINE + b"\r\n\r\n")


@pytest.mark.parametrize("evil", ["a\r\nX: y", "a\nX: y", "a\rb", "a\0b"])
def test_no_header_can_be_smuggled_in(evil: str) -> None:
    with pytest.raises(SipError):
        Headers([("Subject", evil)])
    request = make_request("MESSAGE", "sip:a@b", from_="sip:a@b", to="sip:a@b")
    with pytest.raises(SipError):
        respond(request, 200, headers=[("Subject", evil)])
    if "\0" not in evil:
        with pytest.raises(SipError):
            Response(status=200, reason=evil).encode()
        request.uri = evil
        with pytest.raises(SipError):
            request.encode()


def test_a_response_copies_what_it_must_and_adds_the_tag_once() -> None:
    message = parse(REGISTER)
    assert isinstance(message, Request)
    made = respond(message, 200, tag="ours", headers=[("Date", "2026-01-01T00:00:00.000")])
    assert [name for name, _ in made.headers] == ["Via", "From", "To", "Call-ID", "CSeq", "Date"]
    assert made.to.tag == "ours"
    assert respond(message, 100, tag="ours").to.tag is None
    message.headers.set("To", "<sip:a@b>;tag=theirs")
    assert respond(message, 200, tag="ours").to.tag == "theirs"


def test_received_and_rport_are_noted() -> None:
    """RFC 3581 §4."""
    via = parse_via("SIP/2.0/UDP 192.168.1.2:5060;rport;branch=z9hG4bKa")
    assert str(via.received_from("10.0.0.1", 61378)) == (
        "SIP/2.0/UDP 192.168.1.2:5060;branch=z9hG4bKa;rport=61378;received=10.0.0.1"
    )
    plain = parse_via("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa")
    assert plain.received_from("10.0.0.1", 5060) == plain


def test_commas_count_only_outside_of_quotes_and_brackets() -> None:
    assert split_list('"a, \\", b" <sip:a,b@c>, <sip:d@e>,, f') == ['"a, \\", b" <sip:a,b@c>', "<sip:d@e>", "f"]


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except SipError:
        return


@given(st.sampled_from([data for _, data in CAPTURES]), st.data())
@settings(max_examples=400)
def test_a_changed_message_is_read_or_refused(good: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(good)))
    data = good[:at] + draw.draw(st.binary(max_size=12)) + good[at + draw.draw(st.integers(0, 30)) :]
    try:
        message = parse(data)
    except SipError:
        return
    assert parse(message.encode()).body == message.body


@given(st.text(max_size=40), st.text(string.ascii_letters + string.digits, min_size=1, max_size=20))
def test_a_display_name_comes_back_as_it_was(display: str, user: str) -> None:
    made = NameAddr(parse_uri(f"sip:{user}@3402000000"), (("tag", "x"),), display)
    kept = "".join(c for c in display if c >= " ")
    assert parse_name_addr(str(made)) == NameAddr(made.uri, made.params, kept if display else "")
