"""A small RTSP 1.0 server: each path is a simulated camera that loops a film in real time (RFC 2326).

RTP comes interleaved in the connection, the one transport that passes every firewall and that the relay asks
for. A camera that nobody pulls costs nothing: its film is read at the first DESCRIBE.
"""

import asyncio
import contextlib
import secrets
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import structlog

from hub.demo.film import CLOCK, Film, describe, read_film
from signaling.rtsp.auth import Guard
from signaling.rtsp.message import REASONS, Decoder, Headers, Interleaved, Request, Response, RtspError, encode_response
from signaling.rtsp.session import State, step
from signaling.rtsp.transport import parse_transports

log: Final = structlog.get_logger(__name__)

MAX_CONNECTIONS: Final = 256
SESSION_TIMEOUT_S: Final = 60
STALLED_S: Final = 10.0  # a client that takes nothing for so long is let go
REPORT_EVERY: Final = 5 * CLOCK  # sender report, RTP ticks
NTP_EPOCH: Final = 2_208_988_800  # 1900 to 1970 (RFC 3550 §4)
METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN"


@dataclass
class CameraFile:
    """One simulated camera. ``online`` and ``stalled`` are switches: no answer at all, or a frozen picture."""

    path: str
    file: Path
    guard: Guard | None = None
    online: bool = True
    stalled: bool = False
    plays: int = 0  # sessions ever started
    playing: int = 0  # sessions now
    film: Film | None = field(default=None, repr=False)


class RtspServer:
    """Serves cameras; use as ``async with RtspServer(cameras).listening(host, port) as server``."""

    def __init__(self, cameras: Iterable[CameraFile]) -> None:
        self.cameras = {camera.path.strip("/"): camera for camera in cameras}
        self.port = 0
        self.connections = 0  # ever accepted
        self.quiet = asyncio.Event()  # set while no camera plays
        self.quiet.set()
        self._films: dict[Path, Film] = {}
        self._loading = asyncio.Lock()
        self._sessions: set[_Connection] = set()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """Listen until the block ends; port 0 takes a free one (``port`` says which). Raises OSError.

        With ``tls`` it speaks rtsps.
        """
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            if len(tasks) >= MAX_CONNECTIONS:
                writer.transport.abort()
                return
            task = asyncio.create_task(self._serve(reader, writer), name="rtsp/connection")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, host, port, limit=2**16, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def unplug(self, path: str) -> None:
        """The camera vanishes: its connections are cut, new ones get no answer until ``plug``."""
        camera = self.cameras[path.strip("/")]
        camera.online = False
        for session in tuple(self._sessions):
            if session.camera is camera:
                session.close()

    def plug(self, path: str) -> None:
        """The camera is back."""
        self.cameras[path.strip("/")].online = True

    def count(self, camera: CameraFile, change: int) -> None:
        """A session of the camera began (1) or ended (-1) to play."""
        camera.playing += change
        camera.plays += max(change, 0)
        if any(each.playing for each in self.cameras.values()):
            self.quiet.clear()
        else:
            self.quiet.set()

    async def film_of(self, camera: CameraFile) -> Film:
        """The camera's film, read once a file. Raises OSError or ValueError."""
        async with self._loading:
            if (film := self._films.get(camera.file)) is None:
                film = self._films[camera.file] = await asyncio.to_thread(read_film, camera.file)
        camera.film = film
        return film

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._sessions.add(connection)
        try:
            await connection.run(reader)
        except* (OSError, RtspError, TimeoutError) as group:
            log.debug("rtsp.connection_ended", error=str(group.exceptions[0]))
        except* Exception:
            log.exception("rtsp.connection_crashed")  # one client's, and nobody else suffers
        finally:
            self._sessions.discard(connection)
            connection.close()


