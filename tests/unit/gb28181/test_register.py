"""Registrations, heartbeats, moves, floods; with the clock as an argument."""

import pytest

from signaling.gb28181.errors import GbError
from signaling.gb28181.register import Address, Phase, Registrations, granted, parse_expires

HOME = Address("10.0.0.5", 5060)
MOVED = Address("10.0.0.5", 40_001)
S = 1_000


def online(expires_s: int | None = 3_600, device: str = "1", now: int = 0) -> Registrations:
    devices = Registrations()
    assert devices.register(device, HOME, now, expires_s=expires_s, call_id="a").kind == "online"
    return devices


def test_a_device_that_keeps_alive_stays_and_one_that_stops_goes_offline_once() -> None:
    devices = online()
    for minute in range(1, 11):
        assert devices.keepalive("1", HOME, minute * 60 * S).kind == "kept"
        assert devices.due(minute * 60 * S) == []
    assert devices.due(779 * S) == []
    lost = devices.due(781 * S)
    assert [(each.kind, each.reason, each.news) for each in lost] == [("offline", "gb28181.heartbeat_lost", True)]
    assert devices.due(10_000 * S) == []
    found = devices.get("1")
    assert found is not None
    assert found.phase is Phase.OFFLINE


def test_a_registration_that_is_not_renewed_ends_after_a_minute_of_grace() -> None:
    devices = online(expires_s=100)
    assert devices.due(159 * S) == []
    assert [each.reason for each in devices.due(160 * S)] == ["gb28181.registration_expired"]


def test_quirk_5_a_keepalive_from_a_new_address_moves_the_device() -> None:
    """QUIRKS 5: NAT."""
    devices = online()
    change = devices.keepalive("1", MOVED, 60 * S)
    assert (change.kind, change.moved, change.news) == ("kept", True, True)
    found = devices.get("1")
    assert found is not None
    assert found.address == MOVED
    assert not devices.keepalive("1", MOVED, 120 * S).moved


@pytest.mark.parametrize(("heartbeat_s", "misses"), [(0, 0), (None, None), (1, 1), (999_999, 3), (5, 0), (-1, -1)])
def test_quirk_5_senseless_heartbeat_parameters_make_no_device_flap(
    heartbeat_s: int | None, misses: int | None
) -> None:
    """QUIRKS 5: a device that sends every 60 s stays online whatever it says about it."""
    devices = online(expires_s=86_400)
    devices.configure("1", heartbeat_s, misses)
    for minute in range(1, 200):
        assert devices.due(minute * 60 * S - 1) == []
        devices.keepalive("1", HOME, minute * 60 * S)


def test_quirk_5_a_device_with_a_slower_rhythm_than_configured_does_not_flap() -> None:
    """QUIRKS 5: its own rhythm counts as soon as it was seen."""
    devices = online(expires_s=86_400)
    devices.configure("1", 60, 3)
    devices.keepalive("1", HOME, 60 * S)
    devices.keepalive("1", HOME, 230 * S)
    assert devices.due(600 * S) == []
    devices.keepalive("1", HOME, 600 * S)
    assert devices.due(1_400 * S) == []


def test_quirk_5_a_device_without_keepalives_lives_as_long_as_its_registration() -> None:
    """QUIRKS 5: missing heartbeats."""
    devices = online(expires_s=3_600)
    assert devices.due(3_600 * S) == []
    devices.register("1", HOME, 3_600 * S, expires_s=3_600, call_id="a")
    assert devices.due(7_200 * S) == []
    assert len(devices.due(7_300 * S)) == 1


def test_quirk_5_a_device_that_rebooted_is_told_from_one_that_renews() -> None:
    """QUIRKS 5: a new Call-ID hints at dialogs that only we remember."""
    devices = online()
    assert not devices.register("1", HOME, 1_800 * S, expires_s=3_600, call_id="a").restarted
    change = devices.register("1", HOME, 1_900 * S, expires_s=3_600, call_id="b")
    assert (change.kind, change.restarted, change.news) == ("refreshed", True, False)


def test_quirk_4_a_flood_of_registrations_is_one_piece_of_news() -> None:
    """QUIRKS 4: TCP devices re-register in floods; the heap does not grow with it."""
    devices = Registrations()
    changes = [devices.register("1", HOME, n, expires_s=3_600, call_id=str(n)) for n in range(5_000)]
    assert [each.news for each in changes].count(True) == 1
    assert not any(each.restarted for each in changes)
    assert len(devices._heap) == 1


def test_an_unregistered_device_is_not_made_online_by_a_keepalive() -> None:
    devices = Registrations()
    assert devices.keepalive("1", HOME, 0).kind == "unknown"
    devices.register("1", HOME, 0, expires_s=60)
    assert devices.register("1", HOME, 1, expires_s=0).kind == "offline"
    assert devices.keepalive("1", HOME, 2).kind == "unknown"
    assert devices.register("2", HOME, 1, expires_s=0).kind == "unknown"


def test_a_restart_loses_no_registration_and_silence_counts_anew() -> None:
    before = online(expires_s=3_600)
    before.keepalive("1", MOVED, 60 * S)
    after = Registrations()
    after.restore(before.all(), 1_000 * S)
    found = after.get("1")
    assert found is not None
    assert (found.phase, found.address) == (Phase.ONLINE, MOVED)
    assert after.due(1_100 * S) == []
    assert after.keepalive("1", MOVED, 1_100 * S).kind == "kept"
    assert len(after.due(1_400 * S)) == 1


def test_twenty_thousand_devices_need_one_entry_each() -> None:
    devices = Registrations()
    for number in range(20_000):
        devices.register(str(number), HOME, number, expires_s=86_400)
    for minute in range(1, 5):
        for number in range(20_000):
            devices.keepalive(str(number), HOME, minute * 60 * S + number)
        assert devices.due(minute * 60 * S + 30_000) == []
    assert len(devices._heap) <= 40_000
    assert len(devices.due(900 * S)) == 20_000


def test_devices_are_bounded() -> None:
    devices = Registrations(limit=1)
    devices.register("1", HOME, 0, expires_s=60)
    with pytest.raises(GbError):
        devices.register("2", HOME, 0, expires_s=60)
    devices.forget("1")
    devices.register("2", HOME, 0, expires_s=60)


def test_expiry_is_clamped_and_the_contact_wins() -> None:
    assert [granted(each) for each in (None, -1, 1, 3_600, 10**9)] == [3_600, 3_600, 60, 3_600, 604_800]
    assert parse_expires("3600", "60") == 60
    assert [parse_expires(text) for text in ("3600", "x", None, " 90 ", "1" * 30)] == [3_600, None, None, 90, None]
