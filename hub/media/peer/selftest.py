"""Whether aiortc and pylibsrtp are inside what this room takes them for; said in one plain line when not."""

import struct
import sys
from importlib.metadata import version
from typing import Any, Final

import pylibsrtp
from aiortc import rtcdtlstransport
from OpenSSL import SSL
from pylibsrtp import _binding

AIORTC: Final = "1.16.0"
_PROTECT: Final = "<ctype 'srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)'>"
_SETTLING: Final = ("master_key", "client_random", "server_random", "get_cipher_name", "get_protocol_version_name")
_HINT: Final = "install the versions that pyproject.toml names"


def check() -> None:
    """Raise RuntimeError with one plain line when an internal in use is missing or behaves otherwise."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        raise RuntimeError("the relay runs on 64-bit Linux only")
    transport = rtcdtlstransport.RTCDtlsTransport
    for name in ("start", "stop", "_set_role", "_recv_next", "_write_ssl"):
        if not callable(getattr(transport, name, None)):
            raise RuntimeError(f"aiortc {version('aiortc')} has no RTCDtlsTransport.{name}: {_HINT} ({AIORTC})")
    if not callable(getattr(rtcdtlstransport.RTCCertificate, "_create_ssl_context", None)):
        raise RuntimeError(f"aiortc {version('aiortc')} has no RTCCertificate._create_ssl_context: {_HINT} ({AIORTC})")
    for name in ("srtp_protect", "srtp_unprotect", "srtp_unprotect_rtcp"):
        if not hasattr(_binding.lib, name):
            raise RuntimeError(f"pylibsrtp {version('pylibsrtp')} has no {name}: {_HINT}")
    session = _session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for name in ("protect_rtcp", "remove_stream", "_srtp", "_cdata", "_buffer"):
        if not hasattr(session, name):
            raise RuntimeError(f"pylibsrtp {version('pylibsrtp')} has no Session.{name}: {_HINT}")
    probe = transport(_Nobody(), [rtcdtlstransport.RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
    for name in ("_rx_srtp", "_tx_srtp", "_ssl", "_task", "state"):
        if not hasattr(probe, name):
            raise RuntimeError(f"aiortc {version('aiortc')} has no RTCDtlsTransport.{name}: {_HINT} ({AIORTC})")
    for name in (*_SETTLING, "shutdown", "bio_read", "get_selected_srtp_profile"):
        if not callable(getattr(SSL.Connection, name, None)):
            raise RuntimeError(f"pyOpenSSL {version('pyOpenSSL')} has no Connection.{name}: {_HINT}")
    _check_protect()
    _check_address()


class _Nobody:
    role = "controlled"


def _session(kind: int) -> Any:
    policy = pylibsrtp.Policy(
        key=bytes(range(44)), ssrc_type=kind, srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM
    )
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return pylibsrtp.Session(policy)


def _check_address() -> None:
    """The native half calls ``srtp_protect`` by its address: the type must be the one that it takes it for."""
    if str(_binding.ffi.typeof(_binding.ffi.addressof(_binding.lib, "srtp_protect"))) != _PROTECT:
        raise RuntimeError(f"pylibsrtp {version('pylibsrtp')} has another srtp_protect: {_HINT}")


def _check_protect() -> None:
    """Protect in place, twice under one number, and unprotect: what the fan-out and the history rely on."""
    try:
        sender = _session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        receiver = _session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
        plain = struct.pack("!BBHII", 0x80, 96, 1, 1, 1) + b"self-test"
        made = []
        for _ in range(2):
            buffer = _binding.ffi.new("char[]", 256)
            length = _binding.ffi.new("int *", len(plain))
            _binding.ffi.memmove(buffer, plain, len(plain))
            if _binding.lib.srtp_protect(sender._srtp[0], buffer, length):
                raise RuntimeError("srtp_protect refused a packet")
            made.append(bytes(_binding.ffi.buffer(buffer, length[0])))
        if made[0] != made[1] or len(made[0]) != len(plain) + 16 or receiver.unprotect(made[0]) != plain:
            raise RuntimeError("srtp_protect does not repeat itself")
    except Exception as error:
        raise RuntimeError(f"pylibsrtp {version('pylibsrtp')} is not as expected ({error}): {_HINT}") from error
