"""A camera pulled by our own RTSP client, which connects to nothing but addresses that were checked."""

import asyncio
import ssl
from functools import cache
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias
from urllib.parse import urljoin

import structlog

from hub.domain.clock import Clock
from hub.domain.errors import Invalid
from hub.domain.source_url import ParsedSource, check_url
from hub.media.rtp.unit import AccessUnit, Description, UnitCodec
from hub.media.sources.choice import Choice, choose
from hub.media.sources.errors import SourceError
from hub.media.sources.policy import Resolver, checked_addresses, system_resolver
from hub.media.sources.receiver import TrackReceiver, Wallclock
from hub.media.sources.units import Described, Figures, UnitQueue
from signaling.rtsp.auth import Credentials
from signaling.rtsp.client import RtspClient
from signaling.rtsp.events import Why
from signaling.transport.rtsp import RtspConnection, RtspFailure, RtspRedirect

log: Final = structlog.get_logger(__name__)

OPEN_S: Final = 8.0
READ_S: Final = 8.0  # after 5 s the tile says frozen; after 8 s the connection is given up
KEYFRAME_S: Final = 15.0
BEAT_S: Final = 0.1  # over UDP; over TCP nothing waits for it
SLOW_BEAT_S: Final = 0.5
MAX_REDIRECTS: Final = 3
Way: TypeAlias = Literal["auto", "tcp", "udp"]

FAILURES: Final = {
    Why.UNAUTHORIZED: "source.unauthorized",
    Why.NOT_FOUND: "source.not_found",
    Why.REFUSED: "source.unreachable",
    Why.TRANSPORT: "source.unreachable",
    Why.NO_ANSWER: "source.timeout",
    Why.NOT_RTSP: "source.not_video",
    Why.NOT_DESCRIBED: "source.not_video",
    Why.SESSION_LOST: "source.lost",
    Why.CLOSED: "source.unreachable",
}


