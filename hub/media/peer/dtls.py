"""DTLS by aiortc over a transport of our own, and the SRTP sessions that come out of it.

``RTCDtlsTransport`` wants of its transport no more than ``_recv``, ``_send`` and ``role``. ``_tx_srtp``,
``_rx_srtp``, ``_ssl`` and ``_task`` are internals: ``selftest.py`` looks at start-up whether they are there.

Once the other side has shown that our last flight came, all of that goes and the SRTP sessions stay.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from OpenSSL import SSL
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp_lib

from hub.media.peer.dtls_alert import CIPHERS, PROTOCOL, Alerts

QUEUE: Final = 64  # datagrams of a handshake that may wait
AGAIN: Final = 4  # times that the answer to a ClientHello is sent again because that came again
_HANDSHAKE, _CLIENT_HELLO = b"\x16", b"\x01"
DIGESTS: Final = ("sha-256", "sha-384", "sha-512")


RELEASE_BUFFERS: Final = 0x10  # SSL_MODE_RELEASE_BUFFERS
GIVEN_UP: Final = struct.pack("!BHHHIHBB", 21, 0xFEFD, 0, 0, 0xFFFF, 2, 2, 80)  # fatal internal_error, no keys yet


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


_LENGTH: Final = srtp_ffi.new("int *")


class DtlsFailed(Exception):
    """The handshake did not come to keys, or not to those of the offer."""


class Pipe:
    """The duck-typed transport: datagrams in by ``feed``, out by the callable."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        self.closed = False
        self.came = self.went = 0  # datagrams
        self._hello = self._flight = b""  # of a client, and what answered it
        self._again = AGAIN

    def feed(self, data: bytes) -> bool:
        """Give one datagram in. False when it had to be dropped.

        A ClientHello that comes once more says that our answer was lost: it is sent again at once (RFC 6347 §4.2.4).
        OpenSSL would only wait for its own timer, a second, while browsers ask again after 50 ms.
        """
        if data[:1] == _HANDSHAKE and data[13:14] == _CLIENT_HELLO and data[3:5] == b"\0\0":
            if not self._hello:
                self._hello = data[13:]
            elif self._flight and self._again and data[13:] == self._hello:
                self._again -= 1
                self.went += 1
                self.send(self._flight)
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            return False
        self.came += 1
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
        self.went += 1
        if self._hello and not self._flight:
            self._flight = data
        self.send(data)


class _Scratch:
    """One buffer for what any SRTP session copies: each brings its own, and all are of the loop's thread."""

    cdata = srtp_ffi.new("char[]", 1500)
    buffer = srtp_ffi.buffer(cdata)


def _refusal(ssl: SSL.Connection) -> bytes:
    """What ends an association that comes to nothing: else the other side would wait for ever.

    OpenSSL says nothing while it shakes hands; then an alert without keys does (RFC 6347 §4.1.2.7 leaves to them
    whether they believe it, and browsers do).
    """
    with contextlib.suppress(SSL.Error):
        ssl.shutdown()
        return ssl.bio_read(1500)
    return GIVEN_UP


