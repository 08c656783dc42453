"""DTLS by aiortc over a transport of our own, and the SRTP sessions that come out of it.

``RTCDtlsTransport`` wants of its transport no more than ``_recv``, ``_send`` and ``role``. ``_tx_srtp`` and
``_rx_srtp`` are internals: ``selftest.py`` looks at start-up whether they are what this file takes them for.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from OpenSSL import SSL
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp_lib

QUEUE: Final = 64  # datagrams of a handshake that may wait
DIGESTS: Final = ("sha-256", "sha-384", "sha-512")


RELEASE_BUFFERS: Final = 0x10  # SSL_MODE_RELEASE_BUFFERS


class Certificate(RTCCertificate):
    """One OpenSSL context for every connection: each of its own would cost 20 KiB of memory and time to set up.

    Nothing is resumed: every association shakes hands in full and shows its certificate.
    """

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            self._context.set_mode(RELEASE_BUFFERS)
        return self._context


class DtlsFailed(Exception):
    """The handshake did not come to keys, or not to those of the offer."""


class Pipe:
    """The duck-typed transport: datagrams in by ``feed``, out by the callable."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        self.closed = False

    def feed(self, data: bytes) -> bool:
        """Give one datagram in. False when it had to be dropped."""
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            return False
        return True

    def close(self) -> None:
        """No more datagrams come."""
        self.closed = True
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        if self.closed or (data := await self._queue.get()) is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        self.send(data)


class Dtls:
    """One DTLS association, passive unless ``active``. After ``shake`` it holds the SRTP sessions."""

    def __init__(self, certificate: RTCCertificate, send: Callable[[bytes], None], *, active: bool = False) -> None:
        self.pipe = Pipe(send)
        self.tag = 16
        self.tx: Any = None
        self.rx: Any = None
        self._transport = RTCDtlsTransport(self.pipe, [certificate])  # type: ignore[arg-type]  # a duck, see above
        self._theirs = "server" if active else "client"
        self._transport._set_role("client" if active else "server")
        self._length = srtp_ffi.new("int *")

    async def shake(self, fingerprints: Sequence[tuple[str, str]], timeout: float) -> None:
        """Do the handshake and check the other side's certificate against its description. Raises DtlsFailed."""
        prints = [RTCDtlsFingerprint(algorithm=a, value=v) for a, v in fingerprints if a in DIGESTS]
        try:
            async with asyncio.timeout(timeout):
                await self._transport.start(RTCDtlsParameters(fingerprints=prints, role=self._theirs))
        except TimeoutError as error:
            raise DtlsFailed("the handshake took too long") from error
        if self._transport.state != "connected":
            raise DtlsFailed("the handshake failed, or the certificate is not the one of the offer")
        ssl = self._transport._ssl
        profile = b"" if ssl is None else ssl.get_selected_srtp_profile()
        self.tag = 16 if b"GCM" in profile else 10
        self.tx = self._transport._tx_srtp._srtp[0]
        self.rx = self._transport._rx_srtp._srtp[0]

    def on_closed(self, call: Callable[[], None]) -> None:
        """Call when the other side ends the association."""

        def changed() -> None:
            if self._transport.state in ("closed", "failed"):
                call()

        self._transport.on("statechange", changed)

    def unprotect(self, slot: Any, size: int, *, control: bool) -> int:
        """Verify and decrypt in place; the plain size, or minus libsrtp's error."""
        if self.rx is None:
            return -1
        self._length[0] = size
        function = srtp_lib.srtp_unprotect_rtcp if control else srtp_lib.srtp_unprotect
        if error := function(self.rx, slot, self._length):
            return -int(error)
        return int(self._length[0])

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet. Raises pylibsrtp.Error."""
        return bytes(self._transport._tx_srtp.protect_rtcp(packet))

    def forget(self, *ssrcs: int) -> None:
        """Drop what libsrtp keeps of sources that will never send again on this connection."""
        for ssrc in ssrcs:
            with contextlib.suppress(pylibsrtp.Error):  # nothing was ever sent
                self._transport._tx_srtp.remove_stream(ssrc)

    async def stop(self) -> None:
        """Say close_notify and forget the keys."""
        self._transport.remove_all_listeners()
        await self._transport.stop()
        self.pipe.close()
        self.tx = self.rx = None
