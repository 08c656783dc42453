"""Cursors come back as they were made, and nothing else is taken for one."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain import cursor
from hub.domain.errors import Invalid


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_a_cursor_comes_back_as_it_was_made(at: int, id: str) -> None:
    made = cursor.encode(at, id)
    assert made.isascii()
    if len(made) <= cursor.MAX_CHARS:
        assert cursor.decode(made, int, str) == (at, id)


@given(st.text(max_size=60))
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        cursor.decode(text, int, str)
    assert raised.value.id == "cursor.invalid"


@pytest.mark.parametrize("at", [2**63, -(2**63) - 1, 10**30])
def test_a_number_that_no_database_holds_is_refused(at: int) -> None:
    with pytest.raises(Invalid):
        cursor.decode(cursor.encode(at, "x"), int, str)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_database_holds_is_refused(text: str) -> None:
    made = base64.urlsafe_b64encode(json.dumps([1, text]).encode()).decode()
    with pytest.raises(Invalid):
        cursor.decode(made, int, str)


@pytest.mark.parametrize("made", [cursor.encode("a", "b"), cursor.encode(1), cursor.encode(1, "b", 2), "x" * 500])
def test_a_cursor_of_another_list_is_refused(made: str) -> None:
    with pytest.raises(Invalid):
        cursor.decode(made, int, str)
