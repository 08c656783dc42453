"""Identifiers, SSRC, times, PTZ, MANSRTSP, editions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.gb28181 import mansrtsp, ptz
from signaling.gb28181.edition import edition_of, knows_2022
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import Kind, civil_parent, kind_of, make_id, parse_id
from signaling.gb28181.items import PresetItem
from signaling.gb28181.mansrtsp import Steer
from signaling.gb28181.ssrc import SERIALS, SsrcAllocator, format_y, is_playback, parse_y
from signaling.gb28181.times import format_date, format_sip_date, format_time, parse_date, parse_time


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("34020000001310000001", Kind.CHANNEL),
        ("34020000001320000001", Kind.CHANNEL),
        ("34020000001180000001", Kind.DEVICE),
        ("34020000001340000001", Kind.ALARM),
        ("34020000001370000001", Kind.AUDIO),
        ("34020000002000000001", Kind.SERVER),
        ("34020000002150000001", Kind.BUSINESS_GROUP),
        ("34020000002160000001", Kind.VIRTUAL_ORGANISATION),
        ("34020000003000000001", Kind.USER),
        ("34", Kind.CIVIL_CODE),
        ("3402", Kind.CIVIL_CODE),
        ("340202", Kind.CIVIL_CODE),
        ("34020201", Kind.CIVIL_CODE),
        ("34020000009990000001", Kind.OTHER),
    ],
)
def test_an_identifier_tells_what_it_stands_for(text: str, kind: Kind) -> None:
    """2016 annex D."""
    assert kind_of(text) is kind


def test_quirk_4_identifiers_of_eighteen_digits_are_accepted() -> None:
    """QUIRKS 4: the Hikvision capture of 2013."""
    found = parse_id("130909113319427420")
    assert (found.standard, found.domain) == (False, "")
    assert kind_of(found.text) is Kind.CHANNEL
    assert kind_of(found.text, has_children=True) is Kind.DEVICE


def test_an_identifier_is_taken_apart_and_put_together() -> None:
    made = make_id("3402", 132, 17)
    found = parse_id(made)
    assert made == "34020000001320000017"
    assert (found.centre, found.industry, found.type_code, found.network, found.serial) == (
        "34020000",
        "00",
        132,
        "0",
        "000017",
    )
    assert found.domain == "3402000000"
    assert [civil_parent("32050602"), civil_parent("32")] == ["320506", None]


@pytest.mark.parametrize("text", ["", "a b", "x" * 33, "340200\r\nVia:", "３４"])
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(GbError):
        parse_id(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0000630886", 630886),
        ("630886", 630886),
        ("0", None),
        ("0000000000", None),
        ("", None),
        ("abc", None),
        ("9999999999", None),
        (" 0200000001 ", 200000001),
    ],
)
def test_quirk_12_a_y_line_may_be_short_zero_or_nonsense(text: str, value: int | None) -> None:
    """QUIRKS 12, signalling side."""
    assert parse_y(text) == value


def test_ssrc_numbers_follow_the_domain_and_are_used_again_last() -> None:
    """2016 annex F."""
    numbers = SsrcAllocator("3402000000")
    first, second = numbers.take("live"), numbers.take("playback")
    assert (format_y(first), format_y(second)) == ("0200000000", "1200000000")
    assert (is_playback(first), is_playback(second)) == (False, True)
    numbers.give_back(first)
    numbers.give_back(first)
    assert numbers.take("live") == first + 1
    assert numbers.in_use == 2


def test_ssrc_numbers_run_out_with_a_named_error_and_come_back() -> None:
    numbers = SsrcAllocator("3402000000")
    taken = {numbers.take("live") for _ in range(SERIALS)}
    assert len(taken) == SERIALS
    with pytest.raises(GbError) as refused:
        numbers.take("live")
    assert refused.value.code == "gb28181.ssrc_exhausted"
    numbers.give_back(200000007)
    assert numbers.take("live") == 200000007


def test_times_are_chinas_unless_they_say_otherwise() -> None:
    assert format_time(0) == "1970-01-01T08:00:00"
    assert parse_time("1970-01-01T08:00:00") == parse_time("1970-01-01T00:00:00Z") == 0
    assert parse_time("1970-1-1 8:00:05.250") == 5
    assert parse_time("1970-01-01T09:00:00+09:00") == 0
    assert [parse_time(text) for text in ("", "yesterday", "2026-13-01T00:00:00", "0000-01-01T00:00:00")] == [None] * 4


def test_quirk_4_a_date_without_a_zone_is_read_and_written() -> None:
    """QUIRKS 4; 2016 9.10.1."""
    assert format_date(1_250) == "1970-01-01T08:00:01.250"
    assert parse_date("1970-01-01T08:00:01.250") == 1_250
    assert parse_date(format_sip_date(5_000)) == 5_000
    assert parse_date("Thu, 01 Jan 1970 00:00:05") == 5_000
    assert parse_date("soon") is None


_PTZ = st.one_of(
    st.builds(ptz.Move, st.integers(-255, 255), st.integers(-255, 255), st.integers(-15, 15)),
    st.builds(ptz.Lens, st.integers(-255, 255), st.integers(-255, 255)),
    st.builds(ptz.Preset, st.sampled_from(["set", "go", "delete"]), st.integers(1, 255)),
    st.builds(ptz.Cruise, st.sampled_from(["add", "delete"]), st.integers(0, 255), preset=st.integers(0, 255)),
    st.builds(ptz.Cruise, st.sampled_from(["speed", "stay"]), st.integers(0, 255), value=st.integers(0, 4_095)),
    st.builds(ptz.Cruise, st.just("start"), st.integers(0, 255)),
    st.builds(ptz.Scan, st.sampled_from(["start", "left", "right"]), st.integers(0, 255)),
    st.builds(ptz.Scan, st.just("speed"), st.integers(0, 255), st.integers(0, 4_095)),
    st.builds(ptz.Switch, st.integers(0, 255), st.booleans()),
)


@given(_PTZ, st.integers(0, 0xFFF))
def test_every_ptz_command_comes_back(command: ptz.PtzCommand, address: int) -> None:
    assert ptz.decode(ptz.encode(command, address)) == command


@given(st.binary(max_size=12))
def test_any_ptz_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        ptz.decode(data.hex())
    except GbError:
        return


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_any_ptz_command_with_a_right_checksum_is_decoded_or_refused(a: int, b: int, c: int, d: int) -> None:
    data = bytes((0xA5, 0x0F, 1, a, b, c, d))
    try:
        ptz.encode(ptz.decode((data + bytes((sum(data) & 255,))).hex()))
    except GbError as error:
        if error.code != "gb28181.ptz":  # a preset 0 is decoded, but not sent
            raise


def test_ptz_bytes_are_those_of_the_standard() -> None:
    """2016 A.3.2 and A.3.4: right with speed 0x4F, stop, go to preset 3, wiper."""
    assert ptz.encode(ptz.Move(pan=0x4F)) == "A50F01014F000005"
    assert ptz.encode(ptz.Move()) == "A50F0100000000B5"
    assert ptz.encode(ptz.Preset("go", 3)) == "A50F01820003003A"
    assert ptz.encode(ptz.Switch(1, True)) == "A50F018C01000042"


@pytest.mark.parametrize("text", ["", "A50F", "zz", "A50F010100000000", "B50F0100000000C5", "A50F01F0000000A5"])
def test_damaged_ptz_commands_are_refused(text: str) -> None:
    with pytest.raises(GbError):
        ptz.decode(text)


@pytest.mark.parametrize("command", [ptz.Move(pan=256), ptz.Move(zoom=16), ptz.Preset("go", 0), ptz.Preset("go", 256)])
def test_values_out_of_range_are_not_sent(command: ptz.PtzCommand) -> None:
    with pytest.raises(GbError):
        ptz.encode(command)


def test_speeds_from_a_pad_become_bytes_and_the_slowest_still_moves() -> None:
    assert ptz.move(1, -1, 0.001) == ptz.Move(255, -255, 1)
    assert ptz.lens(0, -0.5) == ptz.Lens(0, -128)
    assert ptz.decode("A50F0101000000B6") == ptz.Move(pan=1)  # right with speed zero


@pytest.mark.parametrize(
    "steer",
    [Steer("play", 2), Steer("play", 3, seek_s=100.5), Steer("play", 4, scale=2.0), Steer("play", 4, scale=0.25),
     Steer("play", 4, seek_s=0.0, scale=4.0), Steer("pause", 5), Steer("teardown", 6)],
)  # fmt: skip
def test_every_steering_comes_back(steer: Steer) -> None:
    assert mansrtsp.parse(mansrtsp.write(steer)) == steer


def test_steering_of_other_platforms_is_read() -> None:
    assert mansrtsp.parse(b"PLAY RTSP/1.0\nCSeq: 7\nRange: npt=now-\n") == Steer("play", 7)
    assert mansrtsp.parse(b"PAUSE RTSP/1.0\r\nCSeq:1\r\nPauseTime:now\r\n") == Steer("pause", 1)
    assert mansrtsp.parse(b"PLAY MANSRTSP/1.0\r\nscale: nan\r\nRange: npt=-5-\r\n\r\n") == Steer("play", 0)
    assert [mansrtsp.parse_answer(mansrtsp.write_answer(1, code)) for code in (200, 454)] == [200, 454]


@given(st.binary(max_size=200))
def test_any_steering_is_parsed_or_refused(body: bytes) -> None:
    try:
        mansrtsp.parse(b"PLAY RTSP/1.0\r\n" + body)
        mansrtsp.parse(body)
    except GbError:
        return


def test_quirk_11_the_edition_stands_in_a_header() -> None:
    """QUIRKS 11: X-GB-Ver."""
    assert [edition_of(text) for text in ("3.0", "2.0", "1.1", "1.0", None, "x", "9.0")] == [
        "2022", "2016", "2011", "2011", None, None, None,
    ]  # fmt: skip
    assert [knows_2022("2022"), knows_2022("2016"), knows_2022(None)] == [True, False, False]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "1969-12-31T00:00:00", "9999-12-31T23:59:59"])
def test_times_that_cannot_be_written_again_are_none(text: str) -> None:
    assert parse_time(text) is None or format_time(parse_time(text) or 0)


def test_digits_of_other_scripts_are_no_digits() -> None:

    assert PresetItem(id="²").number is None
    assert kind_of("²" * 20) is Kind.CHANNEL
