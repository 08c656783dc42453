"""Header extensions: what is written is what is read, in both forms, and nothing that comes can break the reading."""

from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import extension
from hub.media.rtp.extension import ONE_BYTE, TWO_BYTE, elements, layout


@given(
    mid=st.none() | st.text("abc0123", min_size=1, max_size=16),
    level=st.booleans(),
    time=st.booleans(),
    transport=st.booleans(),
)
def test_a_layout_is_read_back_and_its_number_lies_on_a_whole_word(
    mid: str | None, level: bool, time: bool, transport: bool
) -> None:
    placed = layout(None if mid is None else (1, mid), 2 * level, 3 * time, 4 * transport)
    assert len(placed.block) % 4 == 0
    assert placed.transport_at % 2 == 0
    assert placed.varies == (time or transport)
    if not placed.block:
        assert mid is None
        assert not level
        assert not (placed.varies)
        return
    packet = bytearray(12) + placed.block
    if transport:
        packet[placed.transport_at : placed.transport_at + 2] = b"\x12\x34"
    if time:
        packet[placed.time_at : placed.time_at + 3] = extension.send_time(1_500_000)
    if level:
        packet[placed.level_at : placed.level_at + 2] = bytes((placed.level_id << 4, 0x85))
    found = elements(ONE_BYTE, bytes(packet[16:]))
    assert extension.text(found, 1) == (mid or "")
    assert extension.number(found, 4) == (0x1234 if transport else None)
    assert found.get(3) == ((3 << 17).to_bytes(3, "big") if time else None)
    assert found.get(2) == (b"\x85" if level else None)
    assert int.from_bytes(placed.block[2:4], "big") * 4 == len(placed.block) - 4


def test_a_level_that_is_not_known_is_padding() -> None:
    placed = layout((1, "0"), 2)
    assert elements(ONE_BYTE, placed.block[4:]) == {1: b"0"}


def test_the_two_byte_form_is_read() -> None:
    """RFC 8285 §4.3: lengths of zero and ids above 14 are allowed."""
    data = b"\x01\x02hi" + b"\0\0" + b"\x20\x00" + b"\xc8\x01x"
    assert elements(TWO_BYTE, data) == {1: b"hi", 32: b"", 200: b"x"}


def test_what_is_cut_off_ends_the_reading_and_keeps_what_was_whole() -> None:
    assert elements(ONE_BYTE, b"\x10A\x2fshort") == {1: b"A"}
    assert elements(ONE_BYTE, b"\xf0\x10A") == {}
    assert elements(0x1234, b"\x10A") == {}


@given(profile=st.sampled_from([ONE_BYTE, TWO_BYTE, 0x100F, 0]), data=st.binary(max_size=300))
def test_nothing_that_comes_breaks_the_reading(profile: int, data: bytes) -> None:
    found = elements(profile, data)
    assert len(found) <= extension.MAX_ELEMENTS
    for id in found:
        extension.text(found, id)
        extension.number(found, id)