class RtspSource:
    """One session with a camera: ``async with RtspSource(parsed, clock=clock) as source: await source.read()``.

    ``facts`` say what came about: transport, server, quirks, left_out. ``way`` "auto" asks for TCP, and for UDP
    where the camera refuses TCP.
    """

    def __init__(
        self,
        source: ParsedSource,
        *,
        clock: Clock,
        resolve: Resolver = system_resolver,
        way: Way = "auto",
        open_s: float = OPEN_S,
        read_s: float = READ_S,
        keyframe_s: float = KEYFRAME_S,
        described: Described = lambda found: None,
    ) -> None:
        self.facts: dict[str, str] = {}
        self._source = source
        self._clock = clock
        self._resolve = resolve
        self._way: Way = way
        self._open_s, self._read_s, self._keyframe_s = open_s, read_s, keyframe_s
        self._described = described
        self._undescribed: tuple[UnitCodec, ...] = ()  # until the first key frame says what the description left open
        self._queue = UnitQueue()
        self._connection: RtspConnection | None = None
        self._receivers: list[TrackReceiver] = []
        self._flowing = False  # a key frame came
        self._began = self._heard = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        """Check, connect, follow at most three redirections, play. Raises SourceError."""
        try:
            source = self._source
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    await self._open(source)
                except RtspRedirect as redirect:
                    await self._close()
                    source = redirected(source, redirect.url)
                    continue
                return self
            raise SourceError("source.unreachable", f"more than {MAX_REDIRECTS} redirections")
        except BaseException as error:
            await self._close()
            if isinstance(error, RtspFailure):
                raise self._named(error) from None
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def read(self) -> list[AccessUnit]:
        """Everything that came since the last call, at least one unit. Raises SourceError. Safe to cancel."""
        return await self._queue.read()

    @property
    def figures(self) -> Figures:
        """Packets, losses and drops of all tracks."""
        return sum((each.figures for each in self._receivers), Figures(dropped=self._queue.dropped))

    # opening ----------------------------------------------------------------------------------------

    async def _open(self, source: ParsedSource) -> None:
        connection = self._connection = await self._connect(source)
        choice = choose(await connection.describe())
        if choice.left_out:
            self.facts["left_out"] = ", ".join(choice.left_out)
        if (found := choice.description()) is not None:
            self._described(found)
        else:
            self._undescribed = choice.codecs
        offered = [each.offered for each in choice.tracks]
        for udp in (False, True):
            if self._way == ("tcp" if udp else "udp"):
                continue
            self._receivers = self._make_receivers(choice, udp)
            self._began = self._heard = self._loop.time()
            if await connection.play(offered, udp=udp) is not None:
                self._started(connection, udp)
                return
        raise RtspFailure(
            Why.TRANSPORT, f"the device refuses {'both TCP and UDP' if self._way == 'auto' else self._way}"
        )

    async def _connect(self, source: ParsedSource) -> RtspConnection:
        """To the first checked address that answers."""
        tls = _tls() if source.scheme == "rtsps" else None
        last = "no address"
        for address in await checked_addresses(source, self._resolve):
            credentials = None if source.username is None else Credentials(source.username, source.password or "")
            client = RtspClient(f"{source.scheme}://{source.netloc}{source.tail}", credentials, answer_s=self._open_s)
            try:
                async with asyncio.timeout(self._open_s):
                    return await RtspConnection.open(
                        client, address, source.port, sink=self._sink, on_end=self._ended, tls=tls, name=source.host
                    )
            except TimeoutError:
                raise SourceError("source.timeout", "the device does not take the connection") from None
            except OSError as error:  # ssl.SSLError is one
                last = error.strerror or type(error).__name__
        raise SourceError("source.unreachable", last)

    def _make_receivers(self, choice: Choice, udp: bool) -> list[TrackReceiver]:
        wallclock = Wallclock()
        return [
            TrackReceiver(
                each.codec,
                each.payload_type,
                udp=udp,
                clock=self._clock,
                emit=self._take,
                wallclock=wallclock,
                parameter_sets=each.parameter_sets,
                aac=each.aac,
                rate=each.rate,
            )
            for each in choice.tracks
        ]

    def _started(self, connection: RtspConnection, udp: bool) -> None:
        self._beat_s = min(BEAT_S if udp else SLOW_BEAT_S, self._read_s / 4)
        self._beat = self._loop.call_later(self._beat_s, self._on_beat)
        client = connection.client
        self.facts |= {"transport": "udp" if udp else "tcp", "server": client.server}
        if client.noticed:
            self.facts["quirks"] = ",".join(sorted(client.noticed))
        log.debug("source.opened", host=self._source.host, **self.facts)

    async def _close(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    # media ------------------------------------------------------------------------------------------

    def _sink(self, place: int, rtcp: bool, data: bytes) -> None:
        if self._queue.failed:
            return
        receiver = self._receivers[place]
        if rtcp:
            receiver.rtcp(data)
            if receiver.said_bye and place == 0:
                self._queue.fail(SourceError("source.lost", "the device said goodbye"))
            return
        if place == 0:
            self._heard = self._loop.time()
        receiver.packet(data)

    def _take(self, unit: AccessUnit) -> None:
        if unit.kind == "video":
            self._flowing = self._flowing or unit.keyframe
        if self._flowing:
            if self._undescribed:
                codecs, self._undescribed = self._undescribed, ()
                self._described(Description(codecs, unit.passes))
            self._queue.put(unit)

    def _on_beat(self) -> None:
        """Reports, packets that waited long enough, and whether anything comes at all."""
        self._beat = None
        if self._connection is None or self._queue.failed:
            return
        self._beat = self._loop.call_later(self._beat_s, self._on_beat)
        for place, receiver in enumerate(self._receivers):
            if (report := receiver.beat()) is not None:
                self._connection.send_rtcp(place, report)
        now = self._loop.time()
        if now - self._heard >= self._read_s:
            silent = self._heard == self._began
            self._queue.fail(
                SourceError("source.timeout", "the connection stands, and nothing comes")
                if silent
                else SourceError("source.lost", "no data")
            )
        elif not self._flowing and now - self._began > self._keyframe_s:
            self._queue.fail(SourceError("source.no_keyframe", f"none in {self._keyframe_s:g} s"))

    def _ended(self, error: ConnectionError) -> None:
        """The session is over while it played."""
        if isinstance(error, RtspFailure):
            id = "source.lost" if error.why in (Why.CLOSED, Why.NOT_RTSP) else FAILURES[error.why]
            self._queue.fail(SourceError(id, self._source.scrub(error.detail)))
        else:  # a REDIRECT in the middle: connecting anew asks for the way again
            self._queue.fail(SourceError("source.lost", "the device redirects"))

    def _named(self, error: RtspFailure) -> SourceError:
        return SourceError(FAILURES[error.why], self._source.scrub(error.detail))


def redirected(source: ParsedSource, location: str) -> ParsedSource:
    """Where a redirection leads. Raises SourceError ``source.refused``.

    The password goes along only to the same host, and not from TLS into the open.
    """
    try:
        # Joined as http: urljoin knows rtsps only since Python 3.11.4, and Debian 12 has 3.11.2.
        joined = urljoin(f"http://{source.netloc}{source.tail}", location)
        target = check_url(joined if "://" in location else joined.replace("http", source.scheme, 1))
    except (Invalid, ValueError) as error:  # ValueError: what it names is no URL
        why = error.message if isinstance(error, Invalid) else "to what is no URL"
        raise SourceError("source.refused", f"the device redirects: {why}") from None
    if target.scheme not in ("rtsp", "rtsps"):
        raise SourceError("source.refused", "the device redirects to a protocol that is not RTSP")
    trusted = target.host == source.host and not (source.scheme == "rtsps" and target.scheme == "rtsp")
    if target.username is not None or not trusted:
        return target
    return ParsedSource(target.scheme, target.host, target.port, target.tail, source.username, source.password)


@cache
def _tls() -> ssl.SSLContext:
    """TLS that hides the password from listeners; cameras sign their own certificates, with small keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    return context