class _Connection:
    """One TCP connection, which carries at most one session."""

    def __init__(self, server: RtspServer, writer: asyncio.StreamWriter) -> None:
        self.camera: CameraFile | None = None
        self._server = server
        self._writer = writer
        self._state = State.INIT
        self._id = secrets.token_hex(8)
        self._channel = 0
        self._player: asyncio.Task[None] | None = None

    def close(self) -> None:
        self._stop_player()
        self._writer.transport.abort()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Answer until the client leaves. Raises OSError, RtspError, TimeoutError."""
        decoder = Decoder()
        async with asyncio.TaskGroup() as group:
            while True:
                async with asyncio.timeout(2 * SESSION_TIMEOUT_S):
                    data = await reader.read(2**16)
                if not data:
                    break
                for event in decoder.feed(data):
                    if isinstance(event, Interleaved | Response):
                        continue  # receiver reports
                    response = await self._answer(event)
                    if response is None:
                        break
                    self._writer.write(encode_response(_numbered(response, event)))
                    if response.status == 200 and event.method == "PLAY" and self._player is None:
                        self._player = group.create_task(self._play(), name="rtsp/player")
                else:
                    await self._writer.drain()
                    continue
                break
            self._stop_player()

    async def _answer(self, request: Request) -> Response | None:
        """The response, or None when the camera is unplugged and says nothing."""
        if request.method == "OPTIONS":
            return _response(200, {"Public": METHODS})
        camera = self._server.cameras.get(_path(request.url))
        if camera is None and self.camera is not None and request.method != "DESCRIBE":
            camera = self.camera  # clients differ in how they join Content-Base and control
        if camera is None:
            return _response(404)
        if not camera.online:
            return None
        guard = camera.guard
        if guard is not None and not guard.admits(request.headers.get("Authorization"), request.method):
            return _response(401, {"WWW-Authenticate": guard.challenge()})
        match request.method:
            case "DESCRIBE":
                return await self._describe(camera, request)
            case "GET_PARAMETER":
                return _response(200, {"Session": self._id})
            case "SETUP" | "PLAY" | "PAUSE" | "TEARDOWN":
                return self._control(camera, request)
        return _response(405, {"Allow": METHODS})

    async def _describe(self, camera: CameraFile, request: Request) -> Response:
        try:
            film = await self._server.film_of(camera)
        except (OSError, ValueError) as error:
            log.error("rtsp.film_unreadable", file=str(camera.file), error=str(error))
            return _response(503)
        host = self._writer.get_extra_info("sockname")[0]
        headers = {"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"}
        return Response(200, "OK", Headers(headers), describe(film, host))

    def _control(self, camera: CameraFile, request: Request) -> Response:
        after = step(self._state, request.method)
        if after is None:
            return _response(455)
        session = request.headers.get("Session")
        if self._state is not State.INIT and (session or "").partition(";")[0].strip() not in {self._id, ""}:
            return _response(454)
        headers = {"Session": self._id}
        if request.method == "SETUP":
            offers = parse_transports(request.headers.get("Transport") or "")
            chosen = next((offer for offer in offers if offer.tcp and offer.unicast), None)
            if chosen is None:
                return _response(461)
            low, high = chosen.channels or (0, 1)
            self._channel = low
            headers = {
                "Transport": f"RTP/AVP/TCP;unicast;interleaved={low}-{high}",
                "Session": f"{self._id};timeout={SESSION_TIMEOUT_S}",
            }
        elif request.method == "PLAY":
            headers["Range"] = "npt=now-"
        else:
            self._stop_player()
        self.camera = camera
        self._state = after
        return _response(200, headers)

    def _stop_player(self) -> None:
        if self._player is not None:
            self._player.cancel()
            self._player = None

    async def _play(self) -> None:
        """Send frames at their time; sequence numbers and timestamps go on from loop to loop."""
        camera = self.camera
        assert camera is not None
        film = await self._server.film_of(camera)
        self._server.count(camera, 1)
        try:
            await self._send_film(camera, film)
        except (OSError, TimeoutError):
            self._writer.transport.abort()
        finally:
            self._server.count(camera, -1)

    async def _send_film(self, camera: CameraFile, film: Film) -> None:
        loop = asyncio.get_running_loop()
        # Like a live picture: whoever comes sees what the clock of the film says, from its last key frame on.
        index = film.index_at(int(time.monotonic() * CLOCK))
        began, first = loop.time(), film.frames[index].at
        ssrc, base = secrets.randbits(32), secrets.randbits(32)
        sequence, sent, octets, rounds, report_at = secrets.randbits(16), 0, 0, 0, 0
        while True:
            frame = film.frames[index]
            ticks = rounds * film.duration + frame.at - first
            if (wait := began + ticks / CLOCK - loop.time()) > 0:
                await asyncio.sleep(wait)
            stamp = (base + ticks) & 0xFFFFFFFF
            if not camera.stalled:
                burst = bytearray()
                if ticks >= report_at:
                    report_at = ticks + REPORT_EVERY
                    burst += _sender_report(self._channel + 1, ssrc, stamp, sent, octets)
                last = len(frame.payloads) - 1
                for number, payload in enumerate(frame.payloads):
                    marker = 0xE0 if number == last else 0x60  # M and payload type 96
                    burst += _RTP.pack(0x24, self._channel, 12 + len(payload), 0x80, marker, sequence, stamp, ssrc)
                    burst += payload
                    sequence = (sequence + 1) & 0xFFFF
                    octets += len(payload)
                sent += last + 1
                self._writer.write(burst)
                async with asyncio.timeout(STALLED_S):
                    await self._writer.drain()
            index += 1
            if index == len(film.frames):
                index, rounds = 0, rounds + 1


_RTP: Final = struct.Struct("!BBHBBHII")  # RFC 2326 §10.12 and RFC 3550 §5.1


def _sender_report(channel: int, ssrc: int, stamp: int, packets: int, octets: int) -> bytes:
    """A sender report without blocks (RFC 3550 §6.4.1)."""
    now = time.time() + NTP_EPOCH
    ntp = (int(now) << 32 | int(now % 1 * 2**32)) & (2**64 - 1)
    body = struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, stamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return struct.pack("!BBH", 0x24, channel, len(body)) + body


def _path(url: str) -> str:
    """The camera's path in a request URL, without the track."""
    try:
        path = unquote(urlsplit(url).path).strip("/")
    except ValueError:
        return ""
    return path.removesuffix("/trackID=0")


def _response(status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(status, REASONS[status], Headers(headers))


def _numbered(response: Response, request: Request) -> Response:
    sequence = (request.headers.get("CSeq") or "0")[:16]
    items = [("CSeq", sequence), ("Server", "sharpeyes-demo"), *response.headers.items]
    return Response(response.status, response.reason, Headers(items), response.body)