class Dtls:
    """One DTLS association, passive unless ``active``. After ``shake`` it holds the SRTP sessions.

    The first authentic packet of a client proves that our last flight has reached it: nothing will be sent again, and
    OpenSSL's state is given up but for the close_notify, which is written in advance, and the key of theirs.
    """

    def __init__(self, certificate: RTCCertificate, send: Callable[[bytes], None], *, active: bool = False) -> None:
        self.send = send
        self.tag = 16
        self.tx: Any = None
        self.rx: Any = None
        self._pipe: Pipe | None = Pipe(send)
        transport = RTCDtlsTransport(self._pipe, [certificate])  # type: ignore[arg-type]  # a duck, see above
        self._transport: RTCDtlsTransport | None = transport
        self._active = active
        transport._set_role("client" if active else "server")
        self._sender: Any = None
        self._receiver: Any = None
        self._alerts: Alerts | None = None
        self._goodbye = b""
        self._unsettled = False
        self._closed: Callable[[], None] = lambda: None

    @property
    def settled(self) -> bool:
        """Whether OpenSSL's part is over."""
        return self._alerts is not None

    def feed(self, data: bytes) -> bool:
        """Take one DTLS datagram. False when it had to be dropped."""
        if self._pipe is not None:
            return self._pipe.feed(data)
        if self._alerts is None or not self._alerts.ends(data):
            return False
        self._closed()
        return True

    async def shake(self, fingerprints: Sequence[tuple[str, str]], timeout: float) -> None:
        """Do the handshake and check the other side's certificate against its description. Raises DtlsFailed."""
        prints = [RTCDtlsFingerprint(algorithm=a, value=v) for a, v in fingerprints if a in DIGESTS]
        transport, pipe = self._transport, self._pipe
        if transport is None or pipe is None:
            raise DtlsFailed("the association has ended")
        parameters = RTCDtlsParameters(fingerprints=prints, role="server" if self._active else "client")
        shaking = asyncio.create_task(transport.start(parameters), name="dtls")
        try:
            await asyncio.wait((shaking,), timeout=timeout)
            if not shaking.done():
                raise DtlsFailed(f"the handshake took too long: {pipe.came} datagrams came, {pipe.went} went")
            shaking.result()
        except SSL.Error as error:
            raise DtlsFailed("OpenSSL gave the handshake up") from error
        finally:
            if not shaking.done():
                pipe.close()  # Python 3.11's wait_for forgets that it is cancelled when a datagram comes at that moment
                shaking.cancel()
                await asyncio.gather(shaking, return_exceptions=True)
        if transport.state != "connected":
            raise DtlsFailed("the handshake failed, or the certificate is not the one of the offer")
        ssl = transport._ssl
        profile = b"" if ssl is None else ssl.get_selected_srtp_profile()
        self.tag = 16 if b"GCM" in profile else 10
        self._sender, self._receiver = transport._tx_srtp, transport._rx_srtp
        for session in (self._sender, self._receiver):
            session._cdata, session._buffer = _Scratch.cdata, _Scratch.buffer
        self.tx, self.rx = self._sender._srtp[0], self._receiver._srtp[0]
        self._unsettled = True
        if self._active:  # theirs was the last flight
            self._settle()

    def on_closed(self, call: Callable[[], None]) -> None:
        """Call when the other side ends the association."""
        self._closed = call
        if (transport := self._transport) is None:
            return

        def changed() -> None:
            if transport.state in ("closed", "failed"):
                call()

        transport.on("statechange", changed)

    def unprotect(self, slot: Any, size: int, *, control: bool) -> int:
        """Verify and decrypt in place; the plain size, or minus libsrtp's error."""
        if self.rx is None:
            return -1
        _LENGTH[0] = size
        function = srtp_lib.srtp_unprotect_rtcp if control else srtp_lib.srtp_unprotect
        if error := function(self.rx, slot, _LENGTH):
            return -int(error)
        if self._unsettled:
            size = int(_LENGTH[0])
            self._settle()
            return size
        return int(_LENGTH[0])

    def _settle(self) -> None:
        """Give up what only a handshake needs."""
        self._unsettled = False
        transport = self._transport
        if transport is None or (ssl := transport._ssl) is None:
            return
        if ssl.get_protocol_version_name() != PROTOCOL or ssl.get_cipher_name() not in CIPHERS:
            return
        secret, theirs, ours = ssl.master_key(), ssl.client_random(), ssl.server_random()
        if secret is None or theirs is None or ours is None:
            return
        self._alerts = Alerts(secret, theirs, ours, client=not self._active)
        with contextlib.suppress(SSL.Error):  # says close_notify into its memory, and nobody reads that but us
            ssl.shutdown()
            self._goodbye = ssl.bio_read(1500)
        transport.remove_all_listeners()
        if transport._task is not None:
            transport._task.cancel()
        self._transport = self._pipe = None

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet. Raises pylibsrtp.Error."""
        return bytes(self._sender.protect_rtcp(packet))

    def forget(self, *ssrcs: int) -> None:
        """Drop what libsrtp keeps of sources that will never send again on this connection."""
        for ssrc in ssrcs:
            with contextlib.suppress(pylibsrtp.Error):  # nothing was ever sent
                self._sender.remove_stream(ssrc)

    async def stop(self) -> None:
        """Say close_notify and forget the keys. Who still shakes hands is told that nothing will come of it."""
        if (transport := self._transport) is not None:
            transport.remove_all_listeners()
            await transport.stop()
            if self.tx is None and transport._ssl is not None:
                self.send(_refusal(transport._ssl))
        elif self._goodbye:
            self.send(self._goodbye)
        if self._pipe is not None:
            self._pipe.close()
        self._goodbye = b""
        self.tx = self.rx = self._sender = self._receiver = None
