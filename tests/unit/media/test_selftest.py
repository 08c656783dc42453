"""The start-up check of what aiortc and pylibsrtp are inside: silent here, one plain line where they changed."""

import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from pylibsrtp import Session

from hub.media.peer import selftest


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
