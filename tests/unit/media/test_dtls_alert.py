"""Alerts read with the keys alone, against what OpenSSL writes."""

from contextlib import suppress
from functools import cache

import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES
from OpenSSL import SSL

from hub.media.peer.dtls import Certificate
from hub.media.peer.dtls_alert import CIPHERS, PROTOCOL, Alerts


@cache
def _shaken() -> tuple[SSL.Connection, SSL.Connection, bytes]:
    """Server, client, and the client's close_notify."""
    server, client = (
        SSL.Connection(Certificate.generateCertificate()._create_ssl_context(SRTP_PROFILES)) for _ in "ab"
    )
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(8):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(16_384))
    client.shutdown()
    return server, client, client.bio_read(1_500)


def _alerts(*, client: bool) -> Alerts:
    ssl = _shaken()[0]
    assert (ssl.get_protocol_version_name(), ssl.get_cipher_name() in CIPHERS) == (PROTOCOL, True)
    secret, client_random, server_random = ssl.master_key(), ssl.client_random(), ssl.server_random()
    assert secret is not None
    assert client_random is not None
    assert server_random is not None
    return Alerts(secret, client_random, server_random, client=client)


def test_a_close_notify_of_openssl_ends_the_association() -> None:
    """RFC 5246 §7.2.1."""
    assert _alerts(client=True).ends(_shaken()[2])


def test_it_is_found_behind_another_record_of_its_datagram() -> None:
    """RFC 6347 §4.1.1."""
    other = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x03abc"
    assert _alerts(client=True).ends(other + _shaken()[2])


def test_the_other_direction_has_other_keys() -> None:
    assert not _alerts(client=False).ends(_shaken()[2])


@pytest.mark.parametrize("at", range(39))
def test_whatever_is_changed_in_it_makes_it_say_nothing(at: int) -> None:
    said = bytearray(_shaken()[2])
    assert len(said) == 39
    said[at] ^= 1
    assert not _alerts(client=True).ends(bytes(said))


@pytest.mark.parametrize("size", range(39))
def test_a_part_of_it_says_nothing(size: int) -> None:
    assert not _alerts(client=True).ends(_shaken()[2][:size])


def test_a_datagram_of_many_records_is_looked_at_only_so_far() -> None:
    empty = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x00"
    assert not _alerts(client=True).ends(empty * 8 + _shaken()[2])
