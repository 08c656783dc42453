"""Network zones: how they are written, which one holds an address, and what is said to one who writes them wrongly."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.zones import Zones, announced, by_zone, entries

WRITTEN = "video=10.1.2.3;gov=172.16.3.4, fd00::4;互联网=203.0.113.7"


def test_addresses_are_written_by_zone_or_for_everybody() -> None:
    assert announced(entries(WRITTEN)) == {
        "video": ("10.1.2.3",), "gov": ("172.16.3.4", "fd00::4"), "互联网": ("203.0.113.7",)
    }  # fmt: skip
    assert announced(entries("10.1.2.3, 192.0.2.8")) == {"": ("10.1.2.3", "192.0.2.8")}
    assert announced(entries("127.0.0.1;video=10.1.2.3")) == {"": ("127.0.0.1",), "video": ("10.1.2.3",)}


@given(st.dictionaries(st.sampled_from(["", "video", "gov"]), st.lists(st.ip_addresses(v=4).map(str), min_size=1)))
def test_entries_survive_being_joined_by_commas_as_a_child_process_is_told_them(zones: dict[str, list[str]]) -> None:
    text = ";".join(f"{zone}={','.join(values)}" if zone else ",".join(values) for zone, values in zones.items())
    read = entries(text)
    assert by_zone(read) == {zone: tuple(values) for zone, values in zones.items()}
    assert by_zone(entries(";".join(read))) == by_zone(read)


def test_the_narrowest_network_counts_and_an_address_in_none_is_of_no_zone() -> None:
    zones = Zones.of(entries("video=10.0.0.0/8;gov=10.20.0.0/16,fd00::/8;internet=0.0.0.0/0"))
    for address, zone in (
        ("10.1.1.1", "video"), ("10.20.1.1", "gov"), ("8.8.8.8", "internet"), ("fd00::9", "gov"),
        ("::ffff:10.20.0.1", "gov"), ("2001:db8::1", ""),
    ):  # fmt: skip
        assert zones.of_address(ipaddress.ip_address(address)) == zone, address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("video=10.1.2.300", "'10.1.2.300' is no IP address"),
        ("video=", "'' is no IP address"),
        ("hub.example", "'hub.example' is no IP address"),
        ("vid eo=10.1.2.3", "'vid eo' is no name of a zone"),
        ("=10.1.2.3", "'' is no name of a zone"),
        (",".join(["10.0.0.1"] * 300), "more than 256 entries"),
        (";".join(f"z{i}=10.0.0.1" for i in range(20)), "more than 16 zones"),
    ],
)
def test_a_wrong_list_of_addresses_is_refused_in_one_plain_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="^" + says) as caught:
        announced(entries(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.0/8", "'10.0.0.0/8' names no zone"),
        ("video=10.0.0.1/8", "'10.0.0.1/8' has bits behind its mask"),
        ("video=all", "'all' is no network"),
        ("video=10.0.0.0/8;gov=10.0.0.0/8", "10.0.0.0/8 is in two zones, video and gov"),
    ],
)
def test_wrong_networks_are_refused_likewise(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="^" + says):
        Zones.of(entries(text))
