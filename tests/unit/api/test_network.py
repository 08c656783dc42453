"""Where a request comes from: a proxy is believed only where the settings say so, and only its last word."""

import pytest
from starlette.requests import HTTPConnection

from hub.api.network import client_address, client_zone
from hub.settings import Settings

SETTINGS = Settings.load(
    {
        "SHARPEYES_ZONES": "video=10.0.0.0/8;gov=172.16.0.0/12;internet=0.0.0.0/0,::/0",
        "SHARPEYES_TRUSTED_PROXIES": "192.0.2.1, fd00::/64",
    }
)


def request(peer: str, **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "client": (peer, 1), "headers": raw})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.1.1.1", None, "10.1.1.1"),
        ("::ffff:10.1.1.1", None, "10.1.1.1"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("192.0.2.1", "10.2.2.2", "10.2.2.2"),
        ("fd00::5", "2001:db8::7", "2001:db8::7"),
        ("192.0.2.1", "10.9.9.9, 172.16.1.1", "172.16.1.1"),  # the first may be invented by the client
        ("192.0.2.1", "172.16.1.1, fd00::9", "172.16.1.1"),  # two proxies of ours
        ("192.0.2.1", None, None),  # the proxy said nothing
        ("192.0.2.1", "unknown", None),
        ("192.0.2.1", ", ," * 1_000, None),
        ("192.0.2.99", "10.2.2.2", None),  # a proxy that is not ours: who is behind it is not known
        ("not an address", None, None),
    ],
)
def test_the_address_that_a_request_began_at(peer: str, forwarded: str | None, address: str | None) -> None:
    given = request(peer) if forwarded is None else request(peer, x_forwarded_for=forwarded)
    found = client_address(given, SETTINGS.proxies)
    assert (None if found is None else str(found)) == address


def test_who_sits_nowhere_or_on_this_machine_is_of_no_zone() -> None:
    assert client_zone(request("10.1.1.1"), SETTINGS) == "video"
    assert client_zone(request("192.0.2.1", x_forwarded_for="172.20.0.1"), SETTINGS) == "gov"
    assert client_zone(request("2001:db8::1"), SETTINGS) == "internet"
    assert client_zone(request("127.0.0.1"), SETTINGS) == ""
    assert client_zone(request("192.0.2.99", via="1.1 somebody"), SETTINGS) == ""
    assert client_zone(request("10.1.1.1"), Settings()) == ""
