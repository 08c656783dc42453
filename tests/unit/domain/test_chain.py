"""The chain's hashes are frozen: these figures were computed once and must never change."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from hub.domain.chain import GENESIS, canonical, payload_hash, row_hash

Json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
ROW = {"seq": 1, "kind": "order.signed", "at": 1, "unit": "u", "ref": "r", "payload_hash": "p", "prev": GENESIS}


def test_the_bytes_that_are_hashed_are_these() -> None:
    said = '["sharpeyes-log-1",1,"order.signed",1,"u","r","sha256","p","' + "0" * 64 + '"]'
    expected = hashlib.sha256(said.encode()).hexdigest()
    assert row_hash("sha256", seq=1, kind="order.signed", at=1, unit="u", ref="r", payload_hash="p", prev=GENESIS) == (
        expected
    )
    assert payload_hash("sha256", "00ff", "{}") == hashlib.sha256(b"\x00\xff{}").hexdigest()
    assert payload_hash("sha3-256", "00ff", "{}") == hashlib.sha3_256(b"\x00\xff{}").hexdigest()


@given(st.dictionaries(st.text(max_size=5), Json, max_size=4))
def test_the_same_data_gives_the_same_text_in_any_order(data: dict[str, object]) -> None:
    assert canonical(data) == canonical(dict(reversed(list(data.items()))))
    assert " " not in canonical({"a": [1, {"b": 2}]})


@given(st.sampled_from(sorted(ROW)), st.text(min_size=1, max_size=8))
def test_no_field_of_a_row_can_change_without_its_hash(field: str, value: str) -> None:
    changed: dict[str, object] = ROW | {field: 2 if isinstance(ROW[field], int) else value}
    if changed != ROW:
        assert row_hash("sha256", **changed) != row_hash("sha256", **ROW)  # type: ignore[arg-type]  # one of each type
