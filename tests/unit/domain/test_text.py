"""What people write: visible, storable, and read in the order in which it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.text import lines, mended, one_line


@pytest.mark.parametrize("text", ["", " ", "青龙闸 3 号", "O'Brien", "e\u0301", "👩\u200d🚒", "שלום", "a\u200fb"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text
    assert lines(text) == text


@pytest.mark.parametrize("text", ["a\0", "\x1b[31m", "a\u202eb", "\u2066a", "a\x7f", "a\x85", "\u2028", "\u200b\u200b"])
def test_what_cannot_be_seen_or_turns_the_line_is_refused(text: str) -> None:
    for check in (one_line, lines):
        with pytest.raises(ValueError, match=r"U\+|nothing to see"):
            check(text)


def test_only_longer_texts_have_lines() -> None:
    assert lines("一\n二\t三\r\n") == "一\n二\t三\r\n"
    with pytest.raises(ValueError, match="U\\+000A"):
        one_line("一\n二")


@given(st.text(st.characters(codec=None), max_size=40))
def test_whatever_passes_can_be_stored(text: str) -> None:
    try:
        passed = lines(text)
    except ValueError:
        return
    assert passed.encode("utf-8").decode() == text
    assert "\0" not in passed


@given(st.text())
def test_what_a_device_calls_itself_is_mended_into_what_people_may_write(text: str) -> None:
    found = mended(text, 20)
    assert one_line(found) == found
    assert len(found) <= 20
    assert mended(found, 20) == found


def test_names_are_mended_and_kept_where_they_are_good() -> None:
    assert mended("东门\r\n\x1b[31m枪机 1\u202egpj.", 80) == "东门 [31m枪机 1gpj."
    assert mended("\u200b\u2066", 80) == ""
