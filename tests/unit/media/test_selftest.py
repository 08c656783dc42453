"""The start-up check of what aiortc and pylibsrtp are inside: silent here, one plain line where they changed."""

import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from OpenSSL import SSL
from pylibsrtp import Session

from hub.media.peer import selftest
from hub.media.peer.server import PeerServer


def test_the_installed_versions_are_what_the_relay_takes_them_for() -> None:
    selftest.check()


def test_a_changed_aiortc_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCDtlsTransport, "_write_ssl")
    with pytest.raises(RuntimeError, match=r"^aiortc .* has no RTCDtlsTransport._write_ssl: install the versions"):
        selftest.check()


def test_a_changed_pylibsrtp_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "unprotect", lambda self, data: b"something else")
    with pytest.raises(RuntimeError, match=r"^pylibsrtp .* is not as expected"):
        selftest.check()


def test_another_kind_of_srtp_protect_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_PROTECT", "of the next version")
    with pytest.raises(RuntimeError, match=r"^pylibsrtp .* has another srtp_protect: install the versions"):
        selftest.check()


@pytest.mark.parametrize("name", ["remove_stream", "protect_rtcp"])
def test_what_subscribers_and_reports_use_of_a_session_is_looked_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Session, name)
    with pytest.raises(RuntimeError, match=rf"^pylibsrtp .* has no Session.{name}: install the versions that pyproj"):
        selftest.check()


@pytest.mark.parametrize("name", ["master_key", "bio_read"])
def test_a_changed_pyopenssl_is_named_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(SSL.Connection, name)
    with pytest.raises(RuntimeError, match=rf"^pyOpenSSL .* has no Connection.{name}: install the versions"):
        selftest.check()


async def test_a_relay_on_a_changed_version_says_the_line_and_opens_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCDtlsTransport, "_set_role")
    with pytest.raises(RuntimeError, match=r"^aiortc [0-9.]+ has no RTCDtlsTransport._set_role: .*\(1\.16\.0\)$"):
        await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
