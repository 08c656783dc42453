"""STUN and the lite agent, against aioice's messages."""

import contextlib
from typing import Any

import pytest
from aioice import stun as theirs
from hypothesis import given
from hypothesis import strategies as st

from signaling import ice

ADDRESS = ("192.0.2.7", 4_000)
PATH = b"path"


def agent() -> ice.IceLite:
    return ice.IceLite(ice.Credentials("ours", "secret"), "theirs", heard_at=0)


def check(username: str = "ours:theirs", key: bytes = b"secret", **more: Any) -> bytes:
    message = theirs.Message(theirs.Method.BINDING, theirs.Class.REQUEST)
    message.attributes.update({"USERNAME": username, "PRIORITY": 1, "ICE-CONTROLLING": 1, **more})
    message.add_message_integrity(key)
    return bytes(message)


@pytest.mark.parametrize("address", [ADDRESS, ("2001:db8::1", 65_535)])
def test_a_check_is_answered_with_where_it_came_from(address: tuple[str, int]) -> None:
    lite = agent()
    reply = theirs.parse_message(lite.request(ice.parse_stun(check()), PATH, address, 77))
    assert reply.message_class == theirs.Class.RESPONSE
    assert reply.check_message_integrity(b"secret")
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == address
    assert (lite.heard_at, lite.selected) == (77, PATH)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (check(key=b"wrong"), "integrity"),
        (check(username="ours:other"), "username"),
        (check(username="ours"), "username"),
        (bytes(theirs.Message(theirs.Method.BINDING, theirs.Class.INDICATION)), "kind"),
    ],
)
def test_a_check_that_is_not_authentic_moves_nothing(data: bytes, reason: str) -> None:
    lite = agent()
    with pytest.raises(ice.StunError) as refused:
        lite.request(ice.parse_stun(data), PATH, ADDRESS, 77)
    assert refused.value.reason == reason
    assert (lite.heard_at, lite.selected, lite.paths) == (0, None, [])


def test_a_check_without_integrity_is_refused() -> None:
    message = theirs.Message(theirs.Method.BINDING, theirs.Class.REQUEST, attributes={"USERNAME": "ours:theirs"})
    with pytest.raises(ice.StunError, match="integrity"):
        agent().request(ice.parse_stun(bytes(message)), PATH, ADDRESS, 1)


def test_attributes_behind_the_integrity_count_for_nothing() -> None:
    """RFC 8489 §14.5: nobody may nominate by appending to another's check."""
    signed = ice.build_stun(1, bytes(12), [(0x0006, b"ours:theirs")], b"secret")[:-8]
    forged = bytearray(signed + b"\x00\x25\x00\x00")
    forged[2:4] = (len(forged) - 20).to_bytes(2, "big")
    message = ice.parse_stun(bytes(forged))
    assert not message.use_candidate
    assert ice.is_authentic(message, b"secret")


def test_a_nomination_moves_the_media_and_an_ordinary_check_does_not() -> None:
    lite = agent()
    nomination: dict[str, Any] = {"USE-CANDIDATE": None}
    lite.request(ice.parse_stun(check()), b"one", ADDRESS, 1)
    lite.request(ice.parse_stun(check()), b"two", ADDRESS, 2)
    assert lite.selected == b"one"
    lite.request(ice.parse_stun(check(**nomination)), b"two", ADDRESS, 3)
    assert lite.selected == b"two"


def test_paths_are_bounded_and_the_selected_one_stays() -> None:
    lite = agent()
    for n in range(100):
        lite.request(ice.parse_stun(check()), bytes([n]), ADDRESS, n)
    assert len(lite.paths) == ice.MAX_PATHS
    assert lite.selected == bytes([0])
    assert bytes([0]) in lite.paths
    assert len(lite.dropped) == 100 - ice.MAX_PATHS


def test_an_unknown_attribute_that_must_be_understood_is_told() -> None:
    data = ice.build_stun(1, bytes(12), [(0x0006, b"ours:theirs"), (0x7777, b"1234")], b"secret")
    reply = ice.parse_stun(agent().request(ice.parse_stun(data), PATH, ADDRESS, 1))
    assert (reply.kind, reply.error_code) == (ice.BINDING_ERROR, 420)


def test_a_controlled_peer_has_a_role_conflict() -> None:
    data = ice.build_stun(1, bytes(12), [(0x0006, b"ours:theirs"), (0x8029, bytes(8))], b"secret")
    reply = ice.parse_stun(agent().request(ice.parse_stun(data), PATH, ADDRESS, 1))
    assert (reply.kind, reply.error_code) == (ice.BINDING_ERROR, 487)


def test_our_own_check_is_authentic() -> None:
    message = ice.parse_stun(ice.binding_request("ours:theirs", b"secret"))
    assert ice.is_authentic(message, b"secret")
    assert message.use_candidate
    assert theirs.parse_message(ice.binding_request("ours:theirs", b"secret")).check_message_integrity(b"secret")


@pytest.mark.parametrize("cut", range(len(check())))
def test_a_truncated_check_is_refused(cut: int) -> None:
    with pytest.raises(ice.StunError):
        ice.parse_stun(check()[:cut])


@given(st.binary(max_size=200))
def test_garbage_is_a_message_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ice.StunError):
        ice.parse_stun(data)


@given(st.data())
def test_a_flipped_bit_is_never_authentic(data: st.DataObject) -> None:
    good = ice.build_stun(1, bytes(12), [(0x0006, b"ours:theirs")], b"secret")[:-8]
    good = good[:2] + (len(good) - 20).to_bytes(2, "big") + good[4:]
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(ice.StunError):
        message = ice.parse_stun(bytes(bad))
        assert not ice.is_authentic(message, b"secret")


def test_a_restart_keeps_the_path_until_the_new_credentials_nominate_one() -> None:
    """RFC 8445 §9."""
    lite = agent()
    nomination: dict[str, Any] = {"USE-CANDIDATE": None}
    lite.request(ice.parse_stun(check(**nomination)), b"one", ADDRESS, 1)
    lite.restart("anew")
    fresh = f"{lite.local.ufrag}:anew"
    key = lite.local.pwd.encode()
    assert lite.local.ufrag != "ours"
    lite.request(ice.parse_stun(check()), b"one", ADDRESS, 2)  # checks of before are answered on
    lite.request(ice.parse_stun(check(fresh, key)), b"two", ADDRESS, 3)
    assert lite.selected == b"one"
    lite.request(ice.parse_stun(check(fresh, key, **nomination)), b"two", ADDRESS, 4)
    assert (lite.selected, lite.paths, lite.dropped) == (b"two", [b"two"], [b"one"])
    with pytest.raises(ice.StunError, match="username"):
        lite.request(ice.parse_stun(check(**nomination)), b"one", ADDRESS, 5)
    with pytest.raises(ice.StunError, match="integrity"):
        lite.request(ice.parse_stun(check(fresh)), b"two", ADDRESS, 5)
